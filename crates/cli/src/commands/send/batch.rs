//! Enqueues the jobs of `send --from`, in the order of their lines.

use std::error::Error;
use std::num::NonZeroU64;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join;
use futures_util::stream::{self, StreamExt};
use indicatif::ProgressBar;
use postrider_queue::work::is_answer;
use postrider_queue::{EnqueueError, Enqueuing, IdempotencyKey, JsonJob, NewJob, QueueName, Redis};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::Usage;
use super::lines::{Lines, Numbered};

/// Jobs that are read while those before them are enqueued.
const BATCH_JOBS_MAX: usize = 4000;
/// Their bytes.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Lines that are read before the calls under way go on.
const LINES_AT_ONCE: u64 = 32;
/// Concurrent calls for jobs with keys under a cap, which are enqueued one by one.
const CONCURRENT_CALLS: usize = 32;
/// The longest time that a job waits for others of its batch.
const LINGER: Duration = Duration::from_millis(50);

/// Enqueues batches in a queue.
pub(super) struct Sending<'a> {
    pub(super) redis: &'a Redis,
    pub(super) queue: &'a QueueName,
    pub(super) key_ttl: Duration,
    pub(super) cap: Option<NonZeroU64>,
    pub(super) bar: ProgressBar,
    pub(super) done: Done,
}

/// The progress.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Jobs that were enqueued.
    pub(super) enqueued: u64,
    /// Jobs that had been enqueued before, by their keys.
    pub(super) known: u64,
    /// The line up to which all jobs are enqueued.
    pub(super) lines: u64,
    /// Whether jobs of later lines may be enqueued, too: Redis did not answer to their calls.
    pub(super) unsure: bool,
}

/// Reads the lines a batch at a time.
struct Reading<'a> {
    lines: &'a mut Lines,
    /// The first job of the next batch.
    next: Option<(u64, JsonJob)>,
}

/// Jobs that are enqueued together, and what ends the reading after them: the end of the input, or an error.
struct Read {
    jobs: Vec<(u64, JsonJob)>,
    end: Option<Result<(), Box<dyn Error>>>,
}

/// Jobs that are read to be enqueued together.
struct Batch {
    jobs: Vec<(u64, JsonJob)>,
    bytes: usize,
    /// When the batch is sent, even if it is not full.
    due: Instant,
}

impl Sending<'_> {
    /// Enqueues all jobs up to the first wrong line, or until it is stopped. While Redis enqueues a batch, the next one is read.
    pub(super) async fn run(
        &mut self,
        lines: &mut Lines,
        stop: &CancellationToken,
    ) -> Result<(), Box<dyn Error>> {
        let mut reading = Reading { lines, next: None };
        let mut read = reading.batch(stop).await;
        loop {
            match read {
                Read { jobs, end: None } => {
                    // A job that is not enqueued ends it at once, also while nothing can be read.
                    let next = reading.batch(stop).map(Ok);
                    read = try_join(self.enqueue(jobs, stop), next).await?.1;
                }
                Read { jobs, end: Some(end) } => {
                    self.enqueue(jobs, stop).await?;
                    end?;
                    self.done.lines = reading.lines.number;
                    return Ok(());
                }
            }
        }
    }

    async fn enqueue(
        &mut self,
        jobs: Vec<(u64, JsonJob)>,
        stop: &CancellationToken,
    ) -> Result<(), Box<dyn Error>> {
        match jobs.first() {
            None => Ok(()),
            Some(_) if self.cap.is_none() => self.enqueue_together(jobs).await,
            Some(_) => self.enqueue_singly(jobs, stop).await,
        }
    }

    async fn enqueue_together(&mut self, jobs: Vec<(u64, JsonJob)>) -> Result<(), Box<dyn Error>> {
        let (numbers, jobs): (Vec<u64>, Vec<NewJob>) = jobs
            .into_iter()
            .map(|(number, job)| {
                let key = job.key.map(|key| IdempotencyKey { key, ttl: self.key_ttl });
                (number, NewJob { fields: job.fields, key })
            })
            .unzip();
        let (publications, error) = match self.redis.enqueue_all(self.queue, jobs).await {
            Ok(publications) => (publications.into_iter().map(Some).collect(), None),
            Err(failed) => (failed.publications, Some(failed.error)),
        };
        let known = publications.iter().flatten().filter(|publication| publication.known).count() as u64;
        let done = publications.iter().flatten().count() as u64;
        self.done.known += known;
        self.done.enqueued += done - known;
        self.bar.inc(done);
        let first = publications.iter().position(Option::is_none).unwrap_or(numbers.len());
        if let Some(last) = numbers[..first].last() {
            self.done.lines = *last;
        }
        match error {
            None => Ok(()),
            Some(error) => Err(self.failed(numbers[first], numbers[numbers.len() - 1], &error)),
        }
    }

    /// A job with a key can be enqueued again safely, so several calls run at once. Without keys they run one by
    /// one: no job may be enqueued behind one that failed.
    async fn enqueue_singly(
        &mut self,
        jobs: Vec<(u64, JsonJob)>,
        stop: &CancellationToken,
    ) -> Result<(), Box<dyn Error>> {
        let at_once = if jobs.iter().all(|(_, job)| job.key.is_some()) { CONCURRENT_CALLS } else { 1 };
        let (redis, queue, cap, ttl) = (self.redis, self.queue, self.cap, self.key_ttl);
        let put = |(number, job): (u64, JsonJob)| async move {
            let how = Enqueuing { key: job.key.map(|key| IdempotencyKey { key, ttl }), cap };
            (number, redis.enqueue(queue, job.fields, &how).await)
        };
        let mut under_way = stream::iter(jobs).map(put).buffered(at_once);
        while let Some((number, put)) = under_way.next().await {
            match put {
                Ok(publication) if publication.known => self.done.known += 1,
                Ok(_) => self.done.enqueued += 1,
                Err(error) => return Err(self.failed(number, number, &error)),
            }
            self.done.lines = number;
            self.bar.inc(1);
            if stop.is_cancelled() {
                return Err("interrupted".into());
            }
        }
        Ok(())
    }

    fn failed(&mut self, first: u64, last: u64, error: &EnqueueError) -> Box<dyn Error> {
        let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
        match error {
            EnqueueError::Full { .. } | EnqueueError::Moved => format!("{lines}: {error}").into(),
            EnqueueError::Redis(error) if is_answer(error) => {
                format!("Redis refuses {lines}: {}", error.details()).into()
            }
            EnqueueError::Redis(error) => {
                self.done.unsure = true;
                format!("Redis does not answer to {lines}: {}", error.details()).into()
            }
        }
    }
}

impl Reading<'_> {
    /// Reads the jobs of a batch, up to a wrong line; none if it is stopped.
    async fn batch(&mut self, stop: &CancellationToken) -> Read {
        // What was enqueued is sent before this thread reads and checks the next lines.
        yield_now().await;
        let mut batch = Batch::new();
        if let Some((number, job)) = self.next.take() {
            batch.push(number, job);
        }
        loop {
            let line = tokio::select! {
                biased;
                () = stop.cancelled() => return Read { jobs: vec![], end: Some(Err("interrupted".into())) },
                line = self.lines.next() => line,
                () = sleep_until(batch.due), if !batch.jobs.is_empty() => return batch.read(None),
            };
            match line {
                Ok(Some(Numbered { number, job: Ok(job) })) if batch.is_full_before(&job) => {
                    self.next = Some((number, job));
                    return batch.read(None);
                }
                Ok(Some(Numbered { number, job: Ok(job) })) => {
                    batch.push(number, job);
                    if number.is_multiple_of(LINES_AT_ONCE) {
                        yield_now().await;
                    }
                }
                Ok(Some(Numbered { number, job: Err(error) })) => {
                    let error = Usage(format!("line {number}: {error}"));
                    return batch.read(Some(Err(error.into())));
                }
                Ok(None) => return batch.read(Some(Ok(()))),
                Err(error) => {
                    let error = format!("cannot read {}: {error}", self.lines.name);
                    return batch.read(Some(Err(error.into())));
                }
            }
        }
    }
}

impl Batch {
    fn new() -> Self {
        Self { jobs: Vec::new(), bytes: 0, due: Instant::now() }
    }

    fn read(self, end: Option<Result<(), Box<dyn Error>>>) -> Read {
        Read { jobs: self.jobs, end }
    }

    fn is_full_before(&self, job: &JsonJob) -> bool {
        !self.jobs.is_empty()
            && (self.jobs.len() >= BATCH_JOBS_MAX || self.bytes + job.bytes() > BATCH_BYTES_MAX)
    }

    fn push(&mut self, number: u64, job: JsonJob) {
        if self.jobs.is_empty() {
            self.due = Instant::now() + LINGER;
        }
        self.bytes += job.bytes();
        self.jobs.push((number, job));
    }
}
