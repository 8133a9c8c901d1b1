//! Matches connections with requests. hyper's client does not report this. But it calls its connector while it polls a
//! request, if it has no open connection.

use std::cell::RefCell;
use std::sync::Arc;

use crate::phases::Phases;

#[derive(Debug)]
enum Watched {
    /// No recorded request is being polled.
    No,
    /// A recorded request is being polled.
    Waiting,
    /// A recorded request is being polled, and a connection was begun for it.
    Began(Arc<Phases>),
}

thread_local! {
    static WATCHED: RefCell<Watched> = const { RefCell::new(Watched::No) };
    /// The connection whose making is being polled, for resolvers and connectors inside of others.
    static MAKING: RefCell<Option<Arc<Phases>>> = const { RefCell::new(None) };
}

/// Restores the previous value, also after a panic.
struct Before(Option<Watched>);

impl Drop for Before {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            WATCHED.set(before);
        }
    }
}

/// Polls a request, and returns the connection that was begun for it.
pub(crate) fn request<T>(poll: impl FnOnce() -> T) -> (T, Option<Arc<Phases>>) {
    let before = Before(Some(WATCHED.replace(Watched::Waiting)));
    let polled = poll();
    let began = match WATCHED.replace(Watched::No) {
        Watched::Began(phases) => Some(phases),
        Watched::No | Watched::Waiting => None,
    };
    drop(before);
    (polled, began)
}

/// A connection begins to be made.
pub(crate) fn began(phases: &Arc<Phases>) {
    WATCHED.with_borrow_mut(|watched| {
        if let Watched::Waiting = watched {
            *watched = Watched::Began(Arc::clone(phases));
        }
    });
}

/// Polls the making of a connection.
pub(crate) fn making<T>(phases: &Arc<Phases>, poll: impl FnOnce() -> T) -> T {
    struct Outer(Option<Arc<Phases>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            MAKING.set(self.0.take());
        }
    }
    let _outer = Outer(MAKING.replace(Some(Arc::clone(phases))));
    poll()
}

/// The connection whose making is being polled.
pub(crate) fn made() -> Option<Arc<Phases>> {
    MAKING.with_borrow(Option::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_knows_its_own_connection_and_not_that_of_one_inside_or_after() {
        let (one, two) = (Arc::new(Phases::default()), Arc::new(Phases::default()));
        let (inner, outer) = request(|| {
            let (_, inner) = request(|| began(&two));
            began(&one);
            inner
        });
        assert!(Arc::ptr_eq(&inner.unwrap(), &two) && Arc::ptr_eq(&outer.unwrap(), &one));
        assert!(request(|| ()).1.is_none());
        began(&one);
        assert!(request(|| ()).1.is_none(), "it began before");
    }

    #[test]
    fn what_panics_leaves_nothing_behind() {
        let phases = Arc::new(Phases::default());
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            request(|| making(&phases, || panic!("on purpose")));
        }));
        assert!(made().is_none());
        began(&phases);
        assert!(request(|| ()).1.is_none());
    }
}
