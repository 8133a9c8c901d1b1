//! The model of a worker does what a worker does.

/// One run; `cargo xtask model --replay N` makes more.
#[test]
fn the_model_does_what_a_worker_does() {
    model::replay(3, 1).unwrap_or_else(|story| panic!("{story}"));
}
