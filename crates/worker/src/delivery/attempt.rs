//! The work on one delivery: decode, wait or send, judge; then it is settled.

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

/// A job that was delivered more often without a settlement is poison.
const MOST_DELIVERIES: u64 = 5;

/// Begins to work on a delivery, unless it is in flight already. `sent` is when the call that brought it
/// was sent. Without a slot it is one of the few that may come in over them.
pub(crate) fn begin(shard: &Arc<ShardRuntime>, delivery: Delivery, sent: Instant, slot: Option<Slot>) {
    let delivery = Arc::new(delivery);
    if !shard.in_flight.take(&delivery, sent) {
        return;
    }
    let lease = delivery.lease;
    // Unboxed, its 3 KB would be copied at each step of being spawned and of result.
    let work = Box::pin(work(shard.clone(), delivery, slot));
    let task = shard.work.spawn(work);
    shard.in_flight.begun(lease, task);
}

/// Works on a delivery until it is settled. Dropped before, it leaves the job to whoever dropped it.
pub(crate) async fn work(shard: Arc<ShardRuntime>, delivery: Arc<Delivery>, slot: Option<Slot>) {
    let abandoned =
        Abandoned { in_flight: &shard.in_flight, panicked: &shard.panicked, lease: delivery.lease };
    telemetry::about(shard.queue.name(), delivery.clone(), async {
        if let Some((settlement, context)) = deliver(&shard, &delivery).await {
            // With the slot, so that no more jobs are taken in than can be settled.
            settle(&shard, delivery.lease, settlement, context).await;
        }
    })
    .await;
    drop(slot);
    std::mem::forget(abandoned);
}

/// A task that panics must not keep its job's lease alive for ever: put down, the lease runs out, and the job
/// is taken over.
struct Abandoned<'a> {
    in_flight: &'a InFlight,
    panicked: &'a AtomicBool,
    lease: Lease,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.in_flight.put_down(self.lease);
    }
}

/// From the delivery to what is to be written; `None` where nothing is left to do here.
async fn deliver(shard: &ShardRuntime, delivery: &Delivery) -> Option<(Settlement, Context)> {
    let job = match Job::decode(delivery) {
        Ok(job) => job,
        Err(malformed) => {
            flow_gate::decline(shard, delivery).await;
            return Some(malformed_entry(shard, delivery, None, &malformed));
        }
    };
    if delivery.lease.delivery <= MOST_DELIVERIES
        && job.must_wait().is_some()
        && !may_go(shard, delivery, &job).await
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

/// The policy of a job, or what is to be written of one that is not sent.
fn sendable<'a>(
    shard: &'a ShardRuntime,
    delivery: &Delivery,
    job: &Job,
) -> Result<&'a RetryPolicy, Box<(Settlement, Context)>> {
    let malformed = |malformed| Box::new(malformed_entry(shard, delivery, Some(job), &malformed));
    if delivery.lease.delivery > MOST_DELIVERIES {
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

/// A job that asks for a signature does not go out without one.
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

/// It was taken up often enough, and each time its worker died or lost it.
fn poison(shard: &ShardRuntime, delivery: &Delivery, job: &Job) -> (Settlement, Context) {
    let process = Process::begin(shard, delivery, Some(job));
    let context = process.context();
    let record = Record::new(delivery, job, &context);
    let deliveries = delivery.lease.delivery - 1;
    let error = format!("it was taken up {deliveries} times and never settled: its workers died or lost it");
    (dead_letter(record, process, Reason::Poison, &error, &names::LEASE_LOST), context)
}

/// What is no job, or asks for what this worker does not have.
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

/// Whether a job that came with a delay may be sent now. Else it waits in the schedule by then.
async fn may_go(shard: &ShardRuntime, delivery: &Delivery, job: &Job) -> bool {
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

/// Why a job is not sent any more, if its time has passed. Before it waits for its flow, and when it has waited.
fn too_late(
    shard: &ShardRuntime,
    delivery: &Delivery,
    job: &Job,
    policy: &RetryPolicy,
) -> Option<&'static str> {
    let now = shard.queue.clock().now();
    if job.expires_at.is_some_and(|expires| expires <= now) {
        return Some("the time to send it in had passed");
    }
    // However late it is, its first attempt is made, unless it was its flow that it waited for.
    let max_age = policy.max_age.filter(|_| job.trail.admitted == Some(Admitted::Old))?;
    (age(delivery, job, now) > max_age)
        .then_some("it had waited for its flow for longer than its maximum age")
}

/// How long ago the job could first be sent: when it was enqueued, or the time that its producer named.
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

/// One attempt, and what it comes to.
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
    let result = shard.sender.send(job, &attempt, secret, at).await;
    let took = started.elapsed();
    flow_gate::end(shard, job, pass, &result).await;
    record.attempted(&result, at, took);
    let now = shard.queue.clock().now();
    let circumstances = Circumstances {
        number: record.attempts,
        max_attempts: job.max_attempts,
        age: age(delivery, job, now),
        left: job.expires_at.map(|expires| Duration::from_millis(expires.saturating_sub(now))),
        random: fastrand::f64(),
    };
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
            debug!(error_type = %error.as_str(), ?after, "attempt failed, to be tried again");
            let record = record.keeping(process.keep());
            process.retry();
            Settlement::Postpone(record.postponement(Until::Retry(after), pause(&result, policy, after)))
        }
        Outcome::Release { after } => {
            debug!(error_type = %error.as_str(), ?after, "attempt put off");
            let record = record.keeping(process.keep());
            process.release();
            Settlement::Postpone(record.postponement(Until::Release(after), WaitReason::Proxy))
        }
        Outcome::Dead { reason, error: text } => dead_letter(record, process, reason, &text, &error),
    };
    (settlement, context)
}

/// Whose pause it is before the next attempt.
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
    Settlement::DeadLetter(record.dead_lettering(reason, text))
}

/// Nothing is sent under a lease that may have run out: unless it was confirmed less than half a lease ago,
/// it is confirmed first. Where it turns out lost, this task ends at its next wait.
async fn confirm_lease(shard: &ShardRuntime, lease: Lease) {
    let half = shard.queue.consumer().lease / 2;
    while !shard.in_flight.is_fresh(lease, half) {
        let Some(current) = shard.in_flight.current(lease) else {
            // Lost: whoever took it from the hand has told this task to end.
            return std::future::pending().await;
        };
        crate::shard::lease::extend(shard, &[current]).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_queue::job::EntryId;

    /// Takes a job in flight and ends its task so; answers the lease and whether it is held still, and whether a
    /// panic was noticed.
    async fn after(end: impl AsyncFnOnce()) -> (bool, bool) {
        let (in_flight, panicked) = (InFlight::default(), AtomicBool::new(false));
        let lease = Lease { entry: EntryId { millis: 1, sequence: 0 }, delivery: 1, epoch: 0 };
        in_flight.take(&Arc::new(Delivery::new(lease, vec![])), Instant::now());
        let work = async {
            let _abandoned = Abandoned { in_flight: &in_flight, panicked: &panicked, lease };
            end().await;
        };
        // As a task does: a panic ends it and nothing else.
        let _ = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work)).await;
        (in_flight.current(lease).is_some(), panicked.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_task_that_panics_keeps_no_lease_alive_and_is_remembered() {
        assert_eq!(after(async || panic!("a fault of ours")).await, (false, true));
    }

    #[tokio::test]
    async fn a_task_that_is_cut_keeps_no_lease_alive_and_is_no_fault() {
        let cut = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>());
        assert_eq!(after(async || drop(cut.await)).await, (false, false));
    }
}
