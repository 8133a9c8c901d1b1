//! How the connection to Redis fares: one log line for each change, however many loops notice it.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fred::error::Error;
use telemetry::ErrorType;
use tracing::{info, warn};

/// For so long there must be no failure before Redis counts as there again; longer than any pause between tries.
const STEADY: Duration = Duration::from_millis(2500);

/// Whether Redis answers, as the loops of one queue see it together.
#[derive(Debug)]
pub struct Link {
    away: AtomicBool,
    since: Mutex<Instant>,
    /// The last failure.
    failed: Mutex<Option<Instant>>,
    /// What Redis has refused.
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
        // A plain load first: this is called for each batch. And while some calls fail and others do not, as on
        // a replica, it is not up.
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

    /// Whether Redis has answered for so long without a failure.
    pub fn up_for(&self, time: Duration) -> bool {
        let since = *self.since.lock().expect("nothing panics while it holds this lock");
        !self.away.load(Ordering::Relaxed) && since.elapsed() >= time
    }

    /// Whether Redis answers, as far as the last calls tell.
    pub fn is_up(&self) -> bool {
        !self.away.load(Ordering::Relaxed)
    }

    /// A call failed. Answers how long to wait before the next: 50 ms doubling to 2 s, with jitter, by how
    /// often it has failed in a row.
    pub fn down(&self, error: &Error, in_a_row: u32) -> Duration {
        *self.failed.lock().expect("nothing panics while it holds this lock") = Some(Instant::now());
        if is_refusal(error) {
            self.refused(error);
        } else if !self.away.swap(true, Ordering::Relaxed) {
            // fred's error holds no password.
            warn!(%error, "Redis does not answer as it should; trying on until it does");
        }
        let longest =
            Duration::from_millis(50).saturating_mul(1 << in_a_row.min(6)).min(Duration::from_secs(2));
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Redis is there and says no: a missing right, a key of a wrong type. Told once for each text.
    fn refused(&self, error: &Error) {
        const MOST_TEXTS: usize = 32;
        let mut told = self.told.lock().expect("nothing panics while it holds this lock");
        if told.len() < MOST_TEXTS && told.insert(error.details().to_owned()) {
            warn!(%error, "Redis refuses a command; it is repeated until it is allowed, or its job's lease is lost");
        }
    }
}

/// Error replies that pass by themselves: of a server that starts, fails over, moves a slot, or is full.
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

/// Whether Redis is there and says no, for what does not pass by itself: a missing right, a key of a wrong type.
pub fn is_refusal(error: &Error) -> bool {
    match redis_telemetry::error_type(error) {
        ErrorType::Redis(prefix) => !PASSING.contains(&prefix.as_str()),
        _ => false,
    }
}

/// Whether Redis itself has answered so: what it refuses it has not done. Of any other error nobody knows.
pub fn is_answer(error: &Error) -> bool {
    matches!(redis_telemetry::error_type(error), ErrorType::Redis(_))
}
