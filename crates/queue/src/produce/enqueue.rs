//! The producer's side: enqueueing jobs, and reading their results.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::interfaces::{KeysInterface, StreamsInterface};
use fred::types::streams::XID;
use fred_otel::Command;
use telemetry::{Carrier, Context, ErrorType, Span, semconv};

use crate::job::{EntryId, Fields, Producer};
use crate::redis::{Error, Operation, QueueShard, number, push_fields, unexpected};
use crate::trail::JobResult;

/// An enqueued job.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The entry's id, which is the job id.
    pub entry: EntryId,
    /// The shard of the queue that contains it.
    pub shard: u32,
    /// Whether the job existed before, under the same idempotency key.
    pub known: bool,
    /// The job's trace, if it is recorded.
    pub trace_id: Option<String>,
}

/// How to enqueue a job.
#[derive(Clone, Debug, Default)]
pub struct Enqueuing {
    /// Enqueues one job for a key within the key's TTL, however often the producer repeats the call.
    pub key: Option<IdempotencyKey>,
    /// The cap on the shard's jobs. Default: none.
    pub cap: Option<NonZeroU64>,
}

/// A key that makes a repeated enqueue harmless.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// 1 to 256 bytes.
    pub key: String,
    /// How long it is remembered: at most [`IdempotencyKey::TTL_MAX`].
    pub ttl: Duration,
}

impl IdempotencyKey {
    /// The longest time for which a key is remembered.
    pub const TTL_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

    pub(super) fn ttl_millis(&self) -> u64 {
        self.ttl.min(Self::TTL_MAX).as_millis() as u64
    }

    /// Checks the length of a key.
    ///
    /// # Errors
    /// What to write instead.
    pub fn check(key: &str) -> Result<(), &'static str> {
        if (1..=256).contains(&key.len()) { Ok(()) } else { Err("write 1 to 256 bytes") }
    }
}

/// A job was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// The queue has reached its cap.
    #[error(
        "the queue is full: it holds {jobs} jobs, and its cap is {cap}; try again later, or raise the cap"
    )]
    Full {
        /// The number of jobs that are ready, running or waiting.
        jobs: u64,
        /// The cap.
        cap: u64,
    },
    /// The number of shards changed again and again, and the idempotency key moved with it.
    #[error("the number of shards changes; repeat the call")]
    Moved,
    /// Redis failed. After a timeout or a broken connection the job may be enqueued nevertheless. With an
    /// idempotency key the producer can repeat the call.
    #[error("the job may not be enqueued")]
    Redis(#[from] Error),
}

impl EnqueueError {
    pub(super) fn error_type(&self) -> ErrorType {
        match self {
            Self::Full { .. } | Self::Moved => ErrorType::Refused,
            Self::Redis(error) => fred_otel::error_type(error),
        }
    }
}

impl QueueShard {
    /// Enqueues a job under a span, and gives the job the span's context. A context that the job already has
    /// is kept, and the span links to it. Its key is claimed in all other shards where it
    /// may be after that many changes of their number.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub(super) async fn enqueue(
        &self,
        mut fields: Fields,
        how: &Enqueuing,
        changes: u64,
    ) -> Result<Publication, EnqueueError> {
        let (span, operation, began) = self.publish_span(std::slice::from_ref(&fields));
        let context = span.context();
        self.inject(&context, operation, std::slice::from_mut(&mut fields));
        let entered = self.enter(&context, &fields, how, changes).await;
        let error = entered.as_ref().err().map(EnqueueError::error_type);
        self.published(&span, operation, 1, began, error.as_ref());
        let (entry, known) = entered?;
        span.set_with(semconv::MESSAGING_MESSAGE_ID, || entry.to_string().into());
        Ok(Publication { entry, shard: self.0.shard, known, trace_id: context.trace_id() })
    }

    /// Returns the entry, and whether it existed before.
    async fn enter(
        &self,
        parent: &Context,
        fields: &Fields,
        how: &Enqueuing,
        changes: u64,
    ) -> Result<(EntryId, bool), EnqueueError> {
        if how.key.is_none() && how.cap.is_none() {
            return Ok((self.add(parent, fields).await?, false));
        }
        let (ttl, key) = match &how.key {
            Some(own) => (own.ttl_millis(), self.0.keys.idempotency(&own.key)),
            None => (0, self.0.keys.jobs.clone()),
        };
        let own = &self.0.keys;
        let mut keys = vec![own.jobs.clone(), own.waiting.clone(), key];
        let cap = how.cap.map_or(0, NonZeroU64::get);
        keys.extend((cap > 0).then(|| own.order_waiting.clone()));
        let mut args = vec![number(ttl), number(cap), number(changes)];
        push_fields(&mut args, fields);
        let reply = self.0.scripts.enqueue.call(&self.0.redis, parent, keys, args).await?;
        let (letter, text): (String, String) = reply.convert()?;
        if letter == "f" {
            return Err(EnqueueError::Full { jobs: text.parse().unwrap_or(cap), cap });
        }
        if letter == "m" {
            return Err(EnqueueError::Moved);
        }
        let entry = EntryId::parse(text.as_bytes()).ok_or_else(unexpected)?;
        Ok((entry, letter == "k"))
    }

    /// Without a key and a cap, the script would do no more than this, and cost Redis more.
    async fn add(&self, parent: &Context, fields: &Fields) -> Result<EntryId, Error> {
        let jobs = &self.0.keys.jobs;
        let add = |client: Client| {
            let (jobs, fields) = (jobs.clone(), fields.clone());
            async move { client.xadd::<String, _, _, _, _>(jobs, false, None, XID::Auto, fields).await }
        };
        let (added, pending) = self.0.redis.defer(jobs, Command::new("XADD"), add).await;
        pending.record(parent, added.as_ref().err());
        EntryId::parse(added?.as_bytes()).ok_or_else(unexpected)
    }

    /// The publish span. For one job without a context, it is a producer span, and the parent of the job's
    /// spans. For several jobs, or jobs with a context, it is a client span. It links to each job's own
    /// context.
    pub(crate) fn publish_span(&self, jobs: &[Fields]) -> (Span, Operation, Instant) {
        let own: Vec<Context> = jobs
            .iter()
            .map(|fields| self.0.telemetry.extract(&Producer(fields)))
            .filter(Context::is_some)
            .collect();
        let operation = match jobs.len() {
            all if all > 0 && own.len() == all => Operation::Send,
            0 | 1 => Operation::Publish,
            _ => Operation::PublishAll,
        };
        let operations = self.operations();
        let builder = own.iter().fold(operations.span(operation), |builder, own| builder.link(own));
        let span = builder.start(|attributes| {
            operations.describe(operation, attributes);
            if jobs.len() > 1 {
                attributes.set(semconv::MESSAGING_BATCH_MESSAGE_COUNT, jobs.len());
            }
        });
        (span, operation, Instant::now())
    }

    /// Gives a job the context of its publish span.
    pub(crate) fn inject(&self, context: &Context, operation: Operation, jobs: &mut [Fields]) {
        if let (Operation::Publish, true, [fields]) = (operation, context.is_some(), jobs) {
            context.inject(&mut Outgoing(fields));
        }
    }

    pub(crate) fn published(
        &self,
        span: &Span,
        operation: Operation,
        jobs: usize,
        began: Instant,
        error: Option<&ErrorType>,
    ) {
        if let Some(error) = error {
            span.fail(error);
        }
        self.operations().record_duration(operation, began, error);
        self.operations().sent(operation, jobs, error);
    }

    /// The result of a job id; `None` while there is none.
    ///
    /// # Errors
    /// fred's.
    pub async fn result(&self, job_id: &str) -> Result<Option<JobResult>, Error> {
        let key = self.0.keys.result(job_id.as_bytes());
        let get = |client: Client| {
            let key = key.clone();
            async move { client.get::<Option<String>, _>(key).await }
        };
        let (found, pending) = self.0.redis.defer(&key, Command::new("GET"), get).await;
        // Callers poll this while a job runs: it is not worth a span.
        pending.discard();
        let parse = |text: String| serde_json::from_str(&text).map_err(|_| unexpected());
        found?.map(parse).transpose()
    }
}

/// The fields of a job that is about to be enqueued.
pub(super) struct Outgoing<'a>(pub(super) &'a mut Fields);

impl Carrier for Outgoing<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(own, _)| own.as_ref() == name.as_bytes());
        field.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.0.retain(|(own, _)| own.as_ref() != name.as_bytes());
        self.0.push((name.into(), value.into()));
    }
}
