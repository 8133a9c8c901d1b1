//! The one door of delivery: a delivery goes in, and how it ends comes out.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper_otel::Attempt;
use postrider_queue::job::{Delivery, Job, Malformed};
use postrider_queue::names::TOKEN;
use postrider_queue::work::{Phases, QueueShard, Transition};
use telemetry::{Context, ErrorType};
use tracing::{debug, warn};

use super::flow_gate::Gate;
use super::process_span::{JobSpans, Process};
use super::record::{self, Record};
use super::sendable::{self, Unsendable};
use crate::flows::Pass;
use crate::http::sender::Credentials;
use crate::observe::counters::Counts;
use crate::policy::{Circumstances, Outcome, RetryPolicy, SendResult};
use crate::shard::leases::Leases;
use crate::shard::settings::{CurrentSettings, Settings};

/// What the work on a delivery needs.
#[derive(Debug)]
pub(crate) struct Dependencies {
    /// The shard: its clock and its consumer.
    pub queue: QueueShard,
    /// Retry policies, secrets, limits, and the sender.
    pub settings: CurrentSettings,
    /// Lets jobs pass their flows.
    pub gate: Gate,
    /// A request needs a confirmed lease.
    pub leases: Arc<Leases>,
    /// Makes the process span.
    pub spans: JobSpans,
    /// Counts attempts.
    pub counts: Arc<Counts>,
}

impl Dependencies {
    /// Whether the end of a job is recorded.
    fn is_logged(&self) -> bool {
        self.queue.is_logged()
    }

    /// Begins the record of a job.
    fn record<'a>(&self, delivery: &'a Delivery, job: &'a Job, trace: &'a Context) -> Record<'a> {
        Record::new(delivery, job, trace, self.queue.name(), self.is_logged())
    }
}

/// How a delivery ends.
#[derive(Debug)]
pub(crate) struct Completion {
    /// What to write for the job.
    pub transition: Transition,
    /// Its process span; `None` if the job only waits, and nobody has worked on it.
    pub process: Option<Context>,
}

/// Works on a delivery: postpones the job, or sends it and judges the result. `is_due` means that Redis has
/// found its delay to be over. A job whose lease is lost never returns: its task is aborted.
pub(crate) async fn deliver(
    delivery: &Delivery,
    decoded: &Result<Job, Malformed>,
    is_due: bool,
    with: &Dependencies,
) -> Completion {
    let settings = with.settings.get();
    let refusal = match decoded {
        Err(malformed) => Unsendable::Malformed(malformed.clone()),
        Ok(job) => {
            let is_poison = sendable::is_poison(delivery);
            if let Some(wait) = job.must_wait().filter(|_| !is_due && !is_poison) {
                return Completion { transition: record::delayed(delivery, job, wait), process: None };
            }
            let known = check_fields(job, &settings, with);
            match known.and_then(|()| sendable::check(delivery, job, &settings, with.queue.clock().now())) {
                Ok(policy) => return pass_and_send(delivery, job, policy, &settings, with).await,
                Err(refusal) => *refusal,
            }
        }
    };
    Box::pin(with.gate.decline(&settings.flows, delivery)).await;
    refuse(delivery, decoded.as_ref().ok(), refusal, with)
}

/// Counts and logs fields that are not known, or refuses the job.
fn check_fields<'a>(job: &Job, settings: &Settings, with: &Dependencies) -> Result<(), Box<Unsendable<'a>>> {
    if job.unknown.is_empty() {
        return Ok(());
    }
    with.counts.unknown_fields();
    let refused = |malformed| Box::new(Unsendable::Malformed(malformed));
    for field in settings.unknown.check(with.queue.name(), &job.unknown).map_err(refused)? {
        warn!("a job has the field {field}; it has no effect (each such field is logged once)");
    }
    Ok(())
}

/// Dead-letters a job that must not be sent.
fn refuse(
    delivery: &Delivery,
    job: Option<&Job>,
    refusal: Unsendable<'_>,
    with: &Dependencies,
) -> Completion {
    let process = Process::begin(&with.spans, delivery, job);
    let context = process.context();
    let (outcome, keep) = (refusal.outcome(), process.traceparent_to_keep());
    process.end(&outcome);
    let transition = match refusal {
        Unsendable::Dead(job, outcome) => {
            with.record(delivery, job, &context).transition(outcome, keep, with.queue.clock().now())
        }
        Unsendable::Malformed(malformed) => {
            record::malformed(delivery, &malformed, context.trace_id(), with.is_logged())
        }
    };
    Completion { transition, process: Some(context) }
}

async fn pass_and_send(
    delivery: &Delivery,
    job: &Job,
    policy: &RetryPolicy,
    settings: &Settings,
    with: &Dependencies,
) -> Completion {
    // Before its flow grants an attempt, which nobody else could use while the job waits for a token.
    let token = match settings.sender.token(job).await {
        Ok(token) => token,
        Err(error) => return Box::pin(without_token(delivery, job, policy, error, settings, with)).await,
    };
    let flow = with.gate.flows.id_of(job);
    match with.gate.pass(flow, settings.flows.get(flow), delivery, job).await {
        Ok(pass) if with.leases.confirm(&with.queue, delivery.lease).await => {
            attempt(delivery, job, policy, (pass, token), settings, with).await
        }
        // Redis does not answer: the job waits for it without a slot. What its flow granted renews with time.
        Ok(_) => {
            Completion { transition: record::hand_back(delivery, with.queue.clock().now()), process: None }
        }
        Err(hold) => {
            let expires = sendable::expires(delivery, job, policy, with.queue.clock().now());
            Completion { transition: record::held(delivery, job, flow, hold, expires), process: None }
        }
    }
}

/// Makes one attempt, under the process span.
async fn attempt(
    delivery: &Delivery,
    job: &Job,
    policy: &RetryPolicy,
    (pass, token): (Pass, Option<HeaderValue>),
    settings: &Settings,
    with: &Dependencies,
) -> Completion {
    let process = Process::begin(&with.spans, delivery, Some(job));
    let context = process.context();
    let mut record = with.record(delivery, job, &context);
    let started = process.began();
    let at = with.queue.clock().at(started);
    let secret = job.secret.as_deref().and_then(|name| settings.secrets.get(name));
    let credentials = Credentials { secret, token };
    let attempt = Attempt::default().parent(context.clone()).resend_count(job.trail.attempts);
    let (result, phases) = settings.sender.send(job, &attempt, &credentials, (started, at)).await;
    let took = started.elapsed();
    with.gate.end(settings.flows.get(pass.id), job, pass, &result).await;
    record.attempted(&result, at, took, phases);
    let now = with.queue.clock().now();
    let outcome = Outcome::judge(&result, policy, &circumstances(delivery, job, record.attempts, now));
    if result.was_attempt() {
        with.counts.attempt(&outcome, result.status());
    }
    log(&outcome, &result, took);
    let keep = if outcome == Outcome::Succeeded { None } else { process.traceparent_to_keep() };
    process.end(&outcome);
    let transition = record.transition(outcome, keep, now);
    Completion { transition, process: Some(context) }
}

/// Hands back a job whose secret has no access token now.
async fn without_token(
    delivery: &Delivery,
    job: &Job,
    policy: &RetryPolicy,
    error: String,
    settings: &Settings,
    with: &Dependencies,
) -> Completion {
    with.gate.decline(&settings.flows, delivery).await;
    let process = Process::begin(&with.spans, delivery, Some(job));
    let context = process.context();
    let mut record = with.record(delivery, job, &context);
    let now = with.queue.clock().now();
    let result = SendResult::Failed { error: TOKEN, text: error };
    record.attempted(&result, now, Duration::ZERO, Phases::default());
    let outcome = Outcome::judge(&result, policy, &circumstances(delivery, job, record.attempts, now));
    log(&outcome, &result, Duration::ZERO);
    let keep = process.traceparent_to_keep();
    process.end(&outcome);
    Completion { transition: record.transition(outcome, keep, now), process: Some(context) }
}

fn circumstances(delivery: &Delivery, job: &Job, number: u32, now: u64) -> Circumstances {
    Circumstances {
        number,
        max_attempts: job.max_attempts,
        age: sendable::age(delivery, job, now),
        left: job.expires_at.map(|expires| Duration::from_millis(expires.saturating_sub(now))),
        random: fastrand::f64(),
    }
}

fn log(outcome: &Outcome, result: &SendResult, took: Duration) {
    let error_type = || result.error().unwrap_or(ErrorType::Other);
    match outcome {
        Outcome::Succeeded => debug!(status = result.status(), ?took, "delivered"),
        Outcome::Retry { after, .. } => {
            debug!(error_type = %error_type().as_str(), ?after, "attempt failed; the job will be retried");
        }
        Outcome::HandedBack { after, .. } => debug!(
            error_type = %error_type().as_str(),
            ?after,
            "nothing was sent, and the destination is not at fault; the job will be retried"
        ),
        // Its settlement is logged.
        Outcome::Dead { .. } => {}
    }
}
