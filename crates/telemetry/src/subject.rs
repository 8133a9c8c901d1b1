//! What log lines are about: told once for a piece of work, and read when a line is written.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

use crate::Context;

/// What a log line says of the job that it is about. Made when a line is written, and only then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The job's label.
    pub job_id: String,
    /// What names the job and no other.
    pub ticket: String,
    /// Where it came from.
    pub queue: String,
    /// The number of this attempt, from 1.
    pub attempt: u32,
}

/// Can say what its log lines are about.
pub trait Describe: Send + Sync {
    /// Called for each line that is written within [`about`].
    fn subject(&self) -> Subject;
}

struct Work {
    what: Arc<dyn Describe>,
    /// The span that lines belong to, once there is one.
    context: RefCell<Context>,
}

tokio::task_local! {
    static WORK: Work;
}

/// Runs a future whose log lines are all about one thing. Costs a reference count, and a move of a few words at
/// each poll; nothing is formatted before a line is written.
pub fn about<F: Future>(what: Arc<dyn Describe>, future: F) -> impl Future<Output = F::Output> {
    WORK.scope(Work { what, context: RefCell::new(Context::none()) }, future)
}

/// Log lines of this piece of work belong to that span from here on. Nothing outside of [`about`].
pub fn belongs_to(context: &Context) {
    let _ = WORK.try_with(|work| *work.context.borrow_mut() = context.clone());
}

/// What the line that is being written is about, and its span: that of the work, else the current one.
pub(crate) fn of_this_line() -> (Option<Subject>, Context) {
    let of_work = WORK.try_with(|work| (work.what.subject(), work.context.borrow().clone()));
    match of_work {
        Ok((subject, context)) if context.is_some() => (Some(subject), context),
        Ok((subject, _)) => (Some(subject), Context::current()),
        Err(_) => (None, Context::current()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Letter;

    impl Describe for Letter {
        fn subject(&self) -> Subject {
            let word = |word: &str| word.to_owned();
            Subject { job_id: word("a"), ticket: word("1-0"), queue: word("default"), attempt: 2 }
        }
    }

    #[tokio::test]
    async fn lines_are_about_the_work_that_they_are_written_in_and_about_nothing_outside() {
        assert_eq!(of_this_line().0, None);
        let line = about(Arc::new(Letter), async {
            belongs_to(&Context::none());
            tokio::task::yield_now().await;
            of_this_line().0
        });
        assert_eq!(line.await.map(|subject| subject.attempt), Some(2));
        assert_eq!(of_this_line().0, None);
    }
}
