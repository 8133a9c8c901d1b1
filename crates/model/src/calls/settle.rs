//! Settlements.

use super::{Call, GROUP, MARK, Shard};
use crate::redis::Bytes;

/// The bounds of dead letters: their number, their bytes, their age.
pub(super) const BOUNDS: [&str; 3] = ["100000", "536870912", "2592000000"];

/// A delivery that a consumer holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) consumer: String,
    pub(crate) id: String,
    pub(crate) count: u64,
}

impl Held {
    fn arguments(&self) -> [String; 4] {
        [GROUP.to_owned(), self.consumer.clone(), self.id.clone(), self.count.to_string()]
    }
}

/// The bounds of the delivery log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) age_ms: u64,
    pub(crate) jobs: u64,
    pub(crate) bytes: u64,
}

/// How a job is postponed.
#[derive(Clone, Debug)]
pub(crate) struct Postpone<'a> {
    /// `retry`, `delay` or `flow`.
    pub(crate) mode: &'a str,
    pub(crate) delay_ms: u64,
    pub(crate) not_before: u64,
    pub(crate) enqueued_at: u64,
    pub(crate) flow: &'a str,
    pub(crate) rank: u64,
    pub(crate) expires: u64,
    /// Whether an attempt has failed.
    pub(crate) is_counted: bool,
}

impl Shard {
    /// Removes succeeded jobs, with `count` only those that the consumer holds with that delivery count, and counts them with
    /// `earlier` ones, or nothing.
    pub(crate) fn complete(
        self,
        consumer: &str,
        count: Option<u64>,
        earlier: Option<u64>,
        ids: &[String],
        log: Option<Log>,
    ) -> Call {
        let [count, earlier] =
            [count, earlier].map(|number| number.map_or_else(String::new, |number| number.to_string()));
        let own = [GROUP, consumer, "100000", &count, &earlier].map(str::to_owned);
        let records = "[1]\n".repeat(ids.len());
        let call = self.call("complete", &["jobs", "stats"], &own).with_log(self, log, Some(&records));
        let ids: Vec<Bytes> = ids.iter().map(|id| id.clone().into_bytes()).collect();
        call.with(&ids)
    }

    /// Counts succeeded jobs.
    pub(crate) fn count(self, jobs: u64) -> Call {
        self.call("count", &["stats"], &[jobs.to_string()])
    }

    /// Removes a succeeded job, and stores its result.
    pub(crate) fn complete_with_result(
        self,
        held: &Held,
        job_id: &str,
        ttl_ms: u64,
        log: Option<Log>,
    ) -> Call {
        let more = [ttl_ms.to_string(), r#"{"outcome":"succeeded"}"#.to_owned()];
        let arguments: Vec<String> = held.arguments().into_iter().chain(more).collect();
        let call =
            self.call("complete_with_result", &["jobs", &format!("result:{job_id}"), "stats"], &arguments);
        call.with_log(self, log, Some("[1]\n"))
    }

    /// Moves a job to the schedule, or to its flow.
    pub(crate) fn postpone(self, held: &Held, job_id: &str, how: &Postpone<'_>, fields: &[Bytes]) -> Call {
        let set = format!("flow:{}", how.flow);
        let sets = if how.mode == "flow" { [&*set, "flows", "expiring"] } else { ["scheduled"; 3] };
        let mut keys = vec!["jobs", "waiting", sets[0], sets[1], sets[2]];
        keys.extend(how.is_counted.then_some("stats"));
        let mut arguments = held.arguments().to_vec();
        arguments.extend([job_id.to_owned(), how.mode.to_owned()]);
        let numbers = [how.delay_ms, how.not_before, how.enqueued_at, how.rank, how.expires];
        arguments.extend(numbers.map(|number| number.to_string()));
        arguments.push(MARK.to_owned());
        self.call("postpone", &keys, &arguments).with(fields)
    }

    /// Hands a job back.
    pub(crate) fn hand_back(self, held: &Held, fields: &[Bytes]) -> Call {
        self.call("hand_back", &["jobs"], &held.arguments()).with(fields)
    }

    /// Dead-letters a job, and stores its result for a time.
    pub(crate) fn dead_letter(
        self,
        held: &Held,
        stream: &str,
        result: Option<(&str, u64)>,
        log: Option<Log>,
        fields: &[Bytes],
    ) -> Call {
        let arguments = [held.arguments().to_vec(), bounds(result)].concat();
        let result = result.map_or_else(|| stream.to_owned(), |(job_id, _)| format!("result:{job_id}"));
        let call = self.call("dead_letter", &["jobs", stream, "sizes", &result, "stats"], &arguments);
        call.with_log(self, log, Some("[1]\n")).with(fields)
    }

    /// Dead-letters a job whose fields did not leave Redis.
    pub(crate) fn dead_letter_entry(
        self,
        held: &Held,
        is_whole: bool,
        log: Option<Log>,
        fields: &[Bytes],
    ) -> Call {
        let more = ["65536".to_owned(), u8::from(is_whole).to_string(), MARK.to_owned()];
        let arguments = [held.arguments().to_vec(), bounds(None), more.to_vec()].concat();
        let call = self.call("dead_letter_entry", &["jobs", "dead", "sizes", "dead", "stats"], &arguments);
        call.with_log(self, log, Some("[1]\n")).with(fields)
    }
}

/// The bounds of dead letters, how long the result is kept, and the result.
pub(super) fn bounds(result: Option<(&str, u64)>) -> Vec<String> {
    let own = [result.map_or(0, |(_, ttl)| ttl).to_string(), r#"{"outcome":"dead"}"#.to_owned()];
    BOUNDS.map(str::to_owned).into_iter().chain(own).collect()
}
