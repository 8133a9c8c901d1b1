//! A connection that takes rows, for as long as the relay runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::{Redis, error_text};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::RelayConfig;
use crate::batch::{Batch, Instruments};
use crate::connection::{Connection, RelayError, connect, in_time};
use crate::health::Health;

/// Waits between attempts to connect: the first, and the longest.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long the rows of a queue wait that Redis does not take, so that the others have their turn.
const QUEUE_PAUSE: Duration = Duration::from_secs(1);
/// How often Redis is asked for an answer.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// Rows that one statement deletes.
const PRUNE: &str = "delete from postrider_outbox where id = any (array(
    select id from postrider_outbox where enqueued_at < now() - make_interval(secs => $1)
    order by enqueued_at limit 10000))";

pub(crate) struct Taker {
    pub(crate) config: RelayConfig,
    pub(crate) redis: Redis,
    pub(crate) health: Health,
    pub(crate) instruments: Instruments,
    pub(crate) number: usize,
    /// Notified when there may be rows.
    pub(crate) wake: Arc<Notify>,
    /// The taker that helps while many rows wait.
    pub(crate) next: Option<Arc<Notify>>,
}

impl Taker {
    /// Takes rows until `stop`, with its first connection if there is one.
    pub(crate) async fn run(self, mut first: Option<Connection>, stop: CancellationToken) {
        let mut wait = RECONNECT.0;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let Err(error) = self.work(first.take(), &stop).await else { return };
            if self.health.connection_fails(self.number, &error) {
                warn!("{error}; its rows wait");
            }
            wait = if began.elapsed() > RECONNECT.1 { RECONNECT.0 } else { (wait * 2).min(RECONNECT.1) };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Works with one connection until it fails, or until `stop`.
    async fn work(&self, first: Option<Connection>, stop: &CancellationToken) -> Result<(), RelayError> {
        // One taker is notified, and wakes the others if there is more than it takes at once.
        let wake = (self.number == 0).then(|| Arc::clone(&self.wake));
        let connection = match first {
            Some(connection) => connection,
            None => connect(&self.config.postgres, wake).await?,
        };
        let mut paused = BTreeMap::<String, Instant>::new();
        let (mut prune_at, mut ping_at) = (Instant::now(), Instant::now());
        while !stop.is_cancelled() {
            paused.retain(|_, until| *until > Instant::now());
            if self.number == 0 && !self.config.keep.is_zero() && prune_at <= Instant::now() {
                self.prune(&connection).await?;
                prune_at = Instant::now() + PRUNE_INTERVAL;
            }
            let taken = self.batch(&connection).take(paused.keys().cloned().collect()).await?;
            let mut is_well_again = self.health.connection_works(self.number);
            for (queue, error) in &taken.failed {
                paused.insert(queue.clone(), Instant::now() + QUEUE_PAUSE);
                if self.health.queue_fails(queue, error.to_string(), Instant::now().into_std()) {
                    warn!("{error}; its rows wait");
                }
            }
            is_well_again |= self.health.queues_work(&taken.enqueued);
            if self.number == 0 && ping_at <= Instant::now() {
                is_well_again |= self.ping().await;
                ping_at = Instant::now() + PING_INTERVAL;
            }
            if is_well_again {
                info!("the relay works again");
            }
            if taken.is_full {
                self.next.iter().for_each(|next| next.notify_one());
                continue;
            }
            let wait = if paused.is_empty() {
                self.config.poll_interval
            } else {
                QUEUE_PAUSE.min(self.config.poll_interval)
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    fn batch<'a>(&'a self, connection: &'a Connection) -> Batch<'a> {
        Batch { config: &self.config, redis: &self.redis, instruments: &self.instruments, connection }
    }

    async fn prune(&self, connection: &Connection) -> Result<(), RelayError> {
        let keep = self.config.keep.as_secs_f64();
        in_time(async { Ok(connection.client.execute(PRUNE, &[&keep]).await?) }).await?;
        Ok(())
    }

    /// Whether Redis answers: while no row waits, nothing else asks. Returns whether all works again.
    async fn ping(&self) -> bool {
        match self.redis.ping().await {
            Ok(()) => self.health.redis_answers(Instant::now().into_std()),
            Err(error) => {
                let why = format!("Redis does not answer: {}", error_text(&error));
                if self.health.redis_fails(why.clone()) {
                    warn!("{why}; rows wait");
                }
                false
            }
        }
    }
}
