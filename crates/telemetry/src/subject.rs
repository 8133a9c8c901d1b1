//! What log lines are about: told once for a piece of work, and read when a line is written.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

use crate::Context;

/// What a log line says of the job that it is about. Made when a line is written, and only then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The job's label.
    pub label: String,
    /// The job id.
    pub job_id: String,
    /// The number of this attempt, from 1.
    pub attempt: u32,
}

/// Can say what its log lines are about.
pub trait Describe: Send + Sync {
    /// Called for each line that is written within [`about`].
    fn subject(&self) -> Subject;
}

struct Work {
    queue: &'static str,
    what: Arc<dyn Describe>,
    /// The span that lines belong to, once there is one.
    context: RefCell<Context>,
}

tokio::task_local! {
    static WORK: Work;
}

/// Runs a future whose log lines are all about one job of that queue. Costs a reference count, and a move of a few words at
/// each poll; nothing is formatted before a line is written.
pub fn about<F: Future>(
    queue: &'static str,
    what: Arc<dyn Describe>,
    future: F,
) -> impl Future<Output = F::Output> {
    WORK.scope(Work { queue, what, context: RefCell::new(Context::none()) }, future)
}

/// Log lines of this piece of work belong to that span from here on. Nothing outside of [`about`].
pub fn belongs_to(context: &Context) {
    let _ = WORK.try_with(|work| *work.context.borrow_mut() = context.clone());
}

/// What the line that is being written is about, and from which queue.
pub(crate) fn of_this_line() -> Option<(&'static str, Subject)> {
    WORK.try_with(|work| (work.queue, work.what.subject())).ok()
}

/// The span that the line that is being written belongs to: that of the work, else the current one.
pub(crate) fn span_of_this_line() -> Context {
    let of_work = WORK.try_with(|work| work.context.borrow().clone());
    of_work.ok().filter(Context::is_some).unwrap_or_else(Context::current)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Letter;

    impl Describe for Letter {
        fn subject(&self) -> Subject {
            let word = |word: &str| word.to_owned();
            Subject { label: word("a"), job_id: word("1-0"), attempt: 2 }
        }
    }

    #[tokio::test]
    async fn lines_are_about_the_work_that_they_are_written_in_and_about_nothing_outside() {
        assert_eq!(of_this_line(), None);
        let line = about("default", Arc::new(Letter), async {
            belongs_to(&Context::none());
            tokio::task::yield_now().await;
            of_this_line()
        });
        assert_eq!(line.await, Some(("default", Letter.subject())));
        assert_eq!(of_this_line(), None);
    }
}
