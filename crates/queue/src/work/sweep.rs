//! Finds jobs that no other loop would find, since somebody deleted, restored or changed keys by hand.

use fred::types::Value;

use crate::job::{EntryId, Fields, FlowId, of_fields};
use crate::redis::{Error, QueueShard, entry_id, number, unexpected};

/// About how many waiting jobs a call reads at most: it blocks Redis.
const PAGE_JOBS_MAX: u64 = 50;
/// About how many bytes of waiting jobs a call reads.
const PAGE_BYTES: u64 = 1 << 19;
/// How many bytes of a job's URL decide its flow.
const URL_BYTES_MAX: u64 = 4096;
/// How many pending entries a call passes at most.
const PENDING_MAX: u64 = 100;

/// The position of a sweep over the waiting jobs of a shard.
#[derive(Clone, Debug)]
pub struct SweepPosition {
    cursor: String,
    /// How many jobs to read next.
    jobs: u64,
}

impl Default for SweepPosition {
    fn default() -> Self {
        Self { cursor: "0".to_owned(), jobs: PAGE_JOBS_MAX }
    }
}

impl SweepPosition {
    /// Whether the next page is the first one.
    pub fn is_start(&self) -> bool {
        self.cursor == "0"
    }

    fn advance(&mut self, cursor: String, bytes: u64) {
        self.cursor = cursor;
        let fitting = self.jobs.saturating_mul(PAGE_BYTES) / bytes.max(1);
        self.jobs = fitting.clamp(1, PAGE_JOBS_MAX);
    }
}

/// What a page of a sweep has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Orphaned jobs that are due now: nothing pointed to them, or their time could never come.
    pub requeued: u64,
    /// Flows that hold jobs and are listed again.
    pub listed: u64,
}

/// What a page of [`QueueShard::claim_lost`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// How many entries were claimed.
    pub jobs: u64,
    /// Where the next page begins; `None` at the end.
    pub after: Option<EntryId>,
}

impl QueueShard {
    /// Reads the next page of waiting jobs, and makes its orphans due.
    ///
    /// # Errors
    /// fred's. The position is unchanged.
    pub async fn sweep(&self, position: &mut SweepPosition) -> Result<Swept, Error> {
        let own = &self.0.keys;
        let keys = vec![own.waiting.clone(), own.scheduled.clone(), own.mark.clone()];
        let mut args: Vec<Value> = vec![position.cursor.as_str().into(), number(position.jobs)];
        args.extend([number(URL_BYTES_MAX), self.0.mark.text().as_ref().into()]);
        let reply = self.0.scripts.sweep.poll(&self.0.redis, keys, args).await?;
        let (cursor, rows, bytes, due, mark): (String, Value, u64, u64, String) = reply.convert()?;
        self.0.mark.set(&mark);
        let Value::Array(rows) = rows else { return Err(unexpected()) };
        let swept = self.requeue(rows).await?;
        position.advance(cursor, bytes);
        Ok(Swept { requeued: swept.requeued + due, ..swept })
    }

    /// Makes those of these jobs due that are not in the sets of their flows.
    async fn requeue(&self, rows: Vec<Value>) -> Result<Swept, Error> {
        if rows.is_empty() {
            return Ok(Swept::default());
        }
        let own = &self.0.keys;
        let mut keys = vec![own.waiting.clone(), own.scheduled.clone(), own.flows.clone()];
        let (mut args, mut flows): (Vec<Value>, Vec<FlowId>) = (vec![], vec![]);
        for row in rows {
            let (job_id, flow) = waiting(row)?;
            args.push(job_id);
            args.push(number(flow.map_or(0, |flow| place(&mut flows, flow))));
        }
        keys.extend(flows.iter().map(|flow| own.flow(*flow)));
        let reply = self.0.scripts.requeue.poll(&self.0.redis, keys, args).await?;
        let (requeued, listed): (u64, u64) = reply.convert()?;
        Ok(Swept { requeued, listed })
    }

    /// Claims entries that were delivered and are pending for no consumer, beginning after an entry, or with
    /// the first one. The reclaimer takes them over at its next poll.
    ///
    /// # Errors
    /// fred's.
    pub async fn claim_lost(&self, after: Option<EntryId>) -> Result<Claimed, Error> {
        let mut args = self.identity(3);
        args.push(after.map_or_else(|| "-".to_owned(), |after| after.to_string()).into());
        args.push(number(PENDING_MAX));
        args.push(number(self.0.consumer.lease.as_millis() as u64));
        let keys = vec![self.0.keys.jobs.clone()];
        let reply = self.0.scripts.claim_lost.poll(&self.0.redis, keys, args).await?;
        let (after, jobs): (Value, u64) = reply.convert()?;
        let is_end = after.as_bytes().is_some_and(<[u8]>::is_empty);
        Ok(Claimed { jobs, after: if is_end { None } else { Some(entry_id(&after)?) } })
    }
}

/// A waiting job's id, and the flow that its fields name.
fn waiting(row: Value) -> Result<(Value, Option<FlowId>), Error> {
    let Value::Array(row) = row else { return Err(unexpected()) };
    let [job_id, flow, url] = <[Value; 3]>::try_from(row).map_err(|_| unexpected())?;
    let mut fields = Fields::new();
    for (name, value) in [("flow", flow), ("url", url)] {
        let value = value.into_bytes().ok_or_else(unexpected)?;
        if !value.is_empty() {
            fields.push((name.into(), value));
        }
    }
    Ok((job_id, of_fields(&fields).map(|(flow, _)| flow)))
}

/// The number of a flow among `flows`, from 1. Adds it if it is new.
fn place(flows: &mut Vec<FlowId>, flow: FlowId) -> u64 {
    let index = flows.iter().position(|known| *known == flow).unwrap_or_else(|| {
        flows.push(flow);
        flows.len() - 1
    });
    index as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_smaller_where_jobs_are_large() {
        let mut position = SweepPosition::default();
        let mut after = |bytes: u64| {
            position.advance("7".to_owned(), bytes);
            position.jobs
        };
        assert_eq!(after(0), 50);
        assert_eq!(after(4 * PAGE_BYTES), 12);
        assert_eq!(after(100 * PAGE_BYTES), 1, "never none");
        assert_eq!(after(PAGE_BYTES / 30), 30, "and larger again");
    }

    #[test]
    fn a_waiting_job_is_in_the_flow_that_its_fields_name() {
        let row = |flow: &'static str, url: &'static str| {
            waiting(Value::Array(vec!["7-0".into(), flow.into(), url.into()])).unwrap().1
        };
        assert_eq!(row("", "http://A.example/x"), Some(FlowId::of("a.example:80")));
        assert_eq!(row("mine", "http://a.example/"), Some(FlowId::of("mine")));
        assert_eq!(row("", ""), None, "it cannot be read");
    }

    #[test]
    fn flows_are_numbered_once() {
        let (mut flows, [one, other]) = (vec![], ["one", "other"].map(FlowId::of));
        assert_eq!([one, other, one].map(|flow| place(&mut flows, flow)), [1, 2, 1]);
        assert_eq!(flows, [one, other]);
    }
}
