//! Whether a job may be sent. Pure.

use std::time::Duration;

use postrider_queue::job::{Admitted, Delivery, Job, Malformed, Reason, meant, quoted};
use postrider_queue::names;
use postrider_queue::work::{DELIVERIES_MAX, fields};
use telemetry::ErrorType;

use crate::http::secrets::Secrets;
use crate::policy::{Outcome, RetryPolicies, RetryPolicy};
use crate::shard::settings::Settings;

/// Why a job is dead-lettered without an attempt.
pub(super) enum Unsendable<'a> {
    /// The entry is not a job, or it needs a policy or secret this worker does not have.
    Malformed(Malformed),
    /// The job is too late, or poison.
    Dead(&'a Job, Outcome),
}

impl Unsendable<'_> {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Malformed(Malformed { reason, error }) => {
                Outcome::Dead { reason: *reason, error_type: ErrorType::Malformed, error: error.clone() }
            }
            Self::Dead(_, outcome) => outcome.clone(),
        }
    }
}

/// Whether each of its workers died or lost it.
pub(super) fn is_poison(delivery: &Delivery) -> bool {
    delivery.lease.delivery > DELIVERIES_MAX
}

/// The retry policy of a job, or why it must not be sent. `now` is Redis' time, Unix milliseconds.
pub(super) fn check<'a>(
    delivery: &Delivery,
    job: &'a Job,
    settings: &'a Settings,
    now: u64,
) -> Result<&'a RetryPolicy, Box<Unsendable<'a>>> {
    if is_poison(delivery) {
        let deliveries = delivery.lease.delivery - 1;
        let error =
            format!("it was delivered {deliveries} times and never settled: its workers died or lost it");
        return Err(dead(job, Reason::Poison, names::LEASE_LOST, error));
    }
    secret_is_for(job, &settings.secrets)?;
    let Some(policy) = settings.retry.get(job.retry.as_deref()) else {
        return Err(Box::new(Unsendable::Malformed(unknown_policy(&settings.retry, job))));
    };
    match too_late(delivery, job, policy, now) {
        Some(error) => Err(dead(job, Reason::Expired, names::EXPIRED, error.to_owned())),
        None => Ok(policy),
    }
}

fn dead(job: &Job, reason: Reason, error_type: ErrorType, error: String) -> Box<Unsendable<'_>> {
    Box::new(Unsendable::Dead(job, Outcome::Dead { reason, error_type, error }))
}

fn unknown_policy(policies: &RetryPolicies, job: &Job) -> Malformed {
    let named = String::from_utf8_lossy(job.retry.as_deref().unwrap_or_default());
    let known: Vec<&str> = ["default"].into_iter().chain(policies.named.keys().map(String::as_str)).collect();
    let meant = meant(&named, known.iter().copied());
    let meant = meant.map_or(String::new(), |meant| format!(" (did you mean `{meant}`?)"));
    let (named, known) = (quoted(&named), known.join(", "));
    Malformed::new(format!("field `retry`: no policy is named {named}{meant}; known are {known}"))
}

/// A job that needs a signature is never sent without one, and no destination gets a secret that is not for it: the
/// producer chooses both.
fn secret_is_for<'a>(job: &'a Job, secrets: &Secrets) -> Result<(), Box<Unsendable<'a>>> {
    let Some(name) = job.secret.as_deref() else { return Ok(()) };
    let Some(secret) = secrets.get(name) else {
        return Err(Box::new(Unsendable::Malformed(unknown_secret(name))));
    };
    secret.check(&job.uri).map_err(|not_for| {
        let named = quoted(&String::from_utf8_lossy(name));
        let host = job.uri.authority().map_or("", |host| host.as_str());
        let error = format!("{host}: the secret {named} of the field `secret` {not_for}");
        dead(job, Reason::Refused, ErrorType::Refused, error)
    })
}

/// The names of the others are not listed: producers see this error.
fn unknown_secret(name: &[u8]) -> Malformed {
    if name.starts_with(b"whsec_") || name.starts_with(b"whsk_") {
        let error = "field `secret` holds a key, which is not repeated here; it must be the name of a secret";
        return Malformed::new(error);
    }
    let named = quoted(&String::from_utf8_lossy(name));
    Malformed::new(format!(
        "field `secret`: no secret is named {named}; its table [secrets.NAME] must be in this worker's configuration"
    ))
}

/// Returns why a job is too late to be sent. Checked before the job waits for its flow, and again afterwards.
fn too_late(delivery: &Delivery, job: &Job, policy: &RetryPolicy, now: u64) -> Option<&'static str> {
    if job.expires_at.is_some_and(|expires| expires <= now) {
        return Some("it expired before it could be sent");
    }
    // The maximum age does not prevent a first attempt, unless the job waited for its flow.
    let max_age = policy.max_age.filter(|_| job.trail.admitted == Some(Admitted::Old))?;
    (age(delivery, job, now) > max_age)
        .then_some("it had waited for its flow for longer than its maximum age")
}

/// When a job that its flow holds is too late, Unix milliseconds.
pub(super) fn expires(delivery: &Delivery, job: &Job, policy: &RetryPolicy, now: u64) -> Option<u64> {
    let since = job.first_due(fields::enqueued_at(delivery, job, now));
    let too_old = policy.max_age.map(|age| since.saturating_add(age.as_millis() as u64 + 1));
    job.expires_at.into_iter().chain(too_old).min()
}

/// The time since the job could first be sent: since its enqueue, or since the time that its producer set.
pub(super) fn age(delivery: &Delivery, job: &Job, now: u64) -> Duration {
    let since = job.first_due(fields::enqueued_at(delivery, job, now));
    Duration::from_millis(now.saturating_sub(since))
}
