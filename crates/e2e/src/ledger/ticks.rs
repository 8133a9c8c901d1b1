//! Periodic jobs beside the numbered ones: each tick makes one job, and its job is delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use http::HeaderMap;

use super::Homes;
use crate::process::{Build, Postrider};
use crate::queue::Queue;
use crate::redis::RedisServer;
use crate::text_file::TextFile;
use crate::wait::DEADLINE;

/// Definitions of each queue. All tick each second.
const DEFINITIONS: usize = 3;
/// The time between two ticks, ms.
const INTERVAL: u64 = 1000;

/// The ids of the jobs that have arrived, by definition and tick.
type Arrived = BTreeMap<(String, u64), BTreeSet<String>>;

/// What has arrived at the destination.
#[derive(Clone, Default)]
pub(super) struct TickBook(Arc<Mutex<Arrived>>);

impl TickBook {
    /// Notes a request; returns false if it is of no periodic job.
    pub(super) fn note(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(cron), Some(tick), Some(job)) =
            (text("postrider-cron"), text("postrider-tick"), text("idempotency-key"))
        else {
            return false;
        };
        let tick = tick.parse::<jiff::Timestamp>().map_or(0, |tick| tick.as_millisecond().unsigned_abs());
        let mut arrived = self.0.lock().expect("no one panics with this lock");
        arrived.entry((cron.to_owned(), tick)).or_default().insert(job.to_owned());
        true
    }
}

/// The definitions of a run.
pub(super) struct Ticks {
    /// Queue, name, and first tick.
    definitions: Vec<(&'static str, String, u64)>,
    book: TickBook,
}

impl Ticks {
    /// Applies the definitions.
    pub(super) fn start(redis: &RedisServer, homes: Homes, url: &str, book: TickBook) -> Ticks {
        let names = homes
            .iter()
            .filter(|home| !home.contains('/'))
            .flat_map(|queue| (0..DEFINITIONS).map(move |number| (*queue, format!("{queue}-tick-{number}"))));
        let names: Vec<_> = names.collect();
        let text: String = names
            .iter()
            .map(|(queue, name)| {
                format!(
                    "[cron.{name}]\nqueue = \"{queue}\"\nevery = \"1s\"\ncatch_up = \"all\"\njob = {{ url = \"{url}/ok\" }}\n"
                )
            })
            .collect();
        let file = TextFile::new(&text);
        let applied = Postrider::run(
            Build::Lean,
            &["cron", "apply", file.path(), "--redis-url", &redis.url()],
            &[],
            DEADLINE,
        );
        assert_eq!(applied.code(), 0, "{}", applied.stderr);
        let definitions = names.into_iter().map(|(queue, name)| {
            let first = next(redis, queue, &name);
            (queue, name, first)
        });
        Ticks { definitions: definitions.collect(), book }
    }

    /// Ends all definitions. Returns for each its name, its first tick, and the tick that was not made any more.
    pub(super) fn end(&self, redis: &RedisServer) -> Vec<(String, u64, u64)> {
        let ends = self.definitions.iter().map(|(queue, name, first)| {
            redis.command(&["HDEL", &Queue::new(redis, queue).key("cron"), &format!("d:{name}")]);
            (name.clone(), *first, next(redis, queue, name))
        });
        ends.collect()
    }

    /// How many ticks there were, and what is wrong with them.
    pub(super) fn account(&self, ends: &[(String, u64, u64)]) -> (usize, Vec<String>) {
        let arrived = self.book.0.lock().expect("no one panics with this lock");
        let (mut ticks, mut problems) = (0, vec![]);
        for (name, first, end) in ends {
            for tick in (*first..*end).step_by(INTERVAL as usize) {
                ticks += 1;
                match arrived.get(&(name.clone(), tick)).map_or(0, BTreeSet::len) {
                    1 => {}
                    0 => problems.push(format!("the job of {name} at {tick} is lost")),
                    jobs => problems.push(format!("the tick of {name} at {tick} has made {jobs} jobs")),
                }
            }
            let own = arrived.keys().filter(|(own, tick)| own == name && !(first..end).contains(&tick));
            problems.extend(own.map(|(name, tick)| format!("{name} has no tick at {tick}")));
        }
        (ticks, problems)
    }
}

/// The next tick of a definition, Unix ms.
fn next(redis: &RedisServer, queue: &str, name: &str) -> u64 {
    let next = redis.command(&["HGET", &Queue::new(redis, queue).key("cron"), &format!("n:{name}")]);
    next.text().parse().expect("a definition has a next tick")
}
