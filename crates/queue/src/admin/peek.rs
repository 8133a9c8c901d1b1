//! Reads entries and waiting jobs, with their values truncated inside Redis.

use fred::types::{Key, Value};

use super::{FoundJob, Inspector, Place, ShardName, array, field, job_id, text};
use crate::job::{EntryId, Fields, FlowId, of_fields};
use crate::redis::{Error, GROUP, Keys, entry_id, fields, number, unexpected};

/// Lists truncate longer values to this, bytes.
pub(super) const CUT: u64 = 2_048;
/// No value of Redis is longer, bytes.
pub(super) const WHOLE: u64 = u32::MAX as u64;
/// How many jobs a call reads.
pub(super) const PAGE: u64 = 100;

/// Which entries of a stream to read, and how.
pub(super) struct Peek<'a> {
    /// The group whose consumers are returned as holders; empty for none.
    pub(super) group: &'static str,
    /// `first`, `last` or `held`.
    pub(super) order: &'static str,
    /// The lowest id.
    pub(super) from: &'a str,
    /// The highest id.
    pub(super) to: &'a str,
    /// The number of entries at most.
    pub(super) count: u64,
    /// The number of bytes of each value at most.
    pub(super) most: u64,
}

impl<'a> Peek<'a> {
    /// One entry, with whole values.
    pub(super) fn one(id: &'a str) -> Self {
        Self { group: GROUP, order: "first", from: id, to: id, count: 1, most: WHOLE }
    }

    /// A page of entries, with truncated values.
    pub(super) fn page(order: &'static str, from: &'a str, to: &'a str) -> Self {
        Self { group: "", order, from, to, count: PAGE, most: CUT }
    }
}

/// Which waiting jobs to read, and how.
pub(super) struct PeekWaiting<'a> {
    /// Where they wait.
    pub(super) source: Source,
    /// `due`, `scan` or `job_id`.
    pub(super) order: &'static str,
    /// The number of jobs to skip, the cursor, or the job id.
    pub(super) start: &'a str,
    /// The number of jobs at most.
    pub(super) count: u64,
    /// The number of bytes of each value at most.
    pub(super) most: u64,
}

/// Where jobs wait.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// In the schedule, or in a place that is not known.
    Schedule,
    /// In a flow.
    Flow(FlowId),
    /// In a line.
    Line,
}

/// An entry that [`Peek`] read.
pub(super) struct Peeked {
    pub(super) entry: EntryId,
    pub(super) fields: Fields,
    holder: String,
    idle_ms: u64,
    deliveries: u64,
}

impl Inspector {
    pub(super) async fn peek(&self, own: &Keys, peek: Peek<'_>) -> Result<Vec<Peeked>, Error> {
        self.peek_marked(own.jobs.clone(), own.mark.clone(), peek).await
    }

    /// Reads a stream that only scripts write to.
    pub(super) async fn peek_at(&self, stream: Key, peek: Peek<'_>) -> Result<Vec<Peeked>, Error> {
        self.peek_marked(stream.clone(), stream, peek).await
    }

    async fn peek_marked(&self, stream: Key, mark: Key, peek: Peek<'_>) -> Result<Vec<Peeked>, Error> {
        let Peek { group, order, from, to, count, most } = peek;
        let args = vec![group.into(), order.into(), from.into(), to.into(), number(count), number(most)];
        let reply = self.scripts.peek.poll(&self.redis, vec![stream, mark], args).await?;
        array(reply)?.into_iter().map(peeked).collect()
    }

    /// The next cursor, and a page of waiting jobs.
    pub(super) async fn peek_waiting(
        &self,
        queue: &ShardName,
        peek: PeekWaiting<'_>,
    ) -> Result<(String, Vec<FoundJob>), Error> {
        let own = Self::keys(queue);
        let PeekWaiting { source, order, start, count, most } = peek;
        let args = vec![order.into(), start.into(), number(count), number(most)];
        let keys = match source {
            Source::Schedule => vec![own.waiting, own.scheduled],
            Source::Flow(flow) => vec![own.waiting.clone(), own.flow(flow)],
            Source::Line => vec![own.order_waiting, own.order],
        };
        let reply = self.scripts.peek_waiting.poll(&self.redis, keys, args).await?;
        let [cursor, rows] = <[Value; 2]>::try_from(array(reply)?).map_err(|_| unexpected())?;
        let jobs =
            array(rows)?.into_iter().map(|row| waiting(queue, source, row)).collect::<Result<_, _>>()?;
        Ok((text(&cursor)?, jobs))
    }
}

fn peeked(row: Value) -> Result<Peeked, Error> {
    let [id, own, holder, idle, deliveries] =
        <[Value; 5]>::try_from(array(row)?).map_err(|_| unexpected())?;
    Ok(Peeked {
        entry: entry_id(&id)?,
        fields: fields(own)?,
        holder: text(&holder)?,
        idle_ms: idle.as_u64().unwrap_or(0),
        deliveries: deliveries.as_u64().unwrap_or(0),
    })
}

pub(super) fn in_stream(queue: &ShardName, peeked: Peeked) -> FoundJob {
    let Peeked { entry, fields, holder, idle_ms, deliveries } = peeked;
    let place = if holder.is_empty() {
        Place::Ready(entry)
    } else {
        Place::Running { entry, worker: holder, idle_ms, deliveries }
    };
    FoundJob { queue: queue.clone(), id: job_id(&fields, entry), place, fields }
}

fn waiting(queue: &ShardName, source: Source, row: Value) -> Result<FoundJob, Error> {
    let [job_id, due, own] = <[Value; 3]>::try_from(array(row)?).map_err(|_| unexpected())?;
    let fields = fields(own)?;
    let place = match source {
        Source::Flow(flow) => {
            let name = of_fields(&fields).map(|(_, name)| name).unwrap_or_default();
            Place::Held { flow, name }
        }
        Source::Line => {
            let key = field(&fields, "order").map(|key| String::from_utf8_lossy(key).into_owned());
            Place::InLine { key: key.unwrap_or_default(), before: 0 }
        }
        Source::Schedule => {
            // Redis writes a score as a float.
            let due = text(&due)?.parse::<f64>().ok().filter(|due| *due >= 0.0).map(|due| due as u64);
            Place::Scheduled(due)
        }
    };
    Ok(FoundJob { queue: queue.clone(), id: text(&job_id)?, place, fields })
}
