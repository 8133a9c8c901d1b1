//! The kinds of jobs. A job's number decides its kind, and its path controls the destination.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::{Fields, IdempotencyKey};

use super::places::{CALLBACKS, DESTINATION, LIMITED, WORKER, host_flow};

/// The number of consecutive jobs that share one due time.
const BURST: u64 = 40;
/// After this time, jobs that cannot succeed are not tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an idempotency key is kept: both jobs of a key are enqueued within a second, or while Redis does not answer.
const KEY_TTL: Duration = Duration::from_secs(300);

/// The number of a job's callback is that of the job and this.
pub(crate) const CALLBACK: u64 = 1 << 40;

/// What a job is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Succeeds at once.
    Plain,
    /// Has a waiting client for its result.
    Watched,
    /// Is enqueued twice with one idempotency key.
    Keyed,
    /// Gets a 503 once.
    Flaky,
    /// Succeeds after a part of a lease.
    Slow,
    /// Succeeds after more than a lease.
    VerySlow,
    /// Gets a 410 and becomes a dead letter.
    Gone,
    /// Waits before its first attempt.
    Delayed,
    /// Waits for the same millisecond as many others.
    Burst,
    /// Belongs to a flow with limits.
    Limited,
    /// Never succeeds at a destination that works for all others: it hangs or fails.
    Poisonous,
    /// Is for a host that never responds.
    Hanging,
    /// Reports the end of another job.
    Callback,
}

impl Kind {
    pub(crate) fn of(number: u64) -> Kind {
        if number >= CALLBACK {
            return Kind::Callback;
        }
        match number % 20 {
            8 | 18 => return Kind::Poisonous,
            4 => return Kind::Hanging,
            _ => {}
        }
        match number % 400 {
            300..340 => return Kind::Burst,
            _ if number % 32 == 7 => return Kind::VerySlow,
            _ => {}
        }
        match number % 16 {
            1 | 9 => Kind::Flaky,
            3 => Kind::Slow,
            5 => Kind::Gone,
            13 => Kind::Delayed,
            2 | 10 => Kind::Watched,
            6 | 11 => Kind::Limited,
            14 | 15 => Kind::Keyed,
            _ => Kind::Plain,
        }
    }

    /// Whether a job of this kind may end among the dead letters for this reason.
    pub(crate) fn may_die(self, reason: &str) -> bool {
        match self {
            Kind::Gone => matches!(reason, "final_status" | "poison"),
            Kind::Poisonous | Kind::Hanging => matches!(reason, "attempts" | "expired" | "poison"),
            _ => reason == "poison",
        }
    }

    fn path(self, number: u64) -> &'static str {
        match self {
            Kind::Callback => "/called",
            Kind::Flaky => "/flaky",
            Kind::Slow => "/slow",
            Kind::VerySlow => "/very-slow",
            Kind::Gone => "/gone",
            Kind::Poisonous if number % 20 == 8 => "/hangs",
            Kind::Poisonous => "/fails",
            Kind::Hanging => "/",
            _ => "/ok",
        }
    }
}

/// Whether the end of a job is reported: jobs of every kind have callbacks.
pub(crate) fn has_callback(number: u64) -> bool {
    number.is_multiple_of(3)
}

/// The number of the callback that is sent to this path and query.
pub(crate) fn callback_number(path: &str) -> Option<u64> {
    let number: u64 = path.strip_prefix("/called?")?.parse().ok()?;
    Some(CALLBACK + number)
}

/// What the jobs of a run share.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    /// The run, which is in idempotency keys.
    pub(crate) run: String,
    /// Jobs per second, which decides how many order keys there are.
    pub(crate) rate: u32,
    /// The base URL of the destination.
    pub(crate) destination: String,
    /// The base URLs of the hosts that never answer.
    pub(crate) hosts: Vec<String>,
}

impl Jobs {
    /// The order key of a job, if it has one: a third of them have. A line has 40 jobs a minute at any rate.
    pub(crate) fn order_key(&self, number: u64) -> Option<u64> {
        // Even, so that the jobs of a key are in one queue.
        let keys = (u64::from(self.rate) / 2).max(40).next_multiple_of(2);
        number.is_multiple_of(3).then_some(number % (3 * keys))
    }

    /// The index of a job's queue.
    pub(crate) fn queue(&self, number: u64) -> usize {
        usize::from(!(number / 3).is_multiple_of(2))
    }

    /// The idempotency key of a job, if it has one.
    pub(crate) fn key(&self, number: u64) -> Option<IdempotencyKey> {
        let key = format!("{}-{number}", self.run);
        (Kind::of(number) == Kind::Keyed).then_some(IdempotencyKey { key, ttl: KEY_TTL })
    }

    /// The fields of a job that is enqueued at this time, Unix ms.
    pub(crate) fn fields(&self, number: u64, now: u64) -> Fields {
        let (kind, base) = (Kind::of(number), &self.destination);
        let host = (number / 20) as usize % self.hosts.len().max(1);
        let (base_url, flow) = match (kind, self.hosts.get(host)) {
            (Kind::Hanging, Some(url)) => (url, host_flow(host)),
            (Kind::Limited, _) => (base, LIMITED.to_owned()),
            _ => (base, DESTINATION.to_owned()),
        };
        let mut fields: Vec<(&'static str, String)> = vec![
            ("url", format!("{base_url}{}", kind.path(number))),
            ("body", number.to_string()),
            ("flow", flow),
        ];
        if has_callback(number) {
            let called = format!("{base}/called?{number}");
            let callback = |flow| format!(r#"{{"url":"{called}","flow":"{flow}","secret":"{WORKER}"}}"#);
            fields.push(("on_success", callback(DESTINATION)));
            fields.push(("on_failure", callback(CALLBACKS)));
        }
        if kind != Kind::Hanging {
            fields.push(("secret", WORKER.to_owned()));
        }
        fields.extend(self.order_key(number).map(|key| ("order", format!("key-{key}"))));
        match kind {
            Kind::Poisonous | Kind::Hanging => {
                fields.push(("timeout_ms", "500".to_owned()));
                fields.push(("max_attempts", "3".to_owned()));
                fields.push(("expires_at", (now + PATIENCE.as_millis() as u64).to_string()));
            }
            Kind::Watched => fields.push(("result_ttl_ms", "60000".to_owned())),
            Kind::Delayed => fields.push(("delay_ms", "700".to_owned())),
            Kind::Burst => fields.push(("not_before", burst_time(number, now).to_string())),
            _ => {}
        }
        fields.into_iter().map(|(name, value)| (Bytes::from_static(name.as_bytes()), value.into())).collect()
    }
}

/// A whole second, one to two seconds from now, shared by the jobs of a burst enqueued within the same second.
fn burst_time(number: u64, now: u64) -> u64 {
    debug_assert!(number % 400 - 300 < BURST);
    (now / 1000 + 2) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_jobs_is_poisonous_and_every_kind_is_there() {
        let kinds: Vec<Kind> = (0..4_000).map(Kind::of).collect();
        let count = |kind: Kind| kinds.iter().filter(|own| **own == kind).count();
        assert_eq!(count(Kind::Poisonous), 400);
        for kind in [
            Kind::Plain,
            Kind::Watched,
            Kind::Keyed,
            Kind::Flaky,
            Kind::Slow,
            Kind::VerySlow,
            Kind::Gone,
            Kind::Delayed,
            Kind::Burst,
            Kind::Limited,
            Kind::Hanging,
        ] {
            assert!(count(kind) > 20, "{kind:?}");
        }
    }

    #[test]
    fn the_jobs_of_an_order_key_are_in_one_queue() {
        for rate in [1, 80, 81, 1_000] {
            let jobs = Jobs { run: String::new(), rate, destination: String::new(), hosts: vec![] };
            for number in 0..3_000 {
                if let Some(key) = jobs.order_key(number) {
                    assert_eq!(jobs.queue(number), jobs.queue(key), "{rate} {number}");
                }
            }
        }
    }

    #[test]
    fn a_callback_has_the_number_of_its_job() {
        assert_eq!(callback_number("/called?7"), Some(CALLBACK + 7));
        assert_eq!((callback_number("/called"), callback_number("/ok?7")), (None, None));
    }
}
