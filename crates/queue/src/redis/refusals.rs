//! Logs why a server refuses a connection. The commands that wait for it learn only that it was closed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::EventInterface;
use tracing::warn;

use super::link::is_answer;

/// The time without the same refusal before it is logged again. Longer than any pause between tries.
const QUIET: Duration = Duration::from_secs(60);

/// The last refusal, and when it was seen.
#[derive(Debug, Default)]
struct LastRefusal(Option<(String, Instant)>);

impl LastRefusal {
    /// Whether this one is new.
    fn is_new(&mut self, text: &str, now: Instant) -> bool {
        let known = self.0.replace((text.to_owned(), now));
        !known.is_some_and(|(last, seen)| last == text && now.saturating_duration_since(seen) < QUIET)
    }
}

/// Logs them from now on, each once while it lasts: too many clients, a wrong password.
pub(super) fn log_refusals(client: &Client) {
    let last = Arc::new(Mutex::new(LastRefusal::default()));
    client.on_error(move |(error, _): (Error, _)| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if is_answer(&error) && last.is_new(error.details(), Instant::now()) {
            warn!(error = error.details(), "Redis refuses the connection; retrying until it is accepted");
        }
        std::future::ready(Ok(()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_new_after_another_one_and_after_a_time() {
        let (mut last, start) = (LastRefusal::default(), Instant::now());
        assert!(last.is_new("ERR max number of clients reached", start));
        assert!(!last.is_new("ERR max number of clients reached", start + QUIET / 2));
        assert!(!last.is_new("ERR max number of clients reached", start + QUIET), "it has lasted");
        assert!(last.is_new("WRONGPASS", start + QUIET));
        assert!(last.is_new("WRONGPASS", start + 3 * QUIET));
    }
}
