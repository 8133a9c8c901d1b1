//! What a destination asks for never makes a job wait beyond the cap, and nothing but numbers and dates asks.

use std::time::Duration;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use postrider_worker::internals::RetryPolicy;
use postrider_worker::internals::{Answer, Circumstances, Outcome, SendResult, retry_after};

/// 2026-11-24T12:00:00Z
const NOW: u64 = 1_795_521_600_000;

/// The headers of an answer, a line each; the first byte chooses its status.
pub(crate) fn check(data: &[u8]) {
    let Some((first, lines)) = data.split_first() else { return };
    let status = [429, 503, 500, 408][usize::from(first % 4)];
    let pairs: Vec<_> = lines.split(|byte| *byte == b'\n').filter_map(pair).collect();
    let headers: HeaderMap = pairs.iter().cloned().fold(HeaderMap::new(), with);
    let asked = retry_after(status, &headers, NOW);

    let reversed = pairs.iter().rev().filter(|(name, _)| name != DATE).cloned();
    let dates = pairs.iter().filter(|(name, _)| name == DATE).cloned();
    assert_eq!(retry_after(status, &dates.chain(reversed).fold(HeaderMap::new(), with), NOW), asked);
    if !pairs.iter().any(|(_, value)| value.as_bytes().iter().any(u8::is_ascii_digit)) {
        assert_eq!(asked, None, "nothing is a number");
    }
    if !matches!(status, 429 | 503) {
        let only = pairs.iter().filter(|(name, _)| name == DATE || name == RETRY_AFTER).cloned();
        assert_eq!(retry_after(status, &only.fold(HeaderMap::new(), with), NOW), asked);
    }
    waits(status, asked);
}

/// Holds the wait of the job against the cap.
fn waits(status: u16, asked: Option<Duration>) {
    let policy = RetryPolicy { retry_after_cap: Duration::from_secs(7200), ..RetryPolicy::default() };
    let at = Circumstances { number: 1, max_attempts: None, age: Duration::ZERO, left: None, random: 0.0 };
    let answer = Answer { status, retry_after: asked, kept: None };
    let after = asked.unwrap_or_default().min(policy.retry_after_cap);
    let outcome = Outcome::judge(&SendResult::Answer(answer), &policy, &at);
    assert!(matches!(outcome, Outcome::Retry { after: waits, .. } if waits == after), "{outcome:?}");
}

fn pair(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    Some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
}

fn with(mut headers: HeaderMap, (name, value): (HeaderName, HeaderValue)) -> HeaderMap {
    headers.append(name, value);
    headers
}
