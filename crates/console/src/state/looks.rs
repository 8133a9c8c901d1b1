//! What pages show of all queues together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::admin::{Pauses, Queues, ShardName, is_of_wrong_type};
use tokio::sync::oneshot;

use super::Shared;
use super::seen::Seen;
use crate::problem::Problem;
use crate::view::{DeadGroups, FlowView, Group, Kind, QueueView};

/// Dead letters, counted by what they have in common.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Most frequent first.
    pub(crate) groups: Vec<(Kind, Group)>,
    /// How many were counted.
    pub(crate) counted: u64,
    /// Whether there are more.
    pub(crate) is_incomplete: bool,
}

/// How long a page waits for the first count of the dead letters.
const FIRST_COUNT_MAX: Duration = Duration::from_millis(50);
/// How many dead letters are counted: as many as a queue keeps by default.
const COUNTED_MAX: u64 = 100_000;

impl Shared {
    /// A value that pages show: a new one, or the last one where reading takes long.
    async fn seen<T, F>(
        self: &Arc<Self>,
        of: fn(&Self) -> &Seen<T>,
        read: fn(Arc<Self>) -> F,
    ) -> Result<Arc<T>, Problem>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let Some((value, is_old)) = of(self).slow() else {
            return of(self).read(read(self.clone())).await;
        };
        if is_old && !of(self).is_being_read() {
            drop(self.read_in_background(of, read));
        }
        Ok(value)
    }

    /// Reads a value that pages show, whether or not somebody waits for it.
    fn read_in_background<T, F>(
        self: &Arc<Self>,
        of: fn(&Self) -> &Seen<T>,
        read: fn(Arc<Self>) -> F,
    ) -> oneshot::Receiver<Result<Arc<T>, Problem>>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let (shared, (done, value)) = (self.clone(), oneshot::channel());
        self.spawn(async move {
            tokio::select! {
                value = of(&shared).read(read(shared.clone())) => drop(done.send(value)),
                () = shared.stop.cancelled() => {}
            }
        });
        value
    }

    /// All queues.
    pub(crate) async fn queues_seen(self: &Arc<Self>) -> Result<Arc<Queues>, Problem> {
        self.seen(|shared| &shared.queues, Self::read_queues).await
    }

    async fn read_queues(self: Arc<Self>) -> Result<Queues, Problem> {
        Ok(self.inspector.queues().await?)
    }

    /// The names of all queues.
    pub(crate) async fn queue_names(self: &Arc<Self>) -> Result<Vec<String>, Problem> {
        let queues = self.queues_seen().await?;
        let names: BTreeSet<String> = queues.shards.iter().map(|shard| shard.queue.to_string()).collect();
        Ok(names.into_iter().collect())
    }

    /// The shards of a queue, or of all queues.
    pub(crate) async fn shards_seen(
        self: &Arc<Self>,
        queue: Option<&str>,
    ) -> Result<Vec<ShardName>, Problem> {
        match queue {
            Some(queue) => self.shards(Some(queue)).await,
            None => Ok(self.queues_seen().await?.shards.clone()),
        }
    }

    /// The counts of all shards that were found, and what cannot be read.
    pub(crate) async fn views(
        &self,
        found: &Queues,
        pauses: &Pauses,
    ) -> Result<(Vec<QueueView>, Vec<String>), Problem> {
        let mut notes: Vec<String> = found.strays.iter().map(ToString::to_string).collect();
        let mut views = vec![];
        for shard in &found.shards {
            match self.inspector.survey(shard, 0).await {
                Ok(survey) => views.push(QueueView::new(shard, &survey, pauses)),
                Err(error) if is_of_wrong_type(&error) => {
                    notes.push(format!("queue {shard}: a key has a wrong type"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((views, notes))
    }

    /// The counts of the shards of one queue.
    pub(crate) async fn views_of(&self, shards: &[ShardName]) -> Result<Vec<QueueView>, Problem> {
        let pauses = self.pauses_if_known().await;
        let mut views = vec![];
        for shard in shards {
            views.push(QueueView::new(shard, &self.inspector.survey(shard, 0).await?, &pauses));
        }
        Ok(views)
    }

    /// What is paused; nothing if that is not known: in a cluster, it may be on a node that does not answer.
    pub(crate) async fn pauses_if_known(&self) -> Pauses {
        self.inspector.pauses().await.unwrap_or_default()
    }

    /// The flows that hold jobs, whose breaker is open, or that are paused.
    pub(crate) async fn flows_seen(self: &Arc<Self>) -> Result<Arc<Vec<FlowView>>, Problem> {
        self.seen(|shared| &shared.flows, Self::read_flows).await
    }

    /// After a pause or its end, so that the next page shows it, even if Redis is slow.
    pub(crate) fn forget_flows(&self) {
        self.flows.forget();
    }

    async fn read_flows(self: Arc<Self>) -> Result<Vec<FlowView>, Problem> {
        let now = self.inspector.now().await?;
        let shards = self.shards_seen(None).await?;
        let flows = self.inspector.held_flows(&shards, true).await?;
        Ok(flows.iter().map(|(id, flow)| FlowView::new(*id, flow, now)).collect())
    }

    /// All dead letters, counted by what they have in common; `None` while the first count takes long.
    pub(crate) async fn groups_seen(self: &Arc<Self>) -> Result<Option<Arc<Counted>>, Problem> {
        if self.groups.slow().is_some() {
            return self.seen(|shared| &shared.groups, Self::count_groups).await.map(Some);
        }
        if self.groups.is_being_read() {
            return Ok(None);
        }
        let counted = self.read_in_background(|shared| &shared.groups, Self::count_groups);
        match tokio::time::timeout(FIRST_COUNT_MAX, counted).await {
            Ok(Ok(counted)) => counted.map(Some),
            _ => Ok(None),
        }
    }

    async fn count_groups(self: Arc<Self>) -> Result<Counted, Problem> {
        let (mut groups, mut counted) = (DeadGroups::default(), Counted::default());
        for shard in &self.shards_seen(None).await? {
            let mut before = None;
            loop {
                let page = self.inspector.dead_before(shard, before).await?;
                let Some(last) = page.last() else { break };
                if counted.counted >= COUNTED_MAX {
                    counted.is_incomplete = true;
                    break;
                }
                before = Some(last.entry);
                counted.counted += page.len() as u64;
                page.iter().for_each(|letter| groups.add(letter));
            }
        }
        counted.groups = groups.sorted();
        Ok(counted)
    }
}
