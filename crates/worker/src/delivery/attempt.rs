//! Works on one delivery: decodes it, postpones or sends it, judges the result, and settles it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper_otel::Attempt;
use postrider_queue::job::{Admitted, Delivery, Job, Lease, Malformed, Reason, quoted};
use postrider_queue::names;
use postrider_queue::work::{Postponement, Until, WaitReason, Written, fields};
use telemetry::{Context, ErrorType};
use tracing::debug;

use super::flow_gate;
use super::record::{self, Record};
use super::settlement::{Settlement, postpone_unsent, settle};
use super::trace::Process;
use crate::flows::Pass;
use crate::policy::{Answer, Circumstances, Outcome, RetryPolicy, SendResult};
use crate::shard::in_flight::InFlight;
use crate::shard::runtime::ShardRuntime;
use crate::shard::slots::Slot;

/// After this number of deliveries without a settlement, a job is poison.
const DELIVERIES_MAX: u64 = 5;

/// Begins to work on a delivery, unless it is in flight already. `sent` is when the call that fetched it
/// was sent. A blocking read may fetch a job while no slot is free: then `slot` is `None`.
pub(crate) fn begin(shard: &Arc<ShardRuntime>, delivery: Delivery, sent: Instant, slot: Option<Slot>) {
    let delivery = Arc::new(delivery);
    if !shard.in_flight.take(&delivery, sent) {
        return;
    }
    let lease = delivery.lease;
    // Boxed, since spawning would copy its 3 KB several times.
    let work = Box::pin(work(shard.clone(), delivery, slot));
    let task = shard.work.spawn(work);
    shard.in_flight.begun(lease, task);
}

/// Works on a delivery until it is settled. Code that drops this future earlier must take care of the job.
pub(crate) async fn work(shard: Arc<ShardRuntime>, delivery: Arc<Delivery>, slot: Option<Slot>) {
    let release_on_drop =
        ReleaseOnDrop { in_flight: &shard.in_flight, panicked: &shard.panicked, lease: delivery.lease };
    telemetry::about(shard.queue.name(), delivery.clone(), async {
        if let Some((settlement, context)) = deliver(&shard, &delivery).await {
            // The job keeps its slot, so that the worker fetches no more jobs than it can settle.
            settle(&shard, delivery.lease, settlement, context).await;
        }
    })
    .await;
    drop(slot);
    std::mem::forget(release_on_drop);
}

/// Removes a job whose task panics or is dropped, so that the heartbeat does not keep its lease alive for
/// ever. The lease then expires, and a worker takes over the job.
struct ReleaseOnDrop<'a> {
    in_flight: &'a InFlight,
    panicked: &'a AtomicBool,
    lease: Lease,
}

impl Drop for ReleaseOnDrop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.in_flight.put_down(self.lease);
    }
}

/// Returns the settlement of a delivery; `None` if the job was postponed or lost.
async fn deliver(shard: &ShardRuntime, delivery: &Delivery) -> Option<(Settlement, Context)> {
    let job = match Job::decode(delivery) {
        Ok(job) => job,
        Err(malformed) => {
            flow_gate::decline(shard, delivery).await;
            return Some(malformed_entry(shard, delivery, None, &malformed));
        }
    };
    if delivery.lease.delivery <= DELIVERIES_MAX
        && job.must_wait().is_some()
        && !is_due(shard, delivery, &job).await
    {
        return None;
    }
    match sendable(shard, delivery, &job) {
        Ok(policy) => {
            let pass = flow_gate::pass(shard, delivery, &job).await?;
            Some(attempt(shard, delivery, &job, policy, pass).await)
        }
        Err(settlement) => {
            flow_gate::decline(shard, delivery).await;
            Some(*settlement)
        }
    }
}

/// The retry policy of a job, or the settlement of a job that must not be sent.
fn sendable<'a>(
    shard: &'a ShardRuntime,
    delivery: &Delivery,
    job: &Job,
) -> Result<&'a RetryPolicy, Box<(Settlement, Context)>> {
    let malformed = |malformed| Box::new(malformed_entry(shard, delivery, Some(job), &malformed));
    if delivery.lease.delivery > DELIVERIES_MAX {
        return Err(Box::new(poison(shard, delivery, job)));
    }
    if job.secret.as_deref().is_some_and(|name| shard.secrets.get(name).is_none()) {
        return Err(malformed(unknown_secret(shard, job)));
    }
    let policy = shard.retry.get(job.retry.as_deref());
    let policy = policy.ok_or_else(|| malformed(unknown_policy(shard, job)))?;
    match too_late(shard, delivery, job, policy) {
        Some(error) => Err(Box::new(expired(shard, delivery, job, error))),
        None => Ok(policy),
    }
}

fn unknown_policy(shard: &ShardRuntime, job: &Job) -> Malformed {
    let named = quoted(&String::from_utf8_lossy(job.retry.as_deref().unwrap_or_default()));
    let known: Vec<&str> = shard.retry.named.keys().map(String::as_str).collect();
    let known = known.join(", ");
    Malformed::new(format!("field `retry`: no policy is named {named}; known are default {known}").trim_end())
}

/// A job that needs a signature is never sent without one.
fn unknown_secret(shard: &ShardRuntime, job: &Job) -> Malformed {
    let name = job.secret.as_deref().unwrap_or_default();
    if name.starts_with(b"whsec_") || name.starts_with(b"whsk_") {
        let error = "field `secret` holds a key, which is not repeated here; it must be the name of a secret";
        return Malformed::new(error);
    }
    let named = quoted(&String::from_utf8_lossy(job.secret.as_deref().unwrap_or_default()));
    let known: Vec<&str> = shard.secrets.names().collect();
    let known =
        if known.is_empty() { "none is known".to_owned() } else { format!("known are {}", known.join(", ")) };
    Malformed::new(format!("field `secret`: no secret is named {named}; {known}"))
}

/// Each of its workers died or lost it.
fn poison(shard: &ShardRuntime, delivery: &Delivery, job: &Job) -> (Settlement, Context) {
    let process = Process::begin(shard, delivery, Some(job));
    let context = process.context();
    let record = Record::new(delivery, job, &context);
    let deliveries = delivery.lease.delivery - 1;
    let error = format!("it was delivered {deliveries} times and never settled: its workers died or lost it");
    (dead_letter(record, process, Reason::Poison, &error, &names::LEASE_LOST), context)
}

/// Dead-letters an entry that is not a job, or that needs a policy or secret this worker does not have.
fn malformed_entry(
    shard: &ShardRuntime,
    delivery: &Delivery,
    job: Option<&Job>,
    malformed: &Malformed,
) -> (Settlement, Context) {
    let process = Process::begin(shard, delivery, job);
    let context = process.context();
    process.dead(malformed.reason, &ErrorType::Malformed, &malformed.error);
    (Settlement::DeadLetter(record::malformed(delivery, malformed, context.trace_id())), context)
}

/// Returns whether a delayed job may be sent now. If not, it has been scheduled.
async fn is_due(shard: &ShardRuntime, delivery: &Delivery, job: &Job) -> bool {
    let Some(wait) = job.must_wait() else { return true };
    let postponement = Postponement {
        job_id: job.id.clone(),
        until: Until::Due { delay: wait.delay, not_before: wait.not_before },
        why: WaitReason::Delay,
        at: job.trail.at,
        fields: fields::without_place(&delivery.fields),
    };
    postpone_unsent(shard, delivery, job, postponement).await == Some(Written::Due)
}

/// Returns why a job is too late to be sent. Checked before the job waits for its flow, and again afterwards.
fn too_late(
    shard: &ShardRuntime,
    delivery: &Delivery,
    job: &Job,
    policy: &RetryPolicy,
) -> Option<&'static str> {
    let now = shard.queue.clock().now();
    if job.expires_at.is_some_and(|expires| expires <= now) {
        return Some("it expired before it could be sent");
    }
    // The maximum age does not prevent a first attempt, unless the job waited for its flow.
    let max_age = policy.max_age.filter(|_| job.trail.admitted == Some(Admitted::Old))?;
    (age(delivery, job, now) > max_age)
        .then_some("it had waited for its flow for longer than its maximum age")
}

/// The time since the job could first be sent: since its enqueue, or since the time that its producer set.
fn age(delivery: &Delivery, job: &Job, now: u64) -> Duration {
    let since = job.first_due(fields::enqueued_at(delivery, job, now));
    Duration::from_millis(now.saturating_sub(since))
}

fn expired(shard: &ShardRuntime, delivery: &Delivery, job: &Job, error: &str) -> (Settlement, Context) {
    let process = Process::begin(shard, delivery, Some(job));
    let context = process.context();
    let record = Record::new(delivery, job, &context);
    (dead_letter(record, process, Reason::Expired, error, &names::EXPIRED), context)
}

/// Makes one attempt, and returns its settlement.
async fn attempt(
    shard: &ShardRuntime,
    delivery: &Delivery,
    job: &Job,
    policy: &RetryPolicy,
    pass: Pass,
) -> (Settlement, Context) {
    let process = Process::begin(shard, delivery, Some(job));
    let context = process.context();
    let mut record = Record::new(delivery, job, &context);
    confirm_lease(shard, delivery.lease).await;
    let (at, started) = (shard.queue.clock().now(), Instant::now());
    let secret = job.secret.as_deref().and_then(|name| shard.secrets.get(name));
    let attempt = Attempt::default().parent(context.clone()).resend_count(job.trail.attempts);
    let (result, phases) = shard.sender.send(job, &attempt, secret, at).await;
    let took = started.elapsed();
    flow_gate::end(shard, job, pass, &result).await;
    record.attempted(&result, at, took, phases);
    let now = shard.queue.clock().now();
    let circumstances = circumstances(delivery, job, record.attempts, now);
    let outcome = Outcome::judge(&result, policy, &circumstances);
    let error = result.error().unwrap_or(ErrorType::Other);
    if result.was_attempt() {
        shard.counts.attempt(outcome.kind(), result.status());
    }
    let settlement = match outcome {
        Outcome::Done => {
            debug!(status = result.status(), ?took, "delivered");
            process.done();
            record.done(now)
        }
        Outcome::Retry { after } => {
            debug!(error_type = %error.as_str(), ?after, "attempt failed; the job will be retried");
            let record = record.keeping(process.keep());
            process.retry();
            Settlement::Postpone(record.postponement(Until::Retry(after), pause(&result, policy, after)))
        }
        Outcome::Release { after } => {
            debug!(
                error_type = %error.as_str(),
                ?after,
                "the proxy failed and nothing was sent; the job will be retried"
            );
            let record = record.keeping(process.keep());
            process.release();
            Settlement::Postpone(record.postponement(Until::Release(after), WaitReason::Proxy))
        }
        Outcome::Dead { reason, error: text } => dead_letter(record, process, reason, &text, &error),
    };
    (settlement, context)
}

fn circumstances(delivery: &Delivery, job: &Job, number: u32, now: u64) -> Circumstances {
    Circumstances {
        number,
        max_attempts: job.max_attempts,
        age: age(delivery, job, now),
        left: job.expires_at.map(|expires| Duration::from_millis(expires.saturating_sub(now))),
        random: fastrand::f64(),
    }
}

/// Whether the destination or the retry policy set the pause before the next attempt.
fn pause(result: &SendResult, policy: &RetryPolicy, after: Duration) -> WaitReason {
    match result {
        SendResult::Answer(Answer { retry_after: Some(asked), .. })
            if (*asked).min(policy.retry_after_cap) == after =>
        {
            WaitReason::RetryAfter
        }
        _ => WaitReason::Backoff,
    }
}

fn dead_letter(
    record: Record<'_>,
    process: Process<'_>,
    reason: Reason,
    text: &str,
    error: &ErrorType,
) -> Settlement {
    let record = record.keeping(process.keep());
    process.dead(reason, error, text);
    Settlement::DeadLetter(record.dead_letter(reason, text))
}

/// Confirms the lease before the request is sent, unless it was confirmed less than half a lease ago. If the
/// lease is lost, the task is aborted here.
async fn confirm_lease(shard: &ShardRuntime, lease: Lease) {
    let half = shard.queue.consumer().lease / 2;
    while !shard.in_flight.is_fresh(lease, half) {
        let Some(current) = shard.in_flight.current(lease) else {
            // Lost: `InFlight::lose` has aborted this task, which ends at this await.
            return std::future::pending().await;
        };
        crate::shard::lease::extend(shard, &[current]).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_queue::job::EntryId;

    /// Adds a job in flight and ends its task by `end`. Returns whether the job is still in flight, and
    /// whether the panic was recorded.
    async fn after(end: impl AsyncFnOnce()) -> (bool, bool) {
        let (in_flight, panicked) = (InFlight::default(), AtomicBool::new(false));
        let lease = Lease { entry: EntryId { millis: 1, sequence: 0 }, delivery: 1, epoch: 0 };
        in_flight.take(&Arc::new(Delivery::new(lease, vec![])), Instant::now());
        let work = async {
            let _release_on_drop = ReleaseOnDrop { in_flight: &in_flight, panicked: &panicked, lease };
            end().await;
        };
        // As in a task: a panic ends only the task.
        let _ = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work)).await;
        (in_flight.current(lease).is_some(), panicked.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_task_that_panics_keeps_no_lease_alive_and_is_recorded() {
        assert_eq!(after(async || panic!("a bug")).await, (false, true));
    }

    #[tokio::test]
    async fn a_task_that_is_cut_keeps_no_lease_alive_and_is_not_a_panic() {
        let cut = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>());
        assert_eq!(after(async || drop(cut.await)).await, (false, false));
    }
}
