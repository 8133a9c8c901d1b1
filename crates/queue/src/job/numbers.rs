//! The fields of a job that are numbers: times, durations and counts.

use std::time::Duration;

use bytes::Bytes;

use super::fields::{Known, number};
use super::{Malformed, ProducerDelay};

/// A smaller Unix time (before March 1973) is in seconds, not in milliseconds.
const UNIX_MILLIS_MIN: u64 = 100_000_000_000;
/// A greater Unix time (after the year 5138) is in microseconds, not in milliseconds.
const UNIX_MILLIS_MAX: u64 = 100_000_000_000_000;
/// Ten years, in milliseconds: a longer delay is a mistake.
const DELAY_MILLIS_MAX: u64 = 10 * 366 * 24 * 3600 * 1000;
/// Seven days, in milliseconds: results are for callers that wait for them.
pub const RESULT_TTL_MILLIS_MAX: u64 = 7 * 24 * 3600 * 1000;
/// An hour, in milliseconds: a longer request is a mistake, and occupies a slot.
const TIMEOUT_MILLIS_MAX: u64 = 3600 * 1000;
pub(super) fn timeout(known: &Known) -> Result<Option<Duration>, Malformed> {
    match at_least_one("timeout_ms", &known.timeout_ms)? {
        Some(millis) if millis > TIMEOUT_MILLIS_MAX => {
            Err(Malformed::new("field `timeout_ms` is more than an hour"))
        }
        millis => Ok(millis.map(Duration::from_millis)),
    }
}

pub(super) fn result_ttl(known: &Known) -> Result<Option<Duration>, Malformed> {
    match at_least_one("result_ttl_ms", &known.result_ttl_ms)? {
        Some(millis) if millis > RESULT_TTL_MILLIS_MAX => {
            Err(Malformed::new("field `result_ttl_ms` is more than seven days"))
        }
        millis => Ok(millis.map(Duration::from_millis)),
    }
}

pub(super) fn max_attempts(known: &Known) -> Result<Option<u32>, Malformed> {
    match whole("max_attempts", &known.max_attempts)? {
        None => Ok(None),
        Some(attempts @ 1..=100) => Ok(Some(attempts as u32)),
        Some(_) => Err(Malformed::new("field `max_attempts` must be 1 to 100")),
    }
}

pub(super) fn wait(known: &Known) -> Result<Option<ProducerDelay>, Malformed> {
    let delay = whole("delay_ms", &known.delay_ms)?.unwrap_or(0);
    if delay > DELAY_MILLIS_MAX {
        return Err(Malformed::new("field `delay_ms` is more than ten years"));
    }
    let not_before = unix_millis("not_before", &known.not_before)?.unwrap_or(0);
    let waits = delay > 0 || not_before > 0;
    Ok(waits.then_some(ProducerDelay { delay: Duration::from_millis(delay), not_before }))
}

pub(super) fn unix_millis(name: &str, field: &Option<Bytes>) -> Result<Option<u64>, Malformed> {
    match whole(name, field)? {
        Some(time) if time > UNIX_MILLIS_MAX => Err(Malformed::new(format!(
            "field `{name}` is beyond the year 5000; it must be Unix time in milliseconds"
        ))),
        Some(time) if time < UNIX_MILLIS_MIN => Err(Malformed::new(format!(
            "field `{name}` looks like seconds; it must be Unix time in milliseconds"
        ))),
        time => Ok(time),
    }
}

fn at_least_one(name: &str, field: &Option<Bytes>) -> Result<Option<u64>, Malformed> {
    match whole(name, field)? {
        Some(0) => Err(Malformed::new(format!("field `{name}` must be at least 1"))),
        number => Ok(number),
    }
}

pub(super) fn whole(name: &str, field: &Option<Bytes>) -> Result<Option<u64>, Malformed> {
    match field {
        None => Ok(None),
        Some(text) => number(text).map(Some).ok_or_else(|| {
            Malformed::new(format!("field `{name}` must be a whole number of 1 to 16 digits"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &'static str) -> Option<Bytes> {
        Some(text.into())
    }

    fn error<T: std::fmt::Debug>(read: Result<T, Malformed>) -> String {
        read.expect_err("it must be refused").error
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        for wrong in ["", "1.5", "1e3", "+1", "-1", " 1", "12345678901234567", "nan"] {
            let known = Known { timeout_ms: field(wrong), ..Known::default() };
            assert!(error(timeout(&known)).contains("timeout_ms"), "{wrong}");
        }
        assert_eq!(whole("v", &field("0012")), Ok(Some(12)));
    }

    #[test]
    fn numbers_have_bounds() {
        let timeout = |text| error(timeout(&Known { timeout_ms: field(text), ..Known::default() }));
        assert!(timeout("0").contains("at least 1"));
        assert!(timeout("3600001").contains("more than an hour"));
        for wrong in ["0", "101"] {
            let known = Known { max_attempts: field(wrong), ..Known::default() };
            assert!(error(max_attempts(&known)).contains("1 to 100"));
        }
        let known = Known { delay_ms: field("9999999999999"), ..Known::default() };
        assert!(error(wait(&known)).contains("ten years"));
    }

    #[test]
    fn seconds_are_distinguished_from_milliseconds() {
        for (text, reason) in [("1795396101", "looks like seconds"), ("1795396101000000", "milliseconds")] {
            assert!(error(unix_millis("not_before", &field(text))).contains(reason), "{text}");
        }
        assert_eq!(unix_millis("not_before", &field("1795396101000")), Ok(Some(1_795_396_101_000)));
    }
}
