//! How many dead letters and rejected entries a shard keeps.

use std::time::Duration;

use fred::types::{Key, Value};

use crate::job::Reason;
use crate::redis::{Keys, number};

/// How long dead letters are kept: 30 days.
const DEAD_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The bounds of a stream of entries that ended without success. The oldest are deleted first.
struct StreamBounds {
    count: u64,
    bytes: u64,
}

/// Dead letters.
const DEAD: StreamBounds = StreamBounds { count: 100_000, bytes: 512 << 20 };
/// Entries that are not jobs. They have their own stream, so that garbage displaces no dead letter.
const REJECTED: StreamBounds = StreamBounds { count: 10_000, bytes: 64 << 20 };

/// The stream of entries with this reason.
pub(crate) fn stream(keys: &Keys, reason: Reason) -> Key {
    if reason == Reason::Malformed { keys.rejected.clone() } else { keys.dead.clone() }
}

/// Adds the bounds of this stream (number, bytes, age), and the job's result with how long it is kept.
pub(crate) fn push_bounds(args: &mut Vec<Value>, reason: Reason, result: Option<(Duration, &str)>) {
    let StreamBounds { count, bytes } = if reason == Reason::Malformed { REJECTED } else { DEAD };
    let (ttl, text) = result.unwrap_or_default();
    let millis = |time: Duration| number(time.as_millis() as u64);
    args.extend([number(count), number(bytes), millis(DEAD_AGE_MAX), millis(ttl), text.into()]);
}
