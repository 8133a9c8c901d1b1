//! The wait that a destination asks for. Pure.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

/// The smallest number that is a time in Unix milliseconds: 2001.
const UNIX_MILLIS_MIN: u64 = 1_000_000_000_000;
/// The smallest number that is a time in Unix seconds: 2001. Smaller numbers are seconds to wait: nobody asks
/// to wait for thirty years.
const UNIX_SECONDS_MIN: u64 = 1_000_000_000;

/// The wait that a response with this status asks for, by `Retry-After` (RFC 9110 §10.2.3: seconds or a
/// date), and for 429 and 503 also by `RateLimit` and `RateLimit-Reset`
/// (draft-ietf-httpapi-ratelimit-headers, versions 10 and 7) and by `X-RateLimit-Reset` (seconds to wait, or
/// a Unix time). `now` is in Unix milliseconds. A date is compared with the response's own `Date` if it has
/// one, since both come from the same clock.
///
/// The longest of several values counts. Values that cannot be parsed are ignored.
pub fn retry_after(status: u16, headers: &HeaderMap, now: u64) -> Option<Duration> {
    if headers.is_empty() {
        return None;
    }
    let now = headers.get(DATE).and_then(date).unwrap_or(now / 1000);
    let asked = longest(headers, RETRY_AFTER.as_str(), |value| {
        seconds(text(value)?).or_else(|| date(value).map(|date| date.saturating_sub(now)))
    });
    if asked.is_some() || !matches!(status, 429 | 503) {
        return asked.map(Duration::from_secs);
    }
    let until = |value: &HeaderValue| {
        let number = seconds(text(value)?)?;
        Some(match number {
            UNIX_MILLIS_MIN.. => (number / 1000).saturating_sub(now),
            UNIX_SECONDS_MIN.. => number.saturating_sub(now),
            _ => number,
        })
    };
    let all = [
        longest(headers, "ratelimit", |value| parameter(text(value)?)),
        longest(headers, "ratelimit-reset", |value| seconds(text(value)?)),
        longest(headers, "x-ratelimit-reset", until),
        longest(headers, "x-rate-limit-reset", until),
    ];
    all.into_iter().flatten().max().map(Duration::from_secs)
}

fn longest(headers: &HeaderMap, name: &str, read: impl Fn(&HeaderValue) -> Option<u64>) -> Option<u64> {
    headers.get_all(name).iter().filter_map(read).max()
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

/// Digits and nothing else, any number of them.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// An HTTP date in any of its three forms (RFC 9110 §5.6.7), as Unix seconds.
fn date(value: &HeaderValue) -> Option<u64> {
    let date = httpdate::parse_http_date(text(value)?).ok()?;
    // Dates before 1970 have passed.
    Some(date.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The longest parameter `t` of `"default";r=0;t=30, "hourly";r=7;t=900`: only of policies that are used up.
fn parameter(list: &str) -> Option<u64> {
    let of = |item: &str| {
        let mut parameters = item.split(';').skip(1).filter_map(|part| part.trim().split_once('='));
        let (mut rest, mut wait) = (None, None);
        parameters.by_ref().for_each(|(name, value)| match name {
            "r" => rest = seconds(value),
            "t" => wait = seconds(value),
            _ => {}
        });
        wait.filter(|_| rest.is_none_or(|rest| rest == 0))
    };
    list.split(',').filter_map(of).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24T12:00:00Z
    const NOW: u64 = 1_795_521_600_000;

    fn asked(status: u16, pairs: &[(&'static str, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        retry_after(status, &headers, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        for (value, wait) in [
            ("120", 120),
            (" 120 ", 120),
            ("0", 0),
            ("1000000000000", 1_000_000_000_000),
            ("99999999999999999999999", u64::MAX),
            ("Tue, 24 Nov 2026 12:01:00 GMT", 60),
            ("Tuesday, 24-Nov-26 12:01:00 GMT", 60),
            ("Tue Nov 24 12:01:00 2026", 60),
            ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ] {
            assert_eq!(asked(503, &[("retry-after", value)]), Some(wait), "{value}");
        }
    }

    #[test]
    fn garbage_asks_for_nothing() {
        for value in
            ["", "-1", "1.5", "+5", "1e3", "soon", "0x10", "12 s", "\u{fc}", "Tue, 99 Nov 2026 12:01:00 GMT"]
        {
            assert_eq!(asked(503, &[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(asked(429, &[]), None);
    }

    #[test]
    fn of_several_the_longest_counts() {
        assert_eq!(asked(503, &[("retry-after", "5"), ("retry-after", "x"), ("retry-after", "7")]), Some(7));
    }

    #[test]
    fn a_date_is_compared_with_the_date_of_the_response() {
        let headers =
            [("date", "Tue, 24 Nov 2026 15:00:00 GMT"), ("retry-after", "Tue, 24 Nov 2026 15:00:30 GMT")];
        assert_eq!(asked(503, &headers), Some(30));
    }

    #[test]
    fn rate_limits_count_where_they_were_hit() {
        for (name, value, wait) in [
            ("ratelimit-reset", "50", Some(50)),
            ("ratelimit", r#""default";r=0;t=30"#, Some(30)),
            ("ratelimit", r#""a";r=7;t=900, "b";r=0;t=30"#, Some(30)),
            ("ratelimit", "limit=10, remaining=0, reset=7", None),
            ("x-ratelimit-reset", "12", Some(12)),
            ("x-ratelimit-reset", "1795521630", Some(30)),
            ("x-ratelimit-reset", "1795521000", Some(0)),
            ("x-ratelimit-reset", "1795521630000", Some(30)),
            ("x-rate-limit-reset", "1795521630", Some(30)),
            ("x-ratelimit-reset", "later", None),
        ] {
            assert_eq!(asked(429, &[(name, value)]), wait, "{name}: {value}");
            assert_eq!(asked(500, &[(name, value)]), None, "{name}: {value}");
        }
        assert_eq!(asked(429, &[("retry-after", "3"), ("x-ratelimit-reset", "99")]), Some(3));
    }

    #[test]
    fn random_bytes_cause_no_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(32..)).collect();
            let mut headers = HeaderMap::new();
            for name in ["retry-after", "date", "ratelimit", "ratelimit-reset", "x-ratelimit-reset"] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.append(name, value);
                }
            }
            retry_after(429, &headers, NOW);
        }
    }
}
