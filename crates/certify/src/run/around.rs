//! What runs beside the workers.

use postrider_queue::Redis;
use postrider_queue::admin::{Inspector, Topology};
use telemetry::Telemetry;

use crate::destination::{Book, Destination, Visit};
use crate::error::CertifyError;
use crate::faults::Fault;
use crate::hanging::Hanging;
use crate::job::Jobs;
use crate::letters::{Letters, Reading};
use crate::options::Options;
use crate::places;
use crate::producer::Producer;
use crate::server::{Claimed, insist};
use crate::ticks::Ticks;
use crate::watch::Watch;

/// Destination, hosts that hang, periodic jobs, and what watches.
pub(super) struct Around {
    destination: Destination,
    hanging: Hanging,
    pub(super) book: Book,
    ticks: Ticks,
    reading: Reading,
    watch: Watch,
    jobs: Jobs,
}

/// What was recorded.
pub(super) struct Ended {
    pub(super) jobs: Jobs,
    pub(super) visits: Vec<Visit>,
    pub(super) letters: Letters,
    pub(super) seen: Vec<Fault>,
    pub(super) ticks: Ticks,
}

impl Around {
    /// Starts everything but the producer.
    pub(super) async fn start(options: &Options, claimed: &Claimed) -> Result<Self, CertifyError> {
        let listens = |error| CertifyError::System("the destination cannot listen", error);
        let destination = Destination::start().await.map_err(listens)?;
        let hanging = Hanging::start().await.map_err(listens)?;
        let redis = connect(options).await?;
        for (queue, shards) in places::queues() {
            if shards > 1 {
                redis.reshard(&queue, shards).await?;
            }
        }
        redis.close().await;
        let book = destination.book();
        let ticks = Ticks::start(&claimed.inspector, &destination.url(), book.ticks.clone()).await?;
        let reading = Reading::start(inspect(options).await?);
        let is_cluster = claimed.upstream.topology() == Topology::Cluster;
        let watch = Watch::start(inspect(options).await?, inspect(options).await?, is_cluster);
        let (run, rate) = (claimed.id.clone(), options.rate);
        let jobs = Jobs { run, rate, destination: destination.url(), hosts: hanging.urls.clone() };
        Ok(Self { destination, hanging, book, ticks, reading, watch, jobs })
    }

    /// Starts the producer.
    pub(super) async fn produce(
        &self,
        options: &Options,
        claimed: &Claimed,
    ) -> Result<Producer, CertifyError> {
        Ok(Producer::start(connect(options).await?, self.jobs.clone(), claimed.server.ahead_ms))
    }

    /// Ends the periodic jobs.
    pub(super) async fn end_ticks(&mut self, options: &Options) -> Result<(), CertifyError> {
        // With a new connection each time, since another server may have become the master.
        let end = async || {
            let inspector = inspect(options).await?;
            let ended = self.ticks.end(&inspector).await;
            inspector.close().await;
            ended
        };
        insist(end).await
    }

    /// Stops everything.
    pub(super) async fn end(self) -> Result<Ended, CertifyError> {
        let (letters, seen) = (self.reading.end().await?, self.watch.end().await);
        let visits = self.book.take();
        drop((self.destination, self.hanging));
        Ok(Ended { jobs: self.jobs, visits, letters, seen, ticks: self.ticks })
    }
}

async fn connect(options: &Options) -> Result<Redis, CertifyError> {
    Ok(Redis::connect(&options.redis_url, &Telemetry::disabled()).await?)
}

async fn inspect(options: &Options) -> Result<Inspector, CertifyError> {
    Ok(Inspector::connect(&options.redis_url, &Telemetry::disabled()).await?)
}
