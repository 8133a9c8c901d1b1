//! Listing jobs, and finding one by its ticket, its entry or its label.

use fred::clients::Client;
use fred::interfaces::KeysInterface;
use fred::types::Value;
use redis_telemetry::Command;

use super::{FoundJob, Inspector, Place, Shard, array, field, text, ticket};
use crate::job::{EntryId, Fields, FlowId, of_fields};
use crate::redis::{Error, GROUP, Keys, entry_id, fields, number, unexpected};
use crate::trail::JobResult;

/// Longer values are cut where many jobs are looked at.
const CUT: u64 = 2_048;
/// No value of Redis is longer.
const WHOLE: u64 = u32::MAX as u64;
/// How many entries, and how many waiting jobs, a search looks at.
const MOST_SEARCHED: usize = 10_000;
/// How many of them in one call.
const PAGE: u64 = 100;

/// Which jobs are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the stream, held by nobody.
    Ready,
    /// Held by a worker.
    Running,
    /// Waiting for a time.
    Scheduled,
    /// Held back by its flow.
    Parked,
}

/// Jobs, and whether there may be more.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The jobs, running ones first, then ready ones, then by the time at which they are due, then
    /// those that wait for their flow, flow by flow, in the order in which they were enqueued.
    pub jobs: Vec<FoundJob>,
    /// Whether the limit was reached.
    pub cut: bool,
}

/// What a search came to.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// All jobs that were found.
    pub jobs: Vec<FoundJob>,
    /// Whether the queue holds more than was looked at.
    pub cut: bool,
}

/// Which entries of a stream, and how they are read.
pub(super) struct Peek<'a> {
    /// Whose holders are told.
    pub(super) group: &'static str,
    /// `first`, `last` or `held`.
    pub(super) order: &'static str,
    /// The lowest id.
    pub(super) from: &'a str,
    /// The highest id.
    pub(super) to: &'a str,
    /// At most how many.
    pub(super) count: u64,
    /// At most how many bytes of each value.
    pub(super) most: u64,
}

impl<'a> Peek<'a> {
    /// One entry, uncut.
    pub(super) fn one(id: &'a str) -> Self {
        Self { group: GROUP, order: "first", from: id, to: id, count: 1, most: WHOLE }
    }

    /// All entries behind `from`, a page at a time, cut.
    pub(super) fn page(order: &'static str, from: &'a str, to: &'a str) -> Self {
        Self { group: "", order, from, to, count: PAGE, most: CUT }
    }
}

/// Which jobs that wait, and how they are read.
struct PeekWaiting<'a> {
    /// Of the set of a flow, else of the schedule.
    flow: Option<FlowId>,
    /// `due`, `scan` or `ticket`.
    order: &'static str,
    /// How many to pass over, the cursor, or the ticket.
    start: &'a str,
    /// At most how many.
    count: u64,
    /// At most how many bytes of each value.
    most: u64,
}

/// An entry as it was peeked at.
pub(super) struct Peeked {
    pub(super) entry: EntryId,
    pub(super) fields: Fields,
    holder: String,
    idle_ms: u64,
    deliveries: u64,
}

impl Inspector {
    /// At most so many jobs of a queue, in that state or in any; long values are cut.
    ///
    /// # Errors
    /// fred's.
    pub async fn list(&self, queue: &Shard, state: Option<State>, limit: usize) -> Result<Listing, Error> {
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
        if wanted(State::Parked) && jobs.len() <= limit {
            for flow in self.flows(queue).await? {
                jobs.extend(self.due(queue, Some(flow), limit + 1 - jobs.len()).await?);
                if jobs.len() > limit {
                    break;
                }
            }
        }
        let cut = jobs.len() > limit;
        jobs.truncate(limit);
        Ok(Listing { jobs, cut })
    }

    /// Up to so many jobs of the schedule or of a flow, the first ones, a page at a time.
    pub(super) async fn due(
        &self,
        queue: &Shard,
        flow: Option<FlowId>,
        most: usize,
    ) -> Result<Vec<FoundJob>, Error> {
        let mut jobs = Vec::new();
        let mut start = 0;
        while jobs.len() < most {
            let count = PAGE.min((most - jobs.len()) as u64);
            let peek = PeekWaiting { flow, order: "due", start: &start.to_string(), count, most: CUT };
            let (_, page) = self.peek_waiting(queue, peek).await?;
            start += count;
            if page.is_empty() {
                break;
            }
            jobs.extend(page);
        }
        Ok(jobs)
    }

    /// Up to so many jobs of the stream, a page at a time, so that no call holds up Redis for long.
    async fn gather(
        &self,
        queue: &Shard,
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

    /// The jobs that bear an id: a ticket or an entry's id is found at once; a label, or the ticket of a job that
    /// has another entry by now, in a search that is bounded. Long values are cut where a search was needed.
    ///
    /// # Errors
    /// fred's.
    pub async fn find(&self, queue: &Shard, id: &str) -> Result<Search, Error> {
        let own = Self::keys(queue);
        let mut jobs: Vec<_> = self.waits(queue, id).await?.into_iter().collect();
        if EntryId::parse(id.as_bytes()).is_some() {
            let found = self.peek(&own, Peek::one(id)).await?;
            jobs.extend(found.into_iter().map(|peeked| in_stream(queue, peeked)));
        }
        if jobs.is_empty() { self.search(queue, &own, id).await } else { Ok(Search { jobs, cut: false }) }
    }

    /// The result of a job that asked for it to be kept, by its ticket; `None` where there is none, or not yet, or
    /// not any more.
    ///
    /// # Errors
    /// fred's.
    pub async fn result(&self, queue: &Shard, ticket: &str) -> Result<Option<JobResult>, Error> {
        let key = Self::keys(queue).result(ticket.as_bytes());
        let get = |client: Client| async move { client.get::<Option<String>, _>(key).await };
        let found = self.redis.run(Command::new("GET"), get).await?;
        // What is no result stands there under a name that somebody made up.
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn search(&self, queue: &Shard, own: &Keys, id: &str) -> Result<Search, Error> {
        let mut search = Search::default();
        let (mut from, mut seen) = ("-".to_owned(), 0);
        loop {
            let page = self.peek(own, Peek::page("first", &from, "+")).await?;
            seen += page.len();
            let Some(last) = page.last() else { break };
            from = format!("({}", last.entry);
            let last = page.len() < PAGE as usize;
            for peeked in page.into_iter().filter(|peeked| bears(&peeked.fields, peeked.entry, id)) {
                // Looked at again, for who holds it.
                let entry = peeked.entry.to_string();
                let again = self.peek(own, Peek { most: CUT, ..Peek::one(&entry) }).await?;
                search.jobs.extend(again.into_iter().map(|peeked| in_stream(queue, peeked)));
            }
            if last {
                break;
            }
            if seen >= MOST_SEARCHED {
                search.cut = true;
                break;
            }
        }
        let (mut cursor, mut seen) = ("0".to_owned(), 0);
        loop {
            let peek = PeekWaiting { flow: None, order: "scan", start: &cursor, count: PAGE, most: CUT };
            let (next, page) = self.peek_waiting(queue, peek).await?;
            seen += page.len();
            for job in page.into_iter().filter(|job| labelled(&job.fields, id)) {
                search.jobs.push(self.placed(job).await?);
            }
            if next == "0" {
                return Ok(search);
            }
            if seen >= MOST_SEARCHED {
                search.cut = true;
                return Ok(search);
            }
            cursor = next;
        }
    }

    /// The same job uncut; `None` where it has moved since.
    ///
    /// # Errors
    /// fred's.
    pub async fn whole(&self, job: &FoundJob) -> Result<Option<FoundJob>, Error> {
        match &job.place {
            Place::Ready(entry) | Place::Running { entry, .. } => {
                let found = self.peek(&Self::keys(&job.queue), Peek::one(&entry.to_string())).await?;
                Ok(found.into_iter().next().map(|peeked| in_stream(&job.queue, peeked)))
            }
            Place::Scheduled(_) | Place::Parked { .. } => self.waits(&job.queue, &job.ticket).await,
        }
    }

    /// The job of a ticket, uncut, where it waits.
    async fn waits(&self, queue: &Shard, ticket: &str) -> Result<Option<FoundJob>, Error> {
        let peek = PeekWaiting { flow: None, order: "ticket", start: ticket, count: 1, most: WHOLE };
        let (_, found) = self.peek_waiting(queue, peek).await?;
        match found.into_iter().next() {
            Some(job) => self.placed(job).await.map(Some),
            None => Ok(None),
        }
    }

    /// A job that waits for no time is looked for in its flow.
    async fn placed(&self, job: FoundJob) -> Result<FoundJob, Error> {
        let (Place::Scheduled(None), Some((flow, name))) = (&job.place, of_fields(&job.fields)) else {
            return Ok(job);
        };
        let key = Self::keys(&job.queue).flow(flow);
        let args = vec![key.clone().into(), job.ticket.as_str().into()];
        let stands = !matches!(self.command("ZSCORE", Some(&key), args).await?, Value::Null);
        Ok(if stands { FoundJob { place: Place::Parked { flow, name }, ..job } } else { job })
    }

    async fn peek(&self, own: &Keys, peek: Peek<'_>) -> Result<Vec<Peeked>, Error> {
        self.peek_at(own.jobs.clone(), peek).await
    }

    pub(super) async fn peek_at(
        &self,
        stream: fred::types::Key,
        peek: Peek<'_>,
    ) -> Result<Vec<Peeked>, Error> {
        let Peek { group, order, from, to, count, most } = peek;
        let args = vec![group.into(), order.into(), from.into(), to.into(), number(count), number(most)];
        let reply = self.scripts.peek.poll(&self.redis, vec![stream], args).await?;
        array(reply)?.into_iter().map(peeked).collect()
    }

    /// Jobs that wait, and where the next page begins.
    async fn peek_waiting(
        &self,
        queue: &Shard,
        peek: PeekWaiting<'_>,
    ) -> Result<(String, Vec<FoundJob>), Error> {
        let own = Self::keys(queue);
        let PeekWaiting { flow, order, start, count, most } = peek;
        let args = vec![order.into(), start.into(), number(count), number(most)];
        let set = flow.map_or(own.scheduled.clone(), |flow| own.flow(flow));
        let keys = vec![own.waiting, set];
        let reply = self.scripts.peek_waiting.poll(&self.redis, keys, args).await?;
        let [cursor, rows] = <[Value; 2]>::try_from(array(reply)?).map_err(|_| unexpected())?;
        let jobs = array(rows)?.into_iter().map(|row| waiting(queue, flow, row)).collect::<Result<_, _>>()?;
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

fn in_stream(queue: &Shard, peeked: Peeked) -> FoundJob {
    let Peeked { entry, fields, holder, idle_ms, deliveries } = peeked;
    let place = if holder.is_empty() {
        Place::Ready(entry)
    } else {
        Place::Running { entry, worker: holder, idle_ms, deliveries }
    };
    FoundJob { queue: queue.clone(), ticket: ticket(&fields, entry), place, fields }
}

fn waiting(queue: &Shard, flow: Option<FlowId>, row: Value) -> Result<FoundJob, Error> {
    let [ticket, due, own] = <[Value; 3]>::try_from(array(row)?).map_err(|_| unexpected())?;
    let fields = fields(own)?;
    let place = match flow {
        Some(flow) => {
            let name = of_fields(&fields).map(|(_, name)| name).unwrap_or_default();
            Place::Parked { flow, name }
        }
        None => {
            // A score, which Redis writes as it writes floats.
            let due = text(&due)?.parse::<f64>().ok().filter(|due| *due >= 0.0).map(|due| due as u64);
            Place::Scheduled(due)
        }
    };
    Ok(FoundJob { queue: queue.clone(), ticket: text(&ticket)?, place, fields })
}

/// Whether an entry is the job of that ticket or label.
fn bears(fields: &Fields, entry: EntryId, id: &str) -> bool {
    labelled(fields, id) || ticket(fields, entry) == id
}

fn labelled(fields: &Fields, id: &str) -> bool {
    field(fields, "id").is_some_and(|label| label == id)
}
