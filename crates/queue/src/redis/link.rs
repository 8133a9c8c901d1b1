//! The state of the connection to Redis, for one shard. Logs one line for each change, however many loops notice
//! it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fred::error::Error;
use tracing::{info, warn};

use super::keys::QueueName;
use super::reason::error_text;

/// The time without a failure before Redis counts as up again. Longer than any pause between tries.
const UP_AFTER: Duration = Duration::from_millis(2500);
/// The time without a refusal before the shard counts as sound again. Longer than any pause between tries and
/// the call itself.
const SOUND: Duration = Duration::from_secs(10);

/// Whether Redis answers, by the calls of all loops of one shard.
#[derive(Debug)]
pub struct Link {
    /// The shard, for the log.
    shard: String,
    away: AtomicBool,
    since: Mutex<Instant>,
    /// The last failure.
    failed: Mutex<Option<Instant>>,
    /// The refusals of the last [`SOUND`], by their texts.
    refusals: Mutex<HashMap<String, RefusedCommand>>,
}

#[derive(Clone, Copy, Debug)]
struct RefusedCommand {
    seen: Instant,
    /// Whether the shard works without that call.
    is_tolerable: bool,
}

impl Link {
    pub(crate) fn new(queue: &QueueName, shard: u32) -> Self {
        Self {
            shard: if shard == 0 { queue.to_string() } else { format!("{queue}/{shard}") },
            away: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
            failed: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    /// The shard as in its keys: `mail`, `mail/1`.
    pub fn shard(&self) -> &str {
        &self.shard
    }

    /// A call succeeded.
    pub fn up(&self) {
        // A plain load first: each batch calls this. While only some calls fail, as on a replica, Redis is
        // not up.
        if !self.away.load(Ordering::Relaxed) || self.failed_within(UP_AFTER) {
            return;
        }
        if self.away.swap(false, Ordering::Relaxed) {
            *self.since.lock().expect("nothing panics while it holds this lock") = Instant::now();
            info!(queue = self.shard, "Redis answers again");
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

    /// Why the shard does not work now: Redis does not answer, or it refuses what the shard needs. `None` if
    /// it works.
    pub fn trouble(&self) -> Option<String> {
        if self.away.load(Ordering::Relaxed) {
            return Some("Redis does not answer as it should; retrying until it does".to_owned());
        }
        let refusals = self.refusals.lock().expect("nothing panics while it holds this lock");
        let grave = refusals.iter().filter(|(_, last)| !last.is_tolerable && last.seen.elapsed() < SOUND);
        let last = grave.max_by_key(|(_, last)| last.seen);
        last.map(|(text, _)| format!("Redis refuses a command; retrying until it is allowed: {text}"))
    }

    /// A call failed. Returns the pause before the next, by the number of failures in a row: 50 ms doubling
    /// to 2 s, with jitter.
    pub fn down(&self, error: &Error, in_a_row: u32) -> Duration {
        // Who sees that the group is missing has created it, so that the next call succeeds.
        if !is_group_missing(error) {
            *self.failed.lock().expect("nothing panics while it holds this lock") = Some(Instant::now());
            if is_refusal(error) {
                self.refused(error, false);
            } else if !self.away.swap(true, Ordering::Relaxed) {
                // fred's error holds no password.
                let error = error_text(error);
                warn!(
                    queue = self.shard,
                    error, "Redis does not answer as it should; retrying until it does"
                );
            }
        }
        let longest =
            Duration::from_millis(50).saturating_mul(1 << in_a_row.min(6)).min(Duration::from_secs(2));
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Redis refuses a call without which the shard works, if not as well.
    pub fn tolerate(&self, error: &Error) {
        self.refused(error, true);
    }

    /// Notes a refusal. Logs it once while it lasts.
    fn refused(&self, error: &Error, is_tolerable: bool) {
        const TEXTS_MAX: usize = 32;
        let mut refusals = self.refusals.lock().expect("nothing panics while it holds this lock");
        refusals.retain(|_, last| last.seen.elapsed() < SOUND);
        let is_known = refusals.contains_key(error.details());
        if !is_known && refusals.len() >= TEXTS_MAX {
            return;
        }
        refusals.insert(error.details().to_owned(), RefusedCommand { seen: Instant::now(), is_tolerable });
        drop(refusals);
        if !is_known {
            warn!(queue = self.shard, %error, "Redis refuses a command; retrying until it is allowed or the job's lease is lost");
        }
    }
}

/// Error replies that pass by themselves: the server starts, fails over, moves a slot, or is full.
const PASSING: [&str; 13] = [
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
    "NOGROUP",
];

/// Whether Redis refuses a command for a reason that does not pass by itself: a missing right, a key of a
/// wrong type.
pub fn is_refusal(error: &Error) -> bool {
    fred_otel::reply_code(error).is_some_and(|code| !PASSING.contains(&code))
}

/// Whether the consumer group is missing.
pub(crate) fn is_group_missing(error: &Error) -> bool {
    fred_otel::reply_code(error) == Some("NOGROUP")
}

/// Whether the error is Redis' own reply: then the command had no effect. After any other error, that is
/// unknown.
pub fn is_answer(error: &Error) -> bool {
    fred_otel::reply_code(error).is_some()
}

#[cfg(test)]
mod tests {
    use fred::error::ErrorKind;

    use super::*;

    fn link() -> Link {
        Link::new(&"mail".parse().unwrap(), 1)
    }

    fn error(text: &'static str) -> Error {
        Error::new(ErrorKind::Unknown, text)
    }

    #[test]
    fn a_shard_that_redis_refuses_is_in_trouble_though_redis_answers() {
        let link = link();
        assert_eq!((link.shard(), link.trouble()), ("mail/1", None));
        link.down(&error("WRONGTYPE Operation against a key holding the wrong kind of value"), 0);
        link.up();
        assert!(link.trouble().unwrap().contains("WRONGTYPE"), "{:?}", link.trouble());
        assert!(link.up_for(Duration::ZERO));
    }

    #[test]
    fn a_missing_group_and_a_call_that_is_not_needed_are_no_trouble() {
        let link = link();
        link.down(&error("NOGROUP No such key"), 0);
        link.tolerate(&error("NOPERM this user has no permissions"));
        assert_eq!(link.trouble(), None);
    }
}
