//! The invariants of the protocol hold, whatever happens in which order.

/// Each kind of fault alone, and all together at random, up to the same states on every machine; `cargo xtask model` goes further.
#[test]
fn the_invariants_hold() {
    model::explore_shortly().unwrap_or_else(|stories| panic!("{stories}"));
}
