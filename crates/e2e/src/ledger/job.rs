//! The kinds of jobs. A job's number decides its kind, and its path controls the destination.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::hanging::Hanging;

/// The number of consecutive jobs that share one due time.
const BURST: u64 = 40;

/// After this time, jobs that cannot succeed are not tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The number of a job's callback is that of the job and this.
pub(super) const CALLBACK: u64 = 1 << 40;

/// The flow with limits.
pub(super) const LIMITED: &str = "orders";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Succeeds at once.
    Plain,
    /// Has a waiting client for its result.
    Watched,
    /// Gets a 503 once.
    Flaky,
    /// Succeeds after a part of a lease.
    Slow,
    /// Succeeds after more than a lease.
    VerySlow,
    /// Gets a 410 and becomes a dead letter.
    Gone,
    /// Waits before its first attempt.
    Delayed,
    /// Waits for the same millisecond as many others.
    Burst,
    /// Belongs to a flow with limits.
    Limited,
    /// Never succeeds at a destination that works for all others: it hangs or fails.
    Poisonous,
    /// Is for a host that never responds.
    Hanging,
    /// Reports the end of another job.
    Callback,
}

impl Kind {
    pub(super) fn of(number: u64, hostile: bool) -> Kind {
        match number % 20 {
            8 | 18 if hostile => return Kind::Poisonous,
            4 if hostile => return Kind::Hanging,
            _ => {}
        }
        match number % 400 {
            300..340 => return Kind::Burst,
            _ if number % 32 == 7 => return Kind::VerySlow,
            _ => {}
        }
        match number % 16 {
            1 | 9 => Kind::Flaky,
            3 => Kind::Slow,
            5 => Kind::Gone,
            13 => Kind::Delayed,
            2 | 10 => Kind::Watched,
            6 | 11 => Kind::Limited,
            _ => Kind::Plain,
        }
    }

    /// Whether a job of this kind may end among the dead letters for this reason.
    pub(super) fn may_die(self, reason: &str) -> bool {
        match self {
            Kind::Gone => matches!(reason, "final_status" | "poison"),
            Kind::Poisonous | Kind::Hanging => matches!(reason, "attempts" | "expired" | "poison"),
            _ => reason == "poison",
        }
    }

    pub(super) fn path(self, number: u64) -> &'static str {
        match self {
            Kind::Plain | Kind::Watched | Kind::Delayed | Kind::Burst | Kind::Limited => "/ok",
            Kind::Callback => "/called",
            Kind::Flaky => "/flaky",
            Kind::Slow => "/slow",
            Kind::VerySlow => "/very-slow",
            Kind::Gone => "/gone",
            Kind::Poisonous if number % 20 == 8 => "/hangs",
            Kind::Poisonous => "/fails",
            Kind::Hanging => "/",
        }
    }
}

/// Whether the end of a job is reported: jobs of every kind have callbacks.
pub(super) fn has_callback(number: u64) -> bool {
    number.is_multiple_of(3)
}

/// The number of the callback that is sent to this path and query.
pub(super) fn callback_number(path: &str) -> Option<u64> {
    let number: u64 = path.strip_prefix(Kind::Callback.path(0))?.strip_prefix('?')?.parse().ok()?;
    Some(CALLBACK + number)
}

/// The order key of a job, if it has one: a third of them have one of 40 keys. A key is in one shard, whether there is one or are four.
pub(super) fn order_key(number: u64) -> Option<u64> {
    number.is_multiple_of(3).then_some(number % 120)
}

/// The fields of a job, for the destination at `base`, or for a hanging host.
pub(super) fn fields(number: u64, base: &str, hanging: &Hanging) -> Vec<(&'static str, String)> {
    let host = hanging.url(number);
    let kind = Kind::of(number, host.is_some());
    let host = host.filter(|_| kind == Kind::Hanging);
    let url = format!("{}{}", host.as_deref().unwrap_or(base), kind.path(number));
    let mut fields = vec![("url", url), ("body", number.to_string())];
    if has_callback(number) {
        let called = format!("{base}{}?{number}", Kind::Callback.path(number));
        fields.push(("on_success", called.clone()));
        fields.push(("on_failure", format!(r#"{{"url":"{called}","flow":"reports"}}"#)));
    }
    fields.extend(order_key(number).map(|key| ("order", format!("key-{key}"))));
    match kind {
        Kind::Poisonous | Kind::Hanging => {
            fields.push(("timeout_ms", "500".to_owned()));
            fields.push(("max_attempts", "3".to_owned()));
            fields.push(("expires_at", (now() + PATIENCE.as_millis()).to_string()));
        }
        Kind::Watched => fields.push(("result_ttl_ms", "60000".to_owned())),
        Kind::Delayed => fields.push(("delay_ms", "700".to_owned())),
        Kind::Limited => fields.push(("flow", LIMITED.to_owned())),
        Kind::Burst => fields.push(("not_before", burst_time(number).to_string())),
        _ => {}
    }
    fields
}

/// A whole second, one to two seconds from now, shared by the jobs of a burst enqueued within the same
/// second.
fn burst_time(number: u64) -> u128 {
    debug_assert!(number % 400 - 300 < BURST);
    (now() / 1000 + 2) * 1000
}

/// Unix milliseconds.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis())
}
