//! The state of the connection to Redis. Logs one line for each change, however many loops notice it.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fred::error::Error;
use tracing::{info, warn};

/// The time without a failure before Redis counts as up again. Longer than any pause between tries.
const STEADY: Duration = Duration::from_millis(2500);

/// Whether Redis answers, by the calls of all loops of one queue.
#[derive(Debug)]
pub struct Link {
    away: AtomicBool,
    since: Mutex<Instant>,
    /// The last failure.
    failed: Mutex<Option<Instant>>,
    /// The refusals that were logged.
    told: Mutex<HashSet<String>>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            away: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
            failed: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// A call succeeded.
    pub fn up(&self) {
        // A plain load first: each batch calls this. While only some calls fail, as on a replica, Redis is
        // not up.
        if !self.away.load(Ordering::Relaxed) || self.failed_within(STEADY) {
            return;
        }
        if self.away.swap(false, Ordering::Relaxed) {
            *self.since.lock().expect("nothing panics while it holds this lock") = Instant::now();
            info!("Redis answers again");
        }
    }

    fn failed_within(&self, time: Duration) -> bool {
        let failed = *self.failed.lock().expect("nothing panics while it holds this lock");
        failed.is_some_and(|failed| failed.elapsed() < time)
    }

    /// Whether Redis has answered without a failure for `time`.
    pub fn up_for(&self, time: Duration) -> bool {
        let since = *self.since.lock().expect("nothing panics while it holds this lock");
        !self.away.load(Ordering::Relaxed) && since.elapsed() >= time
    }

    /// Whether the last calls succeeded.
    pub fn is_up(&self) -> bool {
        !self.away.load(Ordering::Relaxed)
    }

    /// A call failed. Returns the pause before the next, by the number of failures in a row: 50 ms doubling
    /// to 2 s, with jitter.
    pub fn down(&self, error: &Error, in_a_row: u32) -> Duration {
        *self.failed.lock().expect("nothing panics while it holds this lock") = Some(Instant::now());
        if is_refusal(error) {
            self.refused(error);
        } else if !self.away.swap(true, Ordering::Relaxed) {
            // fred's error holds no password.
            warn!(%error, "Redis does not answer as it should; retrying until it does");
        }
        let longest =
            Duration::from_millis(50).saturating_mul(1 << in_a_row.min(6)).min(Duration::from_secs(2));
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Logs a refusal once for each text.
    fn refused(&self, error: &Error) {
        const TEXTS_MAX: usize = 32;
        let mut told = self.told.lock().expect("nothing panics while it holds this lock");
        if told.len() < TEXTS_MAX && told.insert(error.details().to_owned()) {
            warn!(%error, "Redis refuses a command; retrying until it is allowed or the job's lease is lost");
        }
    }
}

/// Error replies that pass by themselves: the server starts, fails over, moves a slot, or is full.
const PASSING: [&str; 12] = [
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "UNBLOCKED",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    "NOAUTH",
    "WRONGPASS",
];

/// Whether Redis refuses a command for a reason that does not pass by itself: a missing right, a key of a
/// wrong type.
pub fn is_refusal(error: &Error) -> bool {
    fred_otel::reply_code(error).is_some_and(|code| !PASSING.contains(&code))
}

/// Whether the error is Redis' own reply: then the command had no effect. After any other error, that is
/// unknown.
pub fn is_answer(error: &Error) -> bool {
    fred_otel::reply_code(error).is_some()
}
