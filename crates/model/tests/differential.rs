//! The model of Redis replies as a real server does.

/// A few steps of every kind; `cargo xtask model --differential N` makes more.
#[test]
fn the_model_replies_as_a_server_does() {
    let results = (0..3).map(|seed| (seed, model::compare(seed, 500)));
    let failures: Vec<String> =
        results.filter_map(|(seed, result)| Some(format!("seed {seed}\n{}", result.err()?))).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
