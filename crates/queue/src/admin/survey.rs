//! Counts the jobs of a queue at one instant.

use serde::Deserialize;
use serde_json::Value;

use super::{Inspector, LineCounts, ShardName, text};
use crate::job::{EntryId, FlowId};
use crate::redis::{Error, GROUP, number, unexpected, without_line};

/// An entry's id with an older time was chosen by its producer, ms.
const WAIT_MS_MAX: u64 = 366 * 24 * 3600 * 1000;

/// The contents of a queue.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Redis' clock, Unix ms.
    pub now: u64,
    /// Jobs in the stream, for any worker.
    pub ready: u64,
    /// Jobs in flight at a worker: running.
    pub in_flight: u64,
    /// Jobs that are scheduled, held or orphaned.
    pub waiting: u64,
    /// Job ids in the schedule.
    pub scheduled: u64,
    /// Jobs that wait for their turns, and dead letters that stop lines.
    pub lines: LineCounts,
    /// Job ids that each flow holds.
    pub held: Vec<(FlowId, u64)>,
    /// How many of the checked scheduled job ids have no job.
    pub without_job: u64,
    /// Entries that were delivered and are pending for no consumer, among the first ones. They are counted as ready too.
    pub lost: u64,
    /// Dead letters.
    pub dead: u64,
    /// Entries that were no jobs. They have their own stream, and are not among the dead letters here.
    pub rejected: u64,
    /// Whether the stream exists.
    pub has_stream: bool,
    /// The last id that was delivered to the group; `None` without a group.
    pub delivered: Option<String>,
    /// The highest id that the stream has generated.
    pub last: Option<EntryId>,
    /// The age of the first ready job, ms; `None` if there is none, or its id contains no time.
    pub oldest_ms: Option<u64>,
    /// The consumers of the group, and the workers with a record.
    pub consumers: Vec<SurveyedConsumer>,
    /// The errors of counts that failed.
    pub faults: Vec<String>,
}

/// A consumer of the group, a worker's record, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurveyedConsumer {
    /// Its name.
    pub name: String,
    /// How many jobs it has in flight.
    pub pending: u64,
    /// Whether it is a consumer of the group.
    pub reads: bool,
    /// Time since its last command as a consumer, ms.
    pub idle_ms: u64,
    /// Time since its last heartbeat, ms.
    pub seen_ms: Option<u64>,
    /// Its lease, ms.
    pub lease_ms: Option<u64>,
    /// Its version.
    pub version: Option<String>,
    /// What is wrong with it, in sentences.
    pub warnings: Vec<String>,
}

/// Whether a worker works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its last heartbeat is at most a lease old.
    Alive,
    /// It is at most ten leases old: the worker was killed or hangs, and others take over its jobs.
    Silent,
    /// It is older, or there was none.
    Gone,
}

impl Survey {
    /// How many jobs are held: by their flows, or until they have their turns.
    pub fn all_held(&self) -> u64 {
        self.held_jobs() + self.lines.waiting
    }

    /// How many jobs the flows hold.
    pub fn held_jobs(&self) -> u64 {
        self.held.iter().map(|(_, jobs)| jobs).sum()
    }
}

impl SurveyedConsumer {
    /// Whether it works, by the age of its last heartbeat. A worker sends three within a lease.
    pub fn life(&self) -> Life {
        match (self.seen_ms, self.lease_ms) {
            (Some(seen), Some(lease)) if seen <= lease => Life::Alive,
            (Some(seen), Some(lease)) if seen <= lease.saturating_mul(10) => Life::Silent,
            _ => Life::Gone,
        }
    }

    /// Whether its last heartbeat is at most a lease old.
    pub fn alive(&self) -> bool {
        self.life() == Life::Alive
    }
}

#[derive(Deserialize)]
struct ConsumerRecord {
    seen: Option<u64>,
    lease_ms: Option<u64>,
    version: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Inspector {
    /// Counts the jobs of a queue, and checks the job of the first `looked_up` scheduled job ids, and up to as many
    /// entries for being lost.
    ///
    /// # Errors
    /// fred's.
    pub async fn survey(&self, queue: &ShardName, looked_up: u64) -> Result<Survey, Error> {
        /// A flow may start to hold jobs between two calls, but not again and again.
        const SURVEY_TRIES: usize = 5;
        let own = Self::keys(queue);
        let mut known: Vec<FlowId> = Vec::new();
        let mut looks = 0;
        loop {
            let mut keys = vec![own.jobs.clone(), own.waiting.clone(), own.scheduled.clone()];
            keys.extend([own.dead.clone(), own.workers.clone(), own.flows.clone(), own.rejected.clone()]);
            keys.extend(known.iter().map(|flow| own.flow(*flow)));
            let args = vec![GROUP.into(), number(looked_up)];
            let reply = self.scripts.survey.poll(&self.redis, keys, args).await?;
            let counted = serde_json::from_str(&text(&reply)?).map_err(|_| unexpected())?;
            let flows = flows(&counted);
            looks += 1;
            if looks >= SURVEY_TRIES || flows.iter().all(|flow| known.contains(flow)) {
                // A user may lack the right to read these keys, or they may have a wrong type.
                let lines = Box::pin(self.line_counts(queue)).await.unwrap_or_default();
                return Ok(Survey { lines, ..parse(&counted, &known) });
            }
            known = flows;
        }
    }
}

/// The flows that hold jobs. Foreign members are ignored.
fn flows(counted: &Value) -> Vec<FlowId> {
    list(counted, "flows").iter().filter_map(|flow| FlowId::parse(flow.as_str()?)).collect()
}

fn parse(counted: &Value, known: &[FlowId]) -> Survey {
    let count = |name: &str| counted[name].as_u64().unwrap_or(0);
    let id = |name: &str| counted[name].as_str().and_then(|id| EntryId::parse(id.as_bytes()));
    let now = count("now");
    let age = |id: EntryId| now.checked_sub(id.millis).filter(|age| *age < WAIT_MS_MAX);
    Survey {
        now,
        // Redis still counts entries as pending that were deleted while they were pending.
        ready: count("entries").saturating_sub(count("pending")),
        in_flight: count("pending"),
        lines: LineCounts::default(),
        waiting: count("waiting"),
        scheduled: count("scheduled"),
        held: known
            .iter()
            .zip(list(counted, "held"))
            .map(|(flow, jobs)| (*flow, jobs.as_u64().unwrap_or(0)))
            .filter(|(_, jobs)| *jobs > 0)
            .collect(),
        without_job: count("without_job"),
        lost: count("lost"),
        dead: count("dead"),
        rejected: count("rejected"),
        has_stream: counted["entries"].is_u64(),
        delivered: counted["delivered_id"].as_str().map(str::to_owned),
        last: id("last_id"),
        oldest_ms: id("first_ready_id").and_then(age),
        consumers: consumers(counted, now),
        faults: list(counted, "faults")
            .iter()
            .filter_map(|fault| Some(without_line(fault.as_str()?).to_owned()))
            .collect(),
    }
}

fn consumers(counted: &Value, now: u64) -> Vec<SurveyedConsumer> {
    let name = |row: &Value| row["name"].as_str().unwrap_or_default().to_owned();
    let mut consumers: Vec<_> = list(counted, "consumers")
        .iter()
        .map(|row| SurveyedConsumer {
            name: name(row),
            pending: row["pending"].as_u64().unwrap_or(0),
            reads: true,
            idle_ms: row["idle_ms"].as_u64().unwrap_or(0),
            ..SurveyedConsumer::default()
        })
        .collect();
    for row in list(counted, "workers") {
        let index = consumers.iter().position(|consumer| consumer.name == name(row)).unwrap_or_else(|| {
            consumers.push(SurveyedConsumer { name: name(row), ..SurveyedConsumer::default() });
            consumers.len() - 1
        });
        let record = row["record"].as_str().unwrap_or_default();
        if let Ok(record) = serde_json::from_str::<ConsumerRecord>(record) {
            let consumer = &mut consumers[index];
            consumer.seen_ms = record.seen.map(|seen| now.saturating_sub(seen));
            consumer.lease_ms = record.lease_ms;
            consumer.version = record.version;
            consumer.warnings = record.warnings;
        }
    }
    consumers
}

/// A list. The script writes an empty list as an object.
fn list<'a>(counted: &'a Value, name: &str) -> &'a [Value] {
    counted[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_795_396_101_000;

    #[test]
    fn pending_jobs_are_not_ready() {
        let counted = json!({"now": NOW, "entries": 5, "pending": 2, "delivered_id": "1-0", "faults": {}});
        let survey = parse(&counted, &[]);
        assert_eq!((survey.ready, survey.in_flight, survey.has_stream), (3, 2, true));
        assert_eq!(parse(&json!({"now": NOW, "entries": 0, "pending": 2}), &[]).ready, 0);
        assert!(!parse(&json!({"now": NOW}), &[]).has_stream);
    }

    #[test]
    fn held_jobs_are_counted_by_flow() {
        let known = [FlowId::of("a:80"), FlowId::of("b:80")];
        let survey = parse(&json!({"now": NOW, "held": [3, 0]}), &known);
        assert_eq!((survey.held.as_slice(), survey.held_jobs()), ([(known[0], 3)].as_slice(), 3));
        let counted = json!({"flows": [known[1].to_string(), "not a flow"]});
        assert_eq!((flows(&counted), flows(&json!({"flows": {}}))), (vec![known[1]], vec![]));
    }

    #[test]
    fn an_id_that_a_producer_chose_has_no_age() {
        let oldest = |id: &str| parse(&json!({"now": NOW, "first_ready_id": id}), &[]).oldest_ms;
        assert_eq!(oldest("1795396100000-3"), Some(1000));
        assert_eq!(oldest("1-1"), None);
        assert_eq!(oldest("9999999999999999-0"), None);
    }

    #[test]
    fn a_worker_is_alive_for_a_lease_and_silent_for_ten() {
        let worker = |seen: u64| {
            let record = json!({"seen": seen, "lease_ms": 1000, "version": "0.1.0"}).to_string();
            let counted = json!({"now": NOW, "consumers": [{"name": "a", "pending": 3, "idle_ms": 9}],
                "workers": [{"name": "a", "record": record}, {"name": "b", "record": "?"}]});
            consumers(&counted, NOW)
        };
        let both = worker(NOW - 1_000);
        assert_eq!((both.len(), both[0].pending, both[0].life()), (2, 3, Life::Alive));
        assert_eq!(worker(NOW - 1_001)[0].life(), Life::Silent);
        assert_eq!(worker(NOW - 10_001)[0].life(), Life::Gone);
        assert!(both[1].life() == Life::Gone && !both[1].reads);
    }
}
