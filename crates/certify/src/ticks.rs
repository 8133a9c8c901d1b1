//! Periodic jobs beside the numbered ones: each tick makes one job, and its job is delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::HeaderMap;
use postrider_queue::QueueName;
use postrider_queue::admin::Inspector;
use postrider_queue::cron::{CronName, Definition};
use postrider_queue::job::ENTRY_BYTES_MAX;
use serde_json::json;

use super::error::CertifyError;
use super::faults::Faults;
use super::places::{self, TICKS};

/// Definitions of each queue. All tick each second.
const DEFINITIONS: usize = 3;
/// The time between two ticks, ms.
const INTERVAL: u64 = 1000;
/// Ticks that may still be made while the definitions are removed, ms.
const REMOVAL: u64 = 60_000;

/// The ids of the jobs that have arrived, and when, by definition and tick.
type Arrived = BTreeMap<(String, u64), BTreeMap<String, Instant>>;

/// What has arrived at the destination.
#[derive(Clone, Default)]
pub(crate) struct TickBook(Arc<Mutex<Arrived>>);

impl TickBook {
    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; returns false if it is of no periodic job.
    pub(crate) fn note(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(cron), Some(tick), Some(job)) =
            (text("postrider-cron"), text("postrider-tick"), text("idempotency-key"))
        else {
            return false;
        };
        let tick = tick.parse::<jiff::Timestamp>().map_or(0, |tick| tick.as_millisecond().unsigned_abs());
        self.lock()
            .entry((cron.to_owned(), tick))
            .or_default()
            .entry(job.to_owned())
            .or_insert_with(Instant::now);
        true
    }
}

/// The definitions of a run.
pub(crate) struct Ticks {
    definitions: Vec<Ticking>,
    book: TickBook,
}

struct Ticking {
    queue: QueueName,
    name: String,
    /// Its first tick, Unix ms.
    first: u64,
    /// The first tick that need not be made any more.
    end: u64,
}

/// The account of all ticks.
pub(crate) struct TickAccount {
    /// How many there were.
    pub(crate) made: u64,
    /// How many of them have no delivered job.
    pub(crate) lost: u64,
    pub(crate) problems: Vec<String>,
}

impl Ticks {
    /// Applies the definitions.
    pub(crate) async fn start(
        inspector: &Inspector,
        destination: &str,
        book: TickBook,
    ) -> Result<Ticks, CertifyError> {
        let job = json!({"url": format!("{destination}/ok"), "flow": TICKS});
        let text = json!({"every": "1s", "catch_up": "all", "job": job}).to_string();
        let definition = Definition::parse(&text, ENTRY_BYTES_MAX).expect("the definition is right");
        let mut definitions = Vec::new();
        for (queue, _) in places::queues() {
            let named =
                |number| format!("{queue}-tick-{number}").parse().expect("it is a name of a definition");
            let names: Vec<CronName> = (0..DEFINITIONS).map(named).collect();
            let all: Vec<_> = names.into_iter().map(|name| (name, definition.clone())).collect();
            inspector
                .apply_crons(&queue, &all, &[])
                .await
                .map_err(|error| CertifyError::Setup(error.to_string()))?;
            definitions.extend(nexts(inspector, &queue).await?.into_iter().map(|(name, first)| Ticking {
                queue: queue.clone(),
                name,
                first,
                end: first,
            }));
        }
        Ok(Ticks { definitions, book })
    }

    /// Removes all definitions.
    pub(crate) async fn end(&mut self, inspector: &Inspector) -> Result<(), CertifyError> {
        for (queue, _) in places::queues() {
            let nexts = nexts(inspector, &queue).await?;
            for ticking in self.definitions.iter_mut().filter(|ticking| ticking.queue == queue) {
                if let Some((_, next)) = nexts.iter().find(|(name, _)| *name == ticking.name) {
                    ticking.end = *next;
                }
            }
            let names: Vec<String> = nexts.into_iter().map(|(name, _)| name).collect();
            let removed = inspector.apply_crons(&queue, &[], &names).await;
            removed.map_err(|error| CertifyError::Setup(error.to_string()))?;
        }
        Ok(())
    }

    /// How many ticks there were, and what is wrong with them.
    pub(crate) fn account(&self, faults: &Faults) -> TickAccount {
        let arrived = self.book.lock();
        let (mut made, mut lost, mut problems) = (0, 0, vec![]);
        for Ticking { name, first, end, .. } in &self.definitions {
            for tick in (*first..*end).step_by(INTERVAL as usize) {
                made += 1;
                let Some(jobs) = arrived.get(&(name.clone(), tick)) else {
                    lost += 1;
                    problems.push(format!("the job of {name} at {tick} is lost"));
                    continue;
                };
                if jobs.len() > 1 && !is_made_again(jobs, faults) {
                    problems.push(format!("the tick of {name} at {tick} has made {} jobs", jobs.len()));
                }
            }
            let of_name = arrived.range((name.clone(), 0)..=(name.clone(), u64::MAX));
            for ((_, tick), jobs) in of_name.filter(|((_, tick), _)| !(first..end).contains(&tick)) {
                let is_late = (*end..*end + REMOVAL).contains(tick) && jobs.len() == 1;
                if !is_late {
                    problems.push(format!("{name} has no tick at {tick}"));
                }
            }
        }
        TickAccount { made, lost, problems }
    }
}

/// Whether a failover may have lost a tick with its job after the job had been delivered.
fn is_made_again(jobs: &BTreeMap<String, Instant>, faults: &Faults) -> bool {
    let (first, last) = (jobs.values().min(), jobs.values().max());
    first.zip(last).is_some_and(|(first, last)| faults.may_lose(*first, *last))
}

/// The next tick of each definition, Unix ms.
async fn nexts(inspector: &Inspector, queue: &QueueName) -> Result<Vec<(String, u64)>, CertifyError> {
    let crons = inspector.crons(queue).await?;
    Ok(crons.into_iter().filter_map(|cron| Some((cron.name, cron.next?))).collect())
}
