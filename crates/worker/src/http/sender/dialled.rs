//! Detects whether a request used an existing connection. hyper's client does not report it, but while it is
//! polled it calls its connector only if it has no idle connection.

use std::cell::Cell;

thread_local! {
    static DIALLED: Cell<bool> = const { Cell::new(false) };
}

/// Records that a connection is being made.
pub(super) fn note() {
    DIALLED.set(true);
}

/// Polls a request. Also returns whether the poll began to make a connection.
pub(super) fn watch<T>(poll: impl FnOnce() -> T) -> (T, bool) {
    DIALLED.set(false);
    let polled = poll();
    (polled, DIALLED.get())
}
