//! Whether a request went out on a connection that was there before. hyper's client does not tell; but it calls
//! its connector, while it is polled, only where it has no connection at hand.

use std::cell::Cell;

thread_local! {
    static DIALLED: Cell<bool> = const { Cell::new(false) };
}

/// Says that a connection is being made.
pub(super) fn note() {
    DIALLED.set(true);
}

/// Polls a request, and tells whether a connection began to be made for it meanwhile.
pub(super) fn watch<T>(poll: impl FnOnce() -> T) -> (T, bool) {
    DIALLED.set(false);
    let polled = poll();
    (polled, DIALLED.get())
}
