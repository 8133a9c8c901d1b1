//! The model of Redis replies as a real server does.

/// Enough steps for every command and script, in seconds; `cargo xtask model --differential N` makes more. On a busy machine,
/// a server may count with a time that is a millisecond older than its TIME.
#[test]
#[ignore = "needs a quiet machine"]
fn the_model_replies_as_a_server_does() {
    let results = (0..4).map(|seed| (seed, model::compare(seed, 1000)));
    let failures: Vec<String> =
        results.filter_map(|(seed, result)| Some(format!("seed {seed}\n{}", result.err()?))).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
