//! Notices: jobs for operators, when a flow has failed for long, or a queue is late, and when that is over. Every worker looks,
//! and Redis lets one of them enqueue each notice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::{Delivery, EntryId, FlowId, Job, Lease};
use postrider_queue::work::{Notice, QueueShard, Warnings};
use postrider_queue::{Error, QueueName, Redis};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::shard_list::{ServedShard, ShardList};
use crate::flows::Flows;
use crate::observe::notice_counts::NoticeCounts;
use crate::policy::notice::{self, Lateness, NoticeSettings};
use crate::shard::control::CurrentControl;
use crate::shard::settings::CurrentSettings;

/// The mean time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How many flows a look asks Redis about, besides those that were noticed. Of more, each look takes others.
const FLOWS_PER_LOOK: usize = 256;
/// The name of the warning that no notice can be enqueued.
const WARNING: &str = "notice";
/// How many notices may have no end yet: where nothing works, the first ones say it.
const NOTICED_MAX: usize = 1_000;

/// The loop of a worker.
#[derive(Debug)]
pub(crate) struct Notices {
    /// The connection.
    pub redis: Redis,
    /// The shards whose queues are watched.
    pub shards: ShardList,
    /// The flows that this worker knows.
    pub flows: Flows,
    /// A paused queue is late on purpose.
    pub control: CurrentControl,
    /// Where notices go.
    pub settings: CurrentSettings,
    /// The first queue of the worker.
    pub queue: QueueName,
    /// Counts notices.
    pub counts: NoticeCounts,
    /// What is wrong with this worker.
    pub warnings: Warnings,
}

impl Notices {
    /// Runs until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            // Jitter, so that workers do not look at the same time.
            let pause = LOOK_INTERVAL.mul_f64(0.8 + 0.4 * fastrand::f64());
            let look = async {
                tokio::time::sleep(pause).await;
                let settings = self.settings.get();
                match &settings.notices {
                    Some(notices) => self.note(self.look(notices).await),
                    None => self.warnings.end(WARNING),
                }
            };
            tokio::select! {
                () = look => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn note(&self, looked: Result<(), Error>) {
        match looked {
            Ok(()) => self.warnings.end(WARNING),
            // Other loops log that Redis fails.
            Err(error) => {
                debug!(%error, "cannot look for what to give notice of now");
                let sentence = format!("it cannot enqueue notices: {}", error.details());
                self.warnings.set(WARNING, sentence);
            }
        }
    }

    async fn look(&self, settings: &NoticeSettings) -> Result<(), Error> {
        let to = self.shard_of(settings);
        let known = to.noticed().await?;
        self.look_at_flows(settings, &to, &known).await?;
        self.look_at_queues(settings, &to, &known).await
    }

    /// The shard that notices are enqueued in.
    fn shard_of(&self, settings: &NoticeSettings) -> QueueShard {
        let named = settings.queue.as_ref().and_then(|name| name.parse().ok());
        self.redis.producer_shard(&named.unwrap_or_else(|| self.queue.clone()), 0)
    }

    async fn look_at_flows(
        &self,
        settings: &NoticeSettings,
        to: &QueueShard,
        known: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let mut open = self.flows.open();
        fastrand::shuffle(&mut open);
        open.truncate(if known.len() < NOTICED_MAX { FLOWS_PER_LOOK } else { 0 });
        let noticed = known.keys().filter_map(|subject| notice::flow_of(subject));
        let mut ids: BTreeSet<FlowId> = noticed.chain(open).collect();
        // Else each notice would fail, and make another one.
        if let Some(own) = self.flow_of(settings) {
            ids.remove(&own);
        }
        for id in ids {
            let failing = to.failing(id).await?;
            let state = known.get(&notice::flow_subject(id)).map(String::as_str);
            let now = self.now();
            if let Some(notice) = settings.of_flow(id, state, failing.as_ref(), now) {
                self.give(to, &notice).await?;
            }
        }
        Ok(())
    }

    /// The flow of the notices themselves.
    fn flow_of(&self, settings: &NoticeSettings) -> Option<FlowId> {
        let lease = Lease { entry: EntryId { millis: 0, sequence: 0 }, delivery: 1, epoch: 0 };
        let job = Job::decode(&Delivery::new(lease, settings.to.clone())).ok()?;
        Some(self.flows.id_of(&job))
    }

    async fn look_at_queues(
        &self,
        settings: &NoticeSettings,
        to: &QueueShard,
        known: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let mut queues: BTreeMap<&'static str, Vec<Arc<ServedShard>>> = BTreeMap::new();
        for shard in self.shards.from(0) {
            queues.entry(shard.queue.name()).or_default().push(shard);
        }
        for (queue, shards) in queues {
            if self.control.pauses_queue(queue) {
                continue;
            }
            let mut lateness = Lateness { oldest: Duration::ZERO, ready: 0 };
            for shard in shards {
                let Some(stats) = shard.queue.stats(false).await? else { continue };
                let oldest = Duration::from_millis(stats.oldest_ms.unwrap_or(0));
                lateness =
                    Lateness { oldest: lateness.oldest.max(oldest), ready: lateness.ready + stats.ready };
            }
            let state = known.get(&notice::queue_subject(queue)).map(String::as_str);
            if let Some(notice) = settings.of_queue(queue, state, lateness, self.now()) {
                self.give(to, &notice).await?;
            }
        }
        Ok(())
    }

    /// Redis' time, Unix milliseconds, as a shard of this worker knows it.
    fn now(&self) -> u64 {
        self.shards.from(0).first().map_or(0, |shard| shard.queue.clock().now())
    }

    async fn give(&self, to: &QueueShard, notice: &Notice) -> Result<(), Error> {
        if to.notice(notice).await? {
            let kind = notice.fields.iter().find(|(name, _)| name == "label");
            let kind = kind.map_or_else(String::new, |(_, kind)| String::from_utf8_lossy(kind).into_owned());
            self.counts.given(&kind);
            info!(queue = to.name(), subject = notice.subject, notice = kind, "a notice is enqueued");
        }
        Ok(())
    }
}
