//! Whether the relay works, for probes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::connection::RelayError;

/// How long a queue's trouble counts while Redis answers and nothing of the queue is tried: its rows have been deleted. Longer
/// than the pause between two tries.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// What does not work now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    is_started: bool,
    troubles: BTreeMap<Part, Trouble>,
}

/// What can fail by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A connection to PostgreSQL.
    Connection(usize),
    /// Redis as a whole.
    Redis,
    /// Redis, for the jobs of one queue.
    Queue(String),
}

#[derive(Debug)]
struct Trouble {
    why: String,
    seen: Instant,
}

impl Health {
    /// Why no row is enqueued now; `None` if rows are.
    pub fn why_not_ready(&self) -> Option<String> {
        let inner = self.inner();
        if !inner.is_started {
            return Some("starting: not connected to PostgreSQL yet".to_owned());
        }
        inner.troubles.values().next().map(|trouble| trouble.why.clone())
    }

    /// A connection to PostgreSQL works. Returns whether all works again.
    pub(crate) fn connection_works(&self, taker: usize) -> bool {
        self.inner().is_started = true;
        self.ends(|part, _| *part == Part::Connection(taker))
    }

    /// A connection to PostgreSQL does not work. Returns whether that is news.
    pub(crate) fn connection_fails(&self, taker: usize, error: &RelayError) -> bool {
        self.begins(Part::Connection(taker), error.to_string(), Instant::now())
    }

    /// Redis has taken the jobs of these queues. Returns whether all works again.
    pub(crate) fn queues_work(&self, queues: &[String]) -> bool {
        self.ends(|part, _| match part {
            Part::Queue(queue) => queues.contains(queue),
            Part::Redis => !queues.is_empty(),
            Part::Connection(_) => false,
        })
    }

    /// Redis does not take the jobs of a queue. Returns whether that is news.
    pub(crate) fn queue_fails(&self, queue: &str, why: String, now: Instant) -> bool {
        self.begins(Part::Queue(queue.to_owned()), why, now)
    }

    /// Redis answers. Returns whether all works again.
    pub(crate) fn redis_answers(&self, now: Instant) -> bool {
        self.ends(|part, trouble| match part {
            Part::Redis => true,
            Part::Queue(_) => now.saturating_duration_since(trouble.seen) > FORGET_AFTER,
            Part::Connection(_) => false,
        })
    }

    /// Redis does not answer. Returns whether that is news.
    pub(crate) fn redis_fails(&self, why: String) -> bool {
        self.begins(Part::Redis, why, Instant::now())
    }

    /// Notes a trouble. It is no news if the part has it already, or if another one has it for the same reason.
    fn begins(&self, part: Part, why: String, now: Instant) -> bool {
        let mut inner = self.inner();
        let is_new = match part {
            // Its error changes from try to try: closed, refused, too late.
            Part::Redis | Part::Queue(_) => !inner.troubles.contains_key(&part),
            Part::Connection(_) => inner.troubles.values().all(|known| known.why != why),
        };
        inner.troubles.insert(part, Trouble { why, seen: now });
        is_new
    }

    fn ends(&self, is_over: impl Fn(&Part, &Trouble) -> bool) -> bool {
        let mut inner = self.inner();
        let before = inner.troubles.len();
        inner.troubles.retain(|part, trouble| !is_over(part, trouble));
        before > 0 && inner.troubles.is_empty()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn works() -> Health {
        let health = Health::default();
        health.connection_works(0);
        health
    }

    #[test]
    fn a_queue_fails_until_redis_takes_its_jobs() {
        let (health, now) = (works(), Instant::now());
        assert!(health.queue_fails("mail", "closed".into(), now));
        assert!(!health.queue_fails("mail", "too late".into(), now), "it fails already");
        assert!(!health.connection_works(1), "another connection found no rows: that proves nothing");
        assert!(!health.queues_work(&["sms".into()]));
        assert_eq!(health.why_not_ready().as_deref(), Some("too late"));
        assert!(health.queues_work(&["mail".into()]));
        assert_eq!(health.why_not_ready(), None);
    }

    #[test]
    fn a_queue_whose_rows_were_deleted_is_forgotten_while_redis_answers() {
        let (health, now) = (works(), Instant::now());
        health.queue_fails("mail", "full".into(), now);
        assert!(!health.redis_answers(now + FORGET_AFTER));
        assert!(health.redis_answers(now + 2 * FORGET_AFTER));
    }

    #[test]
    fn redis_is_away_until_it_answers_or_takes_a_job() {
        let health = works();
        for end in [
            |health: &Health| health.redis_answers(Instant::now()),
            |health: &Health| health.queues_work(&["a".into()]),
        ] {
            assert!(health.redis_fails("refused".into()) && !health.redis_fails("refused".into()));
            assert!(health.why_not_ready().is_some());
            assert!(end(&health));
        }
    }

    #[test]
    fn what_all_connections_report_is_news_once() {
        let health = works();
        let error = || RelayError::Postgres("refuses".into());
        assert!(health.connection_fails(0, &error()) && !health.connection_fails(1, &error()));
        assert!(health.connection_fails(1, &RelayError::NoTable));
        assert!(!health.connection_works(0) && health.connection_works(1));
    }
}
