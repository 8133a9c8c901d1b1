//! How the path of a request decides the response.

use std::collections::HashMap;
use std::sync::Mutex;

use http::StatusCode;

/// Counts requests by key, for the paths that count.
#[derive(Default)]
pub(super) struct Paths(Mutex<HashMap<String, u32>>);

impl Paths {
    /// The status of the response to the next request to this path, which has no query.
    pub(super) fn status(&self, path: &str) -> StatusCode {
        if let Some(code) = path.strip_prefix("/status/").or(path.strip_prefix("/redirect/")) {
            return code.parse().unwrap_or(StatusCode::OK);
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

    /// How often this key was requested, including this time.
    fn seen(&self, what: &str) -> u32 {
        let mut seen = self.0.lock().expect("no one panics with this lock");
        let seen = seen.entry(what.to_owned()).or_default();
        *seen += 1;
        *seen
    }
}
