//! Lists the jobs of a queue by their state.

use super::peek::{CUT, PAGE, Peek, PeekWaiting, Source, in_stream};
use super::{FoundJob, Inspector, ShardName};
use crate::job::FlowId;
use crate::redis::{Error, GROUP, Keys};

/// The state of the jobs to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the stream, for any worker.
    Ready,
    /// In flight at a worker.
    Running,
    /// Waiting for a time.
    Scheduled,
    /// Held by its flow, or waiting for its turn.
    Held,
}

/// Jobs, and whether there may be more.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The jobs: running, then ready, then scheduled by their due time, then held, flow by flow in the order
    /// in which they were enqueued, then those that wait for their turns.
    pub jobs: Vec<FoundJob>,
    /// Whether the limit was reached.
    pub has_more: bool,
}

impl Inspector {
    /// Up to `limit` jobs of a queue, in one state or in any; long values are truncated.
    ///
    /// # Errors
    /// fred's.
    pub async fn list(
        &self,
        queue: &ShardName,
        state: Option<State>,
        limit: usize,
    ) -> Result<Listing, Error> {
        let own = Self::keys(queue);
        let most = limit as u64 + 1;
        let wanted = |one: State| state.is_none_or(|state| state == one);
        let mut jobs = Vec::new();
        if wanted(State::Running) {
            jobs.extend(self.gather(queue, &own, "held", "-".to_owned(), most).await?);
        }
        if wanted(State::Ready) && jobs.len() <= limit {
            let delivered = self.survey(queue, 0).await?.delivered;
            let from = delivered.map_or("-".to_owned(), |id| format!("({id}"));
            jobs.extend(self.gather(queue, &own, "first", from, most).await?);
        }
        if wanted(State::Scheduled) && jobs.len() <= limit {
            jobs.extend(self.due(queue, None, limit + 1 - jobs.len()).await?);
        }
        if wanted(State::Held) && jobs.len() <= limit {
            for flow in self.flows(queue).await? {
                jobs.extend(self.due(queue, Some(flow), limit + 1 - jobs.len()).await?);
                if jobs.len() > limit {
                    break;
                }
            }
            jobs.extend(self.in_line(queue, (limit + 1).saturating_sub(jobs.len())).await?);
        }
        let has_more = jobs.len() > limit;
        jobs.truncate(limit);
        Ok(Listing { jobs, has_more })
    }

    /// The first jobs that a flow holds in a shard, up to `most`; long values are truncated.
    ///
    /// # Errors
    /// fred's.
    pub async fn held_by(
        &self,
        queue: &ShardName,
        flow: FlowId,
        most: usize,
    ) -> Result<Vec<FoundJob>, Error> {
        self.due(queue, Some(flow), most).await
    }

    /// The first jobs of the schedule or of a flow, up to `most`, read a page at a time.
    pub(super) async fn due(
        &self,
        queue: &ShardName,
        flow: Option<FlowId>,
        most: usize,
    ) -> Result<Vec<FoundJob>, Error> {
        let mut jobs = Vec::new();
        let mut start = 0;
        while jobs.len() < most {
            let count = PAGE.min((most - jobs.len()) as u64);
            let source = flow.map_or(Source::Schedule, Source::Flow);
            let peek = PeekWaiting { source, order: "due", start: &start.to_string(), count, most: CUT };
            let (_, page) = self.peek_waiting(queue, peek).await?;
            start += count;
            if page.is_empty() {
                break;
            }
            jobs.extend(page);
        }
        Ok(jobs)
    }

    /// Up to `most` jobs of the stream, read a page at a time so that no call blocks Redis for long.
    async fn gather(
        &self,
        queue: &ShardName,
        own: &Keys,
        order: &'static str,
        mut from: String,
        most: u64,
    ) -> Result<Vec<FoundJob>, Error> {
        let mut jobs = Vec::new();
        while (jobs.len() as u64) < most {
            let count = PAGE.min(most - jobs.len() as u64);
            let peek = Peek { group: GROUP, order, from: &from, to: "+", count, most: CUT };
            let page = self.peek(own, peek).await?;
            let Some(last) = page.last() else { break };
            from = format!("({}", last.entry);
            jobs.extend(page.into_iter().map(|peeked| in_stream(queue, peeked)));
        }
        Ok(jobs)
    }
}
