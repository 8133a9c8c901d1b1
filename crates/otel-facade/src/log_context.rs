//! The fields that all log lines of one piece of work share.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

use crate::{Context, Value};

/// The fields of the log lines of one piece of work.
pub trait LogContext: Send + Sync {
    /// Names and values, in the order in which they are written. Called for each line that is written within [`about`],
    /// and only then. `place` is the one that [`about`] was given.
    fn fields(&self, place: &'static str) -> Vec<(&'static str, Value)>;
}

struct Work {
    place: &'static str,
    what: Arc<dyn LogContext>,
    /// The span that lines belong to, once there is one.
    context: RefCell<Context>,
}

tokio::task_local! {
    static WORK: Work;
}

/// Runs a future whose log lines all have the fields of `what`. Costs a reference count, and a move of a few words at
/// each poll; nothing is formatted before a line is written. `place` is a name that many pieces of work share, such as
/// their queue.
pub fn about<F: Future>(
    place: &'static str,
    what: Arc<dyn LogContext>,
    future: F,
) -> impl Future<Output = F::Output> {
    WORK.scope(Work { place, what, context: RefCell::new(Context::none()) }, future)
}

/// From now on, log lines of this piece of work belong to that span. Does nothing outside of [`about`].
pub fn belongs_to(context: &Context) {
    let _ = WORK.try_with(|work| *work.context.borrow_mut() = context.clone());
}

/// The fields of the work that writes the current line; empty outside of [`about`].
pub(crate) fn fields_of_this_line() -> Vec<(&'static str, Value)> {
    WORK.try_with(|work| work.what.fields(work.place)).unwrap_or_default()
}

/// The span that the current line belongs to: that of the work, else the current one.
pub(crate) fn span_of_this_line() -> Context {
    let of_work = WORK.try_with(|work| work.context.borrow().clone());
    of_work.ok().filter(Context::is_some).unwrap_or_else(Context::current)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Letter;

    impl LogContext for Letter {
        fn fields(&self, place: &'static str) -> Vec<(&'static str, Value)> {
            vec![("box", place.into()), ("number", 2_i64.into())]
        }
    }

    #[tokio::test]
    async fn lines_are_about_the_work_that_they_are_written_in_and_about_nothing_outside() {
        assert_eq!(fields_of_this_line(), []);
        let line = about("default", Arc::new(Letter), async {
            belongs_to(&Context::none());
            tokio::task::yield_now().await;
            fields_of_this_line()
        });
        assert_eq!(line.await, Letter.fields("default"));
        assert_eq!(fields_of_this_line(), []);
    }
}
