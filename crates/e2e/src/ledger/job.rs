//! The kinds of jobs. A job's number decides its kind, and its path controls the destination.

use std::time::{SystemTime, UNIX_EPOCH};

/// The number of consecutive jobs that share one due time.
const BURST: u64 = 40;

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
}

impl Kind {
    pub(super) fn of(number: u64) -> Kind {
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

    pub(super) fn path(self) -> &'static str {
        match self {
            Kind::Plain | Kind::Watched | Kind::Delayed | Kind::Burst | Kind::Limited => "/ok",
            Kind::Flaky => "/flaky",
            Kind::Slow => "/slow",
            Kind::VerySlow => "/very-slow",
            Kind::Gone => "/gone",
        }
    }
}

/// The fields of a job, for the destination at `base`.
pub(super) fn fields(number: u64, base: &str) -> Vec<(&'static str, String)> {
    let kind = Kind::of(number);
    let mut fields = vec![("url", format!("{base}{}", kind.path())), ("body", number.to_string())];
    match kind {
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    debug_assert!(number % 400 - 300 < BURST);
    (now / 1000 + 2) * 1000
}
