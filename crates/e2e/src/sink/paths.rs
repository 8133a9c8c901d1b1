//! How the path of a request decides the response.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::StatusCode;

/// Counts requests by key, for the paths that count.
#[derive(Default)]
pub(super) struct Paths {
    seen: Mutex<HashMap<String, u32>>,
    accepted: Mutex<VecDeque<Instant>>,
}

impl Paths {
    /// The status of the response to the next request to this path, which has no query.
    pub(super) fn status(&self, path: &str) -> StatusCode {
        if let Some(code) = path.strip_prefix("/status/").or(path.strip_prefix("/redirect/")) {
            return code.parse().unwrap_or(StatusCode::OK);
        }
        if let Some(rate) = path.strip_prefix("/rate/") {
            let is_within = self.is_within(rate.parse().unwrap_or(usize::MAX));
            return if is_within { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS };
        }
        let Some((count, key)) = path.strip_prefix("/flaky/").and_then(|rest| rest.split_once('/')) else {
            return StatusCode::OK;
        };
        if self.seen(key) > count.parse().unwrap_or(0) {
            return StatusCode::OK;
        }
        StatusCode::SERVICE_UNAVAILABLE
    }

    /// Whether the next request is the first with that key.
    pub(super) fn is_first(&self, key: &str) -> bool {
        self.seen(&format!("once {key}")) == 1
    }

    /// Whether fewer than `rate` requests were accepted within the last second. If so, accepts one more.
    fn is_within(&self, rate: usize) -> bool {
        let (mut accepted, now) =
            (self.accepted.lock().expect("no one panics with this lock"), Instant::now());
        while accepted.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1)) {
            accepted.pop_front();
        }
        let is_within = accepted.len() < rate;
        accepted.extend(is_within.then_some(now));
        is_within
    }

    /// How often this key was requested, including this time.
    fn seen(&self, what: &str) -> u32 {
        let mut seen = self.seen.lock().expect("no one panics with this lock");
        let seen = seen.entry(what.to_owned()).or_default();
        *seen += 1;
        *seen
    }
}
