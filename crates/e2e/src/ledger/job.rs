//! What kinds of jobs there are: a job's number says its kind, and its path tells the destination.

use std::time::{SystemTime, UNIX_EPOCH};

/// How many jobs in a row share one due time.
const BURST: u64 = 40;

/// The flow with limits.
pub(super) const LIMITED: &str = "orders";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Answered at once.
    Plain,
    /// Somebody waits for its result.
    Watched,
    /// Answered with 503 once.
    Flaky,
    /// Answered after a part of a lease.
    Slow,
    /// Answered after more than a lease.
    VerySlow,
    /// Answered with 410: it ends among the dead letters.
    Gone,
    /// Waits before its first attempt.
    Delayed,
    /// Waits for the same millisecond as many others.
    Burst,
    /// Of a flow with limits.
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

/// A whole second, the one after the next, for all of a burst that are enqueued within a second of each other.
fn burst_time(number: u64) -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    debug_assert!(number % 400 - 300 < BURST);
    (now / 1000 + 2) * 1000
}
