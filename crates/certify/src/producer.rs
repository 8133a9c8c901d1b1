//! The producer: numbered jobs at a steady rate, each sent once, except those with idempotency keys.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use postrider_queue::{Enqueuing, EntryId, NewJob, QueueName, Redis};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::job::Jobs;
use super::places;

/// How often jobs are sent: a job alone, the others of the same time together.
const TICK: Duration = Duration::from_millis(50);
/// After this time, a job with an idempotency key is enqueued again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// Jobs that are due after a time without Redis go in groups of this size.
const GROUP_MAX: u64 = 64;

/// The producer's record of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enqueued {
    /// Whether Redis has acknowledged the job. If not, it may or may not be in the queue.
    pub(crate) acknowledged: bool,
    /// Whether its first call was not acknowledged. With an idempotency key, a second one may enqueue it, after later jobs.
    pub(crate) failed_first: bool,
    pub(crate) at: Instant,
}

/// What was enqueued.
#[derive(Default)]
pub(crate) struct Produced {
    /// The jobs by their numbers.
    pub(crate) jobs: Vec<Enqueued>,
    /// How many jobs were acknowledged a second time, under their idempotency key.
    pub(crate) repeated: u64,
    /// Idempotency keys that were acknowledged as two jobs, and when they were sent for the first time.
    pub(crate) twice: Vec<(Instant, String)>,
}

/// A running producer. It stops when it is dropped.
pub(crate) struct Producer {
    stop: CancellationToken,
    count: Arc<AtomicU64>,
    task: AbortOnDropHandle<Produced>,
}

impl Producer {
    /// `ahead_ms` is how far Redis' clock is ahead.
    pub(crate) fn start(redis: Redis, jobs: Jobs, ahead_ms: i64) -> Producer {
        let (stop, count) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        let run = Run {
            redis,
            jobs,
            ahead_ms,
            queues: places::queues().map(|(queue, _)| queue),
            produced: Produced::default(),
            again: VecDeque::new(),
            count: count.clone(),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(run.produce(stop.clone())));
        Producer { stop, count, task }
    }

    /// How many jobs were sent so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Stops, and returns the jobs.
    pub(crate) async fn stop(self) -> Produced {
        self.stop.cancel();
        self.task.await.unwrap_or_default()
    }
}

struct Run {
    redis: Redis,
    jobs: Jobs,
    ahead_ms: i64,
    queues: [QueueName; 2],
    produced: Produced,
    /// Jobs that will be enqueued again: when, and the id with which they were acknowledged.
    again: VecDeque<(Instant, u64, Option<EntryId>)>,
    count: Arc<AtomicU64>,
}

impl Run {
    async fn produce(mut self, stop: CancellationToken) -> Produced {
        let start = Instant::now();
        while !stop.is_cancelled() {
            // Relative to the start, so that the average rate is kept after a time without Redis.
            let due = (start.elapsed().as_secs_f64() * f64::from(self.jobs.rate)) as u64;
            let next = self.produced.jobs.len() as u64;
            if next < due {
                self.send(next, due.min(next + GROUP_MAX)).await;
            }
            self.send_again(Instant::now()).await;
            if due <= next + GROUP_MAX {
                tokio::select! {
                    () = tokio::time::sleep(TICK) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        self.send_again(Instant::now() + AGAIN_AFTER).await;
        self.redis.close().await;
        self.produced
    }

    /// Sends the first job alone, and the others together, queue by queue.
    async fn send(&mut self, first: u64, end: u64) {
        let at = Instant::now();
        self.produced.jobs.extend((first..end).map(|_| Enqueued {
            acknowledged: false,
            failed_first: false,
            at,
        }));
        let entry = self.send_one(first).await;
        self.note(first, entry);
        for queue in 0..self.queues.len() {
            let numbers: Vec<u64> =
                (first + 1..end).filter(|number| self.jobs.queue(*number) == queue).collect();
            if numbers.is_empty() {
                continue;
            }
            let now = self.now();
            let job =
                |number: &u64| NewJob { fields: self.jobs.fields(*number, now), key: self.jobs.key(*number) };
            let publications =
                match self.redis.enqueue_all(&self.queues[queue], numbers.iter().map(job).collect()).await {
                    Ok(publications) => publications.into_iter().map(Some).collect(),
                    Err(error) => error.publications,
                };
            for (number, publication) in numbers.into_iter().zip(publications) {
                self.note(number, publication.map(|publication| publication.entry));
            }
        }
        self.count.store(end, Ordering::Relaxed);
    }

    /// Returns the id with which Redis has acknowledged the job.
    async fn send_one(&self, number: u64) -> Option<EntryId> {
        let (fields, how) = (self.jobs.fields(number, self.now()), self.enqueuing(number));
        let sent = self.redis.enqueue(&self.queues[self.jobs.queue(number)], fields, &how).await;
        sent.ok().map(|publication| publication.entry)
    }

    fn enqueuing(&self, number: u64) -> Enqueuing {
        Enqueuing { key: self.jobs.key(number), cap: None }
    }

    fn note(&mut self, number: u64, entry: Option<EntryId>) {
        let job = &mut self.produced.jobs[number as usize];
        (job.acknowledged, job.failed_first) = (entry.is_some(), entry.is_none());
        if self.jobs.key(number).is_some() {
            self.again.push_back((Instant::now() + AGAIN_AFTER, number, entry));
        }
    }

    /// Enqueues jobs again whose time has come: under the same key, this is the same job.
    async fn send_again(&mut self, until: Instant) {
        while let Some((_, number, first)) = self.again.pop_front_if(|(at, ..)| *at <= until) {
            let second = self.send_one(number).await;
            self.produced.jobs[number as usize].acknowledged |= second.is_some();
            self.produced.repeated += u64::from(first.is_some() && second.is_some());
            if let (Some(first), Some(second)) = (first, second)
                && first != second
            {
                let text = format!(
                    "the idempotency key of job {number} was acknowledged as two jobs, {first} and {second}"
                );
                self.produced.twice.push((self.produced.jobs[number as usize].at, text));
            }
        }
    }

    /// Unix milliseconds by Redis' clock.
    fn now(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64);
        (now + self.ahead_ms).unsigned_abs()
    }
}
