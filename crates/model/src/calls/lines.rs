//! Ordered jobs, and callbacks.

use super::settle::bounds;
use super::{Call, GROUP, MARK, Shard};
use crate::redis::Bytes;

/// An upper bound of the entries that a consumer holds.
const HELD_MAX: &str = "100000";
/// Why a line is stopped.
const NOTE: &str = r#"{"reason":"attempts"}"#;

/// What a settlement does to the line of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineMode {
    /// The next job has its turn.
    Pass,
    /// The job keeps its place.
    Keep,
    /// The dead letter stops the line.
    Stop,
}

/// An ordered job that asks for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) id: String,
    pub(crate) count: u64,
    pub(crate) place: String,
}

impl Shard {
    /// Asks for the turns of jobs, in ascending order of their entries.
    pub(crate) fn take_turns(self, consumer: &str, jobs: &[Asking]) -> Call {
        let own = [GROUP, consumer, MARK, HELD_MAX].map(str::to_owned);
        let jobs = jobs.iter().flat_map(|job| [job.id.clone(), job.count.to_string(), job.place.clone()]);
        self.call(
            "take_turns",
            &["jobs", "order", "order_waiting"],
            &own.into_iter().chain(jobs).collect::<Vec<_>>(),
        )
    }

    /// Reads the jobs that wait for their turns.
    pub(crate) fn sweep_order_waiting(self) -> Call {
        self.call("sweep_order_waiting", &["jobs", "order", "order_waiting", "rejected"], &["0", "20"])
    }

    /// Reads the lines after one.
    pub(crate) fn sweep_lines(self, after: &str) -> Call {
        self.call("sweep_lines", &LINES, &[after, "200"])
    }

    /// Ends the places of jobs that are nowhere. Reads that number of entries.
    pub(crate) fn drop_places(self, after: &str, most: u64, places: &[String]) -> Call {
        let own = [MARK.to_owned(), after.to_owned(), most.to_string()];
        self.call("drop_places", &LINES, &own.iter().chain(places).collect::<Vec<_>>())
    }

    /// Lets the jobs behind dead letters go.
    pub(crate) fn resume_line(self, places: &[String]) -> Call {
        self.call("resume_line", &["jobs", "order", "order_waiting", "order_stopped"], places)
    }

    /// Cancels a job that waits for its turn.
    pub(crate) fn cancel_in_line(self, job_id: &str, error: &str) -> Call {
        let keys = ["order_waiting", "order", "dead", "sizes", "dead", "order", "stats", "jobs", "mark"];
        let own = [job_id, error].map(str::to_owned).to_vec();
        self.call("cancel_waiting", &keys, &[own, bounds(None)].concat())
    }

    /// Replaces a dead letter by a new job, which takes its place if it stops its line.
    pub(crate) fn replay_in_line(self, id: &str, place: &str, position: &str) -> Call {
        let keys = ["jobs", "dead", "mark", "order", "order_stopped"];
        self.call("replay", &keys, &[id, "0", "", MARK, place, position])
    }

    /// Enqueues a notice, if the state of its subject is still the one that was read.
    pub(crate) fn notice(self, subject: &str, states: [&str; 2], fields: &[Bytes]) -> Call {
        let [before, after] = states;
        self.call("notice", &["jobs", "notices"], &[subject, before, after, "86400000"]).with(fields)
    }
}

/// The keys of the sweeps of lines.
const LINES: [&str; 5] = ["jobs", "waiting", "order", "order_waiting", "order_stopped"];

impl Call {
    /// Adds a callback.
    pub(crate) fn with_callback(mut self, callback: Option<String>) -> Self {
        self.arguments.extend(callback.map(String::into_bytes));
        self
    }

    /// Adds a callback to a change by hand, with its job id.
    pub(crate) fn with_callback_of(self, callback: Option<(String, String)>) -> Self {
        let parts = callback.map(|(text, id)| [text, id, MARK.to_owned()].map(String::into_bytes));
        self.with(&parts.into_iter().flatten().collect::<Vec<_>>())
    }

    /// The same for ordered jobs with these places.
    ///
    /// # Panics
    /// If the script is not one of those that settle ordered jobs.
    pub(crate) fn in_line(mut self, shard: Shard, places: &[String], mode: LineMode) -> Self {
        self.script = match self.script {
            "complete" => "complete_in_line",
            "complete_with_result" => "complete_with_result_in_line",
            "dead_letter" => "dead_letter_in_line",
            "dead_letter_entry" => "dead_letter_entry_in_line",
            "hand_back" => "hand_back_in_line",
            "cancel_ready" => "cancel_ready_in_line",
            "cancel_waiting" => "cancel_waiting_in_line",
            other => panic!("{other} settles no ordered job"),
        };
        let keys = ["jobs", "order", "order_waiting", "order_stopped"];
        self.keys.extend(keys.map(|name| shard.key(name)));
        let (mode, note) = match mode {
            LineMode::Pass => ("pass", ""),
            LineMode::Keep => ("keep", ""),
            LineMode::Stop => ("stop", NOTE),
        };
        let count = places.len().to_string();
        let more = places.iter().map(String::as_str).chain([count.as_str(), mode, note]);
        self.arguments.extend(more.map(|text| text.as_bytes().to_vec()));
        self
    }
}
