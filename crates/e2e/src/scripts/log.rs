//! Calls with a delivery log.

use super::{Call, RunningJob, Script, key};

/// How long a record is kept, ms, how many jobs and how many bytes.
pub const LOG_BOUNDS: [&str; 3] = ["86400000", "1000000", "268435456"];

impl Call {
    /// The same call with a delivery log, and with the records of its jobs, a line each.
    ///
    /// # Panics
    ///
    /// If the script ends no jobs.
    #[must_use]
    pub fn logged(mut self, bounds: [&str; 3], records: &str) -> Call {
        let before = match self.script {
            Script::Promote => 2,
            Script::Complete | Script::Admit => 5,
            Script::CompleteWithResult => 6,
            Script::CancelWaiting => 7,
            Script::DeadLetter | Script::CancelReady => 9,
            Script::DeadLetterEntry => 12,
            other => panic!("{other:?} ends no jobs"),
        };
        // These write the record themselves.
        let is_own = matches!(self.script, Script::Promote | Script::Admit);
        let records = (!is_own).then_some(records);
        let added = bounds.into_iter().chain(records).map(|argument| argument.as_bytes().to_vec());
        self.args.splice(before..before, added);
        self.keys.extend([key("log"), key("sizes")]);
        self
    }

    /// Searches the delivery log for a text, at most about `page` records.
    pub fn search_log(before: &str, page: &str, text: &str) -> Call {
        Call::new(Script::SearchLog, &["log"], &[before, page, "100", text])
    }

    /// Completes these jobs in one call. Each has its entry id as its record.
    pub fn complete_logged(held: &[RunningJob], bounds: [&str; 3]) -> Call {
        let mut call = Call::settle(Script::Complete, &held[0], &[]);
        call.args.extend(held[1..].iter().map(|held| held.id.clone().into_bytes()));
        call.logged(bounds, &held.iter().map(|held| format!("{}\n", held.id)).collect::<String>())
    }
}
