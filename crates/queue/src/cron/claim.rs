//! The ticks that are due in Redis, and their jobs.

use std::time::{Duration, Instant};

use fred::error::Error;
use fred::types::Value;
use telemetry::{Context, ErrorType, Span, semconv};

use super::definition::{BadDefinition, CronName, Definition, Overlap};
use super::plan::Plan;
use super::template;
use crate::job::{ENTRY_BYTES_MAX, EntryId, Fields, RESULT_TTL_MILLIS_MAX};
use crate::redis::{Keys, Operation, QueueShard, number, push_fields, unexpected};

/// How many definitions one look finds.
const DEFINITIONS_MAX: u64 = 16;
/// How many jobs one script call makes at most, and of how many bytes, unless one job alone has more.
const CALL_JOBS_MAX: usize = 100;
const CALL_BYTES_MAX: usize = 1 << 20;

/// The definitions that are due.
#[derive(Clone, Debug)]
pub struct DueTicks {
    /// Redis' time, Unix ms.
    pub now: u64,
    /// How long until the next tick of another one; `None` if there is none.
    pub next_in: Option<Duration>,
    /// Those that are due now; there may be more.
    pub due: Vec<DueTick>,
}

/// A definition that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTick {
    /// The name of the definition.
    pub name: String,
    text: String,
    /// The tick that is due, as Redis has it: Unix ms. Anything else was lost.
    tick: String,
    /// The last job, or empty.
    last_job: String,
}

/// What was made of the ticks of a definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Ticks that made a job.
    pub made: u64,
    /// Ticks that made none, since no worker claimed them in time.
    pub missed: u64,
    /// Ticks that made none, since the last job has not ended.
    pub skipped: u64,
}

/// No job was made of a tick.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The definition is wrong: written by another program, or for another version.
    #[error("the definition is wrong: {}", .0.iter().map(BadDefinition::line).collect::<Vec<_>>().join("; "))]
    Definition(Vec<BadDefinition>),
    /// Redis failed.
    #[error(transparent)]
    Redis(#[from] Error),
}

impl QueueShard {
    /// The definitions of this queue that are due. No other call returns them for the time `hold`. With `look_for_lost`,
    /// also those without a time for their next tick.
    ///
    /// # Errors
    /// fred's.
    pub async fn due_ticks(&self, hold: Duration, look_for_lost: bool) -> Result<DueTicks, Error> {
        let keys = self.0.keys.cron();
        let args =
            vec![number(hold.as_millis() as u64), number(DEFINITIONS_MAX), number(look_for_lost.into())];
        let reply = self.0.scripts.cron_due.poll(&self.0.redis, keys.to_vec(), args).await?;
        let (now, next, found): (u64, u64, Vec<Value>) = reply.convert()?;
        // What is no text is a wrong definition, and must not hide others.
        let text = |value: &Value| String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned();
        let next_in = (next > 0).then(|| Duration::from_millis(next.saturating_sub(now)));
        let due = found.chunks_exact(4).map(|own| DueTick {
            name: text(&own[0]),
            text: text(&own[1]),
            tick: text(&own[2]),
            last_job: text(&own[3]),
        });
        Ok(DueTicks { now, next_in, due: due.collect() })
    }

    /// Makes the jobs of a definition that is due, and sets its next tick. Each job begins a trace.
    ///
    /// # Errors
    /// [`TickError`]. The tick then stays due.
    pub async fn make_ticks(&self, due: &DueTick, now: u64) -> Result<Ticked, TickError> {
        let definition = Definition::parse(&due.text, ENTRY_BYTES_MAX).map_err(TickError::Definition)?;
        let name: CronName = due.name.parse().map_err(|error: super::BadCronName| {
            TickError::Definition(vec![BadDefinition {
                member: "name".to_owned(),
                message: error.to_string(),
            }])
        })?;
        let mut plan = match due.tick.parse() {
            Ok(tick) => definition.plan(tick, now),
            Err(_) => Plan { ticks: vec![], missed: 0, next: definition.timing.after(now) },
        };
        let mut skipped = 0;
        if definition.overlap == Overlap::Skip && !plan.ticks.is_empty() {
            let made = usize::from(!self.is_live(&due.last_job, now).await?);
            skipped = plan.ticks.len() - made;
            plan.ticks.drain(..skipped);
        }
        let mut claim = Claim { shard: self, definition, name, due: due.clone() };
        Ok(claim.run(&plan, skipped as u64).await?)
    }

    /// Whether a job has not ended: it has no result. Results are kept so long that a job without one counts as ended.
    async fn is_live(&self, job_id: &str, now: u64) -> Result<bool, Error> {
        let Some(entry) = EntryId::parse(job_id.as_bytes()) else { return Ok(false) };
        Ok(now < entry.millis.saturating_add(RESULT_TTL_MILLIS_MAX) && self.result(job_id).await?.is_none())
    }
}

/// The claim of the ticks of one definition.
struct Claim<'a> {
    shard: &'a QueueShard,
    definition: Definition,
    name: CronName,
    due: DueTick,
}

impl Claim<'_> {
    async fn run(&mut self, plan: &Plan, skipped: u64) -> Result<Ticked, Error> {
        let mut ticked = Ticked { made: 0, missed: plan.missed, skipped };
        let mut rest = plan.ticks.as_slice();
        loop {
            let (call, later) = rest.split_at(self.jobs_in_a_call().min(rest.len()));
            let next = later.first().copied().or(plan.next);
            let first = ticked.made == 0;
            let counts = if first { [ticked.missed, ticked.skipped] } else { [0; 2] };
            let Some(jobs) = self.call(call, next, counts).await? else {
                return Ok(if first { Ticked::default() } else { ticked });
            };
            ticked.made += jobs.len() as u64;
            self.due.tick = next.map_or_else(String::new, |next| next.to_string());
            rest = later;
            if let Some(last) = jobs.last() {
                self.due.last_job = last.to_string();
            }
            if rest.is_empty() {
                return Ok(ticked);
            }
        }
    }

    fn jobs_in_a_call(&self) -> usize {
        let bytes: usize = self.definition.job.iter().map(|(name, value)| name.len() + value.len()).sum();
        (CALL_BYTES_MAX / bytes.max(1)).clamp(1, CALL_JOBS_MAX)
    }

    /// Makes the jobs of these ticks under a span each. Returns `None` if another worker was first.
    async fn call(
        &self,
        ticks: &[u64],
        next: Option<u64>,
        counts: [u64; 2],
    ) -> Result<Option<Vec<EntryId>>, Error> {
        let jobs: Vec<(Fields, Span, Instant)> = ticks.iter().map(|tick| self.job(*tick)).collect();
        let claimed = self.send(&jobs, next, counts).await;
        let error = match &claimed {
            Ok(Some(_)) => None,
            Ok(None) => Some(ErrorType::Refused),
            Err(error) => Some(fred_otel::error_type(error)),
        };
        for (index, (_, span, began)) in jobs.iter().enumerate() {
            if let Ok(Some(entries)) = &claimed
                && let Some(entry) = entries.get(index)
            {
                span.set_with(semconv::MESSAGING_MESSAGE_ID, || entry.to_string().into());
            }
            self.shard.published(span, Operation::Publish, 1, *began, error.as_ref());
        }
        claimed
    }

    /// The job of a tick, and the span that begins its trace.
    fn job(&self, tick: u64) -> (Fields, Span, Instant) {
        let mut fields = self.definition.job_at(&self.name, tick);
        let (span, operation, began) = self.shard.publish_span(std::slice::from_ref(&fields));
        self.shard.inject(&span.context(), operation, std::slice::from_mut(&mut fields));
        (fields, span, began)
    }

    async fn send(
        &self,
        jobs: &[(Fields, Span, Instant)],
        next: Option<u64>,
        [missed, skipped]: [u64; 2],
    ) -> Result<Option<Vec<EntryId>>, Error> {
        let Keys { jobs: stream, .. } = &self.shard.0.keys;
        let [cron, due] = self.shard.0.keys.cron();
        let mut keys = vec![stream.clone(), cron, due];
        if !jobs.is_empty() && !self.due.last_job.is_empty() && template::keeps_own_result(&self.definition) {
            keys.push(self.shard.0.keys.result(self.due.last_job.as_bytes()));
        }
        let mut args: Vec<Value> = vec![
            self.name.to_string().into(),
            sha1_smol::Sha1::from(&self.due.text).digest().to_string().into(),
            self.due.tick.as_str().into(),
            self.due.last_job.as_str().into(),
            next.map_or(Value::from(""), number),
            number(missed),
            number(skipped),
        ];
        for (fields, ..) in jobs {
            args.push(number(2 * fields.len() as u64));
            push_fields(&mut args, fields);
        }
        let parent = jobs.first().map_or_else(Context::none, |(_, span, _)| span.context());
        let reply = self.shard.0.scripts.cron_tick.call(&self.shard.0.redis, &parent, keys, args).await?;
        let reply: Vec<String> = reply.convert()?;
        let [letter, ids @ ..] = reply.as_slice() else { return Err(unexpected()) };
        let ids = ids.iter().map(|id| EntryId::parse(id.as_bytes()).ok_or_else(unexpected));
        if letter == "o" { ids.collect::<Result<_, _>>().map(Some) } else { Ok(None) }
    }
}
