//! The invariants of the protocol hold, whatever happens in which order.

use std::time::Duration;

/// Each kind of fault, alone and with each other, up to the same states on every machine; `cargo xtask model` goes further.
#[test]
fn the_invariants_hold() {
    model::explore(Duration::from_secs(600), 60, 1).unwrap_or_else(|stories| panic!("{stories}"));
}
