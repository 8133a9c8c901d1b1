//! Calls that enqueue a callback with the end of a job.

use super::{Call, MARK, Script};

/// The job id of the callback.
pub const CALLBACK_ID: &str = "7-0-callback";
/// What the callback's body contains.
pub const REPORT: &str = "the-report-of-the-end";

impl Call {
    /// The same call with a callback.
    ///
    /// # Panics
    ///
    /// If the script ends no job.
    #[must_use]
    pub fn with_callback(mut self) -> Call {
        let fields = |more: &[&str]| {
            let own =
                ["_job_id", CALLBACK_ID, "url", "http://127.0.0.1/", "body", REPORT, "_callback_of", "7-0"];
            serde_json::json!([&own[..], more].concat()).to_string()
        };
        let added = match self.script {
            Script::CompleteWithResult | Script::DeadLetter | Script::DeadLetterEntry => {
                vec![fields(&["_mark", "proof"])]
            }
            Script::CancelReady | Script::CancelWaiting => {
                vec![fields(&[]), CALLBACK_ID.to_owned(), MARK.to_owned()]
            }
            other => panic!("{other:?} ends no job with a callback"),
        };
        self.args.extend(added.into_iter().map(String::into_bytes));
        self
    }
}
