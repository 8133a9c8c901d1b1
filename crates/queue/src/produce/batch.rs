//! Enqueues many jobs in few calls.

use std::collections::BTreeMap;

use fred::types::Value;
use telemetry::{Context, Span, semconv};

use super::enqueue::{EnqueueError, IdempotencyKey, Outgoing, Publication};
use super::shard::{MOVES_MAX, Numbers, homes, order_key};
use crate::job::{EntryId, Fields, Producer};
use crate::redis::{Error, Operation, QueueName, QueueShard, Redis, number, push_fields, unexpected};

/// How many jobs with keys one script call enqueues at most: it blocks Redis.
const CALL_JOBS_MAX: usize = 1000;
/// Their bytes at most, unless one job alone has more.
const CALL_BYTES_MAX: usize = 1 << 20;

/// One of many jobs.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its fields.
    pub fields: Fields,
    /// Enqueues one job for a key within the key's TTL, however often the producer repeats the call.
    pub key: Option<IdempotencyKey>,
}

impl From<Fields> for NewJob {
    fn from(fields: Fields) -> Self {
        Self { fields, key: None }
    }
}

/// Not all of many jobs are enqueued, or Redis has not confirmed all.
#[derive(Debug, thiserror::Error)]
#[error("not all jobs are enqueued")]
pub struct BatchError {
    /// What Redis has confirmed, in the order of the jobs. Jobs without any key are enqueued after those with an order key
    /// or an idempotency key, in their order: where no job has an order key, enqueueing all from the first `None` on repeats no
    /// job, unless Redis did not answer to a call without idempotency keys.
    pub publications: Vec<Option<Publication>>,
    /// Why it ended.
    #[source]
    pub error: EnqueueError,
}

/// Many jobs on their way.
pub(super) struct Batch<'a> {
    pub(super) redis: &'a Redis,
    pub(super) name: &'a QueueName,
    operation: Operation,
    pub(super) publish: Context,
    pub(super) jobs: Vec<Fields>,
    keys: Vec<Option<IdempotencyKey>>,
    publications: Vec<Option<Publication>>,
}

impl Redis {
    /// Enqueues many jobs, with up to 1,000 jobs and 1 MiB in each call, of jobs without any key 250 and 512 KiB: these go into one shard after the other, 1,000 into each;
    /// an order key or an idempotency key selects its shard as in [`Redis::enqueue`]. Redis enqueues all jobs of a call or none. Each of several jobs
    /// gets its own trace, whose root links to the span of this operation. A job that already has a context keeps it.
    ///
    /// # Errors
    /// [`BatchError`], which has the jobs of earlier calls.
    pub async fn enqueue_all(
        &self,
        name: &QueueName,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Publication>, BatchError> {
        let (mut jobs, keys): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.fields, job.key)).unzip();
        let producer = self.producer_shard(name, 0);
        let (span, operation, began) = producer.publish_span(&jobs);
        let publish = span.context();
        producer.inject(&publish, operation, &mut jobs);
        let publications = vec![None; jobs.len()];
        let mut batch = Batch { redis: self, name, operation, publish, jobs, keys, publications };
        let enqueued = batch.run().await;
        let error = enqueued.as_ref().err().map(EnqueueError::error_type);
        producer.published(&span, operation, batch.jobs.len(), began, error.as_ref());
        match enqueued {
            Ok(()) => Ok(batch.publications.into_iter().flatten().collect()),
            Err(error) => Err(BatchError { publications: batch.publications, error }),
        }
    }
}

impl Batch<'_> {
    async fn run(&mut self) -> Result<(), EnqueueError> {
        let ttl = self.keys.iter().flatten().map(IdempotencyKey::ttl_millis).max();
        let mut seen = Numbers::default();
        for _ in 0..MOVES_MAX {
            let numbers = match ttl {
                None => Numbers { changes: 0, all: vec![self.redis.recent_shards(self.name).await?] },
                Some(ttl) => Numbers::read(self.redis, self.name, ttl, &seen).await?,
            };
            self.claim(&numbers).await?;
            let changes = numbers.changes_after(&seen);
            let (keyed, others): (Vec<_>, Vec<_>) =
                self.left().partition(|index| self.route(*index).is_some());
            let mut groups = BTreeMap::<u32, Vec<usize>>::new();
            for index in keyed {
                groups.entry(self.homes(index, &numbers.all)[0]).or_default().push(index);
            }
            for (shard, indices) in groups {
                for call in self.calls(&indices, (CALL_JOBS_MAX, CALL_BYTES_MAX)) {
                    self.enter(shard, call, changes).await?;
                }
            }
            // Those without a key last: nothing is after them that could fail, and they must not be repeated.
            self.enter_in_turn(numbers.all.first().map_or(1, |now| (*now).max(1)), &others).await?;
            if self.left().next().is_none() {
                return Ok(());
            }
            seen = numbers;
        }
        Err(EnqueueError::Moved)
    }

    /// The jobs that are not enqueued yet.
    fn left(&self) -> impl Iterator<Item = usize> {
        (0..).zip(&self.publications).filter(|(_, done)| done.is_none()).map(|(index, _)| index)
    }

    /// The key that selects the shard of a job, if it has one.
    fn route(&self, index: usize) -> Option<&[u8]> {
        let key = || self.keys[index].as_ref().map(|key| key.key.as_bytes());
        order_key(&self.jobs[index]).map(AsRef::as_ref).or_else(key)
    }

    /// The shards in which the key of a job may be, beginning with its present one; none without a key.
    fn homes(&self, index: usize, numbers: &[u32]) -> Vec<u32> {
        self.route(index).map(|key| homes(key, numbers)).unwrap_or_default()
    }

    /// Claims the keys in the shards where they would be by former numbers of shards.
    async fn claim(&mut self, numbers: &Numbers) -> Result<(), Error> {
        let mut former = BTreeMap::<u32, Vec<usize>>::new();
        let has_key = |index: &usize| numbers.all.len() > 1 && self.keys[*index].is_some();
        for index in self.left().filter(has_key) {
            for shard in self.homes(index, &numbers.all).into_iter().skip(1) {
                former.entry(shard).or_default().push(index);
            }
        }
        for (shard, indices) in former {
            for indices in indices.chunks(CALL_JOBS_MAX) {
                let unknown: Vec<usize> =
                    indices.iter().copied().filter(|index| self.publications[*index].is_none()).collect();
                let keys = unknown.iter().filter_map(|index| self.keys[*index].as_ref());
                let queue = self.redis.producer_shard(self.name, shard);
                let found = queue.claim_keys(numbers.changes, keys).await?;
                for (index, entry) in unknown.into_iter().zip(found) {
                    let known = |entry| Publication { entry, shard, known: true, trace_id: None };
                    self.publications[index] = entry.map(known);
                }
            }
        }
        Ok(())
    }

    /// Divides jobs of one shard into calls.
    pub(super) fn calls<'i>(
        &self,
        mut indices: &'i [usize],
        (jobs_max, bytes_max): (usize, usize),
    ) -> Vec<&'i [usize]> {
        let size = |index: &usize| -> usize {
            self.jobs[*index].iter().map(|(name, value)| name.len() + value.len()).sum()
        };
        let mut calls = vec![];
        while !indices.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            for index in indices.iter().take(jobs_max) {
                bytes += size(index);
                if count > 0 && bytes > bytes_max {
                    break;
                }
                count += 1;
            }
            let (call, rest) = indices.split_at(count);
            calls.push(call);
            indices = rest;
        }
        calls
    }

    async fn enter(&mut self, shard: u32, call: &[usize], changes: u64) -> Result<(), EnqueueError> {
        let queue = self.redis.producer_shard(self.name, shard);
        let roots = self.roots(&queue, call);
        let jobs = call.iter().map(|index| (&self.jobs[*index], self.keys[*index].as_ref()));
        let entered = queue.enter_all(&self.publish, jobs, changes).await;
        self.entered(shard, call, &roots, entered)
    }

    /// Keeps what a call has enqueued.
    pub(super) fn entered(
        &mut self,
        shard: u32,
        call: &[usize],
        roots: &BTreeMap<usize, Span>,
        entered: Result<Vec<Option<(EntryId, bool)>>, Error>,
    ) -> Result<(), EnqueueError> {
        if let Err(error) = &entered {
            roots.values().for_each(|root| root.fail(&fred_otel::error_type(error)));
        }
        for (index, entered) in call.iter().zip(entered?) {
            let Some((entry, known)) = entered else { continue };
            let root = roots.get(index);
            if let Some(root) = root {
                root.set_with(semconv::MESSAGING_MESSAGE_ID, || entry.to_string().into());
            }
            let trace_id = root.and_then(|root| root.context().trace_id());
            self.publications[*index] = Some(Publication { entry, shard, known, trace_id });
        }
        Ok(())
    }

    /// Begins the trace of each job without a context: a root with a link to the publish span. It is recorded
    /// if the parent of the publish span is; without a parent, the sampler decides for each job. Returns each
    /// root with the index of its job.
    pub(super) fn roots(&mut self, queue: &QueueShard, call: &[usize]) -> BTreeMap<usize, Span> {
        let telemetry = &queue.0.telemetry;
        if !telemetry.is_on() || self.operation != Operation::PublishAll {
            return BTreeMap::new();
        }
        let (operations, current, none) = (queue.operations(), Context::current(), Context::none());
        let linked = if self.publish.is_sampled() { &self.publish } else { &none };
        let mut roots = BTreeMap::new();
        for index in call {
            let fields = &mut self.jobs[*index];
            if telemetry.extract(&Producer(fields)).is_some() {
                continue;
            }
            let builder = operations.span(Operation::Create).root_as_sampled(&current).link(linked);
            let root = builder.start(|attributes| operations.describe(Operation::Create, attributes));
            let context = root.context();
            if context.is_some() {
                context.inject(&mut Outgoing(fields));
                roots.insert(*index, root);
            }
        }
        roots
    }
}

impl QueueShard {
    /// Enqueues jobs in one call. Returns the entry of each, and whether it existed before; `None` if its key belongs
    /// elsewhere.
    async fn enter_all<'a>(
        &self,
        parent: &Context,
        jobs: impl Iterator<Item = (&'a Fields, Option<&'a IdempotencyKey>)>,
        changes: u64,
    ) -> Result<Vec<Option<(EntryId, bool)>>, Error> {
        let (mut keys, mut args) = (vec![self.0.keys.jobs.clone()], Vec::<Value>::new());
        let mut count = 0;
        for (fields, key) in jobs {
            keys.extend(key.map(|key| self.0.keys.idempotency(&key.key)));
            let ttl = key.map_or(0, |key| key.ttl_millis());
            args.extend([number(ttl), number(changes), number(2 * fields.len() as u64)]);
            push_fields(&mut args, fields);
            count += 1;
        }
        let reply = self.0.scripts.enqueue_all.call(&self.0.redis, parent, keys, args).await?;
        let reply: Vec<String> = reply.convert()?;
        if reply.len() != 2 * count {
            return Err(unexpected());
        }
        let entered = |pair: &[String]| match pair[0].as_str() {
            "m" => Ok(None),
            letter => {
                let entry = EntryId::parse(pair[1].as_bytes()).ok_or_else(unexpected)?;
                Ok(Some((entry, letter == "k")))
            }
        };
        reply.chunks_exact(2).map(entered).collect()
    }
}
