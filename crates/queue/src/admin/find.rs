//! Lists jobs, and finds one by its id, its entry or its label.

use fred::clients::Client;
use fred::interfaces::KeysInterface;
use fred::types::Value;
use fred_otel::Command;

use super::{FoundJob, Inspector, Place, Shard, array, field, job_id, text};
use crate::job::{EntryId, Fields, FlowId, of_fields};
use crate::redis::{Error, GROUP, Keys, entry_id, fields, number, unexpected};
use crate::trail::JobResult;

/// Lists truncate longer values to this, bytes.
const CUT: u64 = 2_048;
/// No value of Redis is longer, bytes.
const WHOLE: u64 = u32::MAX as u64;
/// How many entries, and how many waiting jobs, a search reads at most.
const SEARCHED_MAX: usize = 10_000;
/// How many jobs a call reads.
const PAGE: u64 = 100;

/// The state of the jobs to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the stream, for any worker.
    Ready,
    /// In flight at a worker.
    Running,
    /// Waiting for a time.
    Scheduled,
    /// Held by its flow.
    Held,
}

/// Jobs, and whether there may be more.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The jobs: running, then ready, then scheduled by their due time, then held, flow by flow in the order
    /// in which they were enqueued.
    pub jobs: Vec<FoundJob>,
    /// Whether the limit was reached.
    pub cut: bool,
}

/// The result of a search.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// All jobs that were found.
    pub jobs: Vec<FoundJob>,
    /// Whether the search stopped before the end of the queue.
    pub cut: bool,
}

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
struct PeekWaiting<'a> {
    /// The flow that holds them; `None` for scheduled jobs.
    flow: Option<FlowId>,
    /// `due`, `scan` or `job_id`.
    order: &'static str,
    /// The number of jobs to skip, the cursor, or the job id.
    start: &'a str,
    /// The number of jobs at most.
    count: u64,
    /// The number of bytes of each value at most.
    most: u64,
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
    /// Up to `limit` jobs of a queue, in one state or in any; long values are truncated.
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
        if wanted(State::Held) && jobs.len() <= limit {
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

    /// The first jobs of the schedule or of a flow, up to `most`, read a page at a time.
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

    /// Up to `most` jobs of the stream, read a page at a time so that no call blocks Redis for long.
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

    /// The jobs with an id. The id of a waiting job or of an entry is looked up. A label, or the id of a job
    /// that now has another entry, needs a bounded search, which truncates long values.
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

    /// The kept result of a job, by its id; `None` if the job keeps none, has none yet, or its result has
    /// expired.
    ///
    /// # Errors
    /// fred's.
    pub async fn result(&self, queue: &Shard, job_id: &str) -> Result<Option<JobResult>, Error> {
        let key = Self::keys(queue).result(job_id.as_bytes());
        let get = |client: Client| async move { client.get::<Option<String>, _>(key).await };
        let found = self.redis.run(Command::new("GET"), get).await?;
        // A value that is no result is the producer's own, under a made-up job id.
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
                // Read again, with its holder.
                let entry = peeked.entry.to_string();
                let again = self.peek(own, Peek { most: CUT, ..Peek::one(&entry) }).await?;
                search.jobs.extend(again.into_iter().map(|peeked| in_stream(queue, peeked)));
            }
            if last {
                break;
            }
            if seen >= SEARCHED_MAX {
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
            if seen >= SEARCHED_MAX {
                search.cut = true;
                return Ok(search);
            }
            cursor = next;
        }
    }

    /// The same job with whole values; `None` if it has moved since.
    ///
    /// # Errors
    /// fred's.
    pub async fn whole(&self, job: &FoundJob) -> Result<Option<FoundJob>, Error> {
        match &job.place {
            Place::Ready(entry) | Place::Running { entry, .. } => {
                let found = self.peek(&Self::keys(&job.queue), Peek::one(&entry.to_string())).await?;
                Ok(found.into_iter().next().map(|peeked| in_stream(&job.queue, peeked)))
            }
            Place::Scheduled(_) | Place::Held { .. } => self.waits(&job.queue, &job.id).await,
        }
    }

    /// The waiting job of an id, with whole values.
    async fn waits(&self, queue: &Shard, job_id: &str) -> Result<Option<FoundJob>, Error> {
        let peek = PeekWaiting { flow: None, order: "job_id", start: job_id, count: 1, most: WHOLE };
        let (_, found) = self.peek_waiting(queue, peek).await?;
        match found.into_iter().next() {
            Some(job) => self.placed(job).await.map(Some),
            None => Ok(None),
        }
    }

    /// Looks for a job that is not in the schedule in the set of its flow.
    async fn placed(&self, job: FoundJob) -> Result<FoundJob, Error> {
        let (Place::Scheduled(None), Some((flow, name))) = (&job.place, of_fields(&job.fields)) else {
            return Ok(job);
        };
        let key = Self::keys(&job.queue).flow(flow);
        let args = vec![key.clone().into(), job.id.as_str().into()];
        let stands = !matches!(self.command("ZSCORE", Some(&key), args).await?, Value::Null);
        Ok(if stands { FoundJob { place: Place::Held { flow, name }, ..job } } else { job })
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

    /// The next cursor, and a page of waiting jobs.
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
    FoundJob { queue: queue.clone(), id: job_id(&fields, entry), place, fields }
}

fn waiting(queue: &Shard, flow: Option<FlowId>, row: Value) -> Result<FoundJob, Error> {
    let [job_id, due, own] = <[Value; 3]>::try_from(array(row)?).map_err(|_| unexpected())?;
    let fields = fields(own)?;
    let place = match flow {
        Some(flow) => {
            let name = of_fields(&fields).map(|(_, name)| name).unwrap_or_default();
            Place::Held { flow, name }
        }
        None => {
            // Redis writes a score as a float.
            let due = text(&due)?.parse::<f64>().ok().filter(|due| *due >= 0.0).map(|due| due as u64);
            Place::Scheduled(due)
        }
    };
    Ok(FoundJob { queue: queue.clone(), id: text(&job_id)?, place, fields })
}

/// Whether an entry is the job of an id or a label.
fn bears(fields: &Fields, entry: EntryId, id: &str) -> bool {
    labelled(fields, id) || job_id(fields, entry) == id
}

fn labelled(fields: &Fields, id: &str) -> bool {
    field(fields, "label").is_some_and(|label| label == id)
}
