//! What must hold of any input: over the committed corpus of the fuzz targets, and over generated input. The fuzz
//! targets (`fuzz`, `cargo xtask fuzz`) call the same functions.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[path = "properties/address.rs"]
mod address;
#[path = "properties/config.rs"]
mod config;
#[path = "properties/context.rs"]
mod context;
#[path = "properties/headers.rs"]
mod headers;
#[path = "properties/history.rs"]
mod history;
#[path = "properties/job.rs"]
mod job;
#[path = "properties/json_job.rs"]
mod json_job;
#[path = "properties/redaction.rs"]
mod redaction;
#[path = "properties/retry_after.rs"]
mod retry_after;
#[path = "properties/rule.rs"]
mod rule;

/// Runs a check over the corpus of the target of this name, and over what is generated: from the same seed each
/// time, since what is new is for the fuzzer to find.
fn holds<S>(target: &str, check: fn(&[u8]), input: S)
where
    S: Strategy,
    S::Value: AsRef<[u8]>,
{
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = folder.read_dir().expect("each target has a corpus").flatten().collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        check(&std::fs::read(file.path()).expect("a file of the corpus can be read"));
    }
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let result = runner.run(&input, |data| {
        check(data.as_ref());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{target}: {error}"));
}

/// Any bytes, or a text that looks like what is expected.
fn like(pattern: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..300),
        4 => pattern.prop_map(String::into_bytes),
    ]
}

const URL: &str =
    "(https?|HTTP|ftp)://((u(:p)?@)?)[a-zA-Z0-9.%@_:\\[\\]\\\\-]{0,24}(:[+0-9]{0,6})?[/?#]?[ -~é]{0,20}";

#[test]
fn an_entry_is_a_job_that_can_be_sent_or_is_refused_in_a_sentence() {
    let others =
        "(method|headers|body|id|delay_ms|not_before|timeout_ms|max_attempts|retry|v|_job_id|_attempt|x)";
    let fields = (URL, vec((others, "[ -~]{0,12}|[0-9]{1,17}|GET|\\{\"a\":\"b\"\\}"), 0..4));
    let fields = fields.prop_map(|(url, others)| {
        let mut data = format!("url={url}").into_bytes();
        for (name, value) in others {
            data.push(0xFF);
            data.extend(format!("{name}={value}").into_bytes());
        }
        data
    });
    holds("job", job::check, prop_oneof![vec(any::<u8>(), 0..300), fields]);
}

#[test]
fn a_job_in_json_is_the_same_when_it_is_written_again() {
    let members = r#"\{"url":"https?://[a-z.]{1,12}(/[ -~é]{0,12})?"(,"(method|body|headers|label|key|delay_ms|v|x)":("[ -!#-\[\]-~é]{0,40}"|[0-9]{1,17}|null|\{"a":"b"\}|"\\ud83d\\ude00")){0,4}\}"#;
    holds("json_job", json_job::check, like(members));
}

#[test]
fn headers_go_on_the_wire_as_a_whole_or_not_at_all() {
    holds(
        "headers",
        headers::check,
        like(r#"\{("[a-zA-Z -]{0,12}":("[ -~]{0,40}"|\["a","\\r"\]|1),?){0,4}\}"#),
    );
}

#[test]
fn no_address_passes_that_is_not_public() {
    // One in two begins or ends as a special address does.
    let starts = prop_oneof![
        Just(vec![]),
        Just(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        Just(vec![0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]),
        Just(vec![0x20, 0x02]),
        Just(vec![0x20, 0x01]),
        Just(vec![0x3f, 0xff]),
        Just(vec![0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe]),
        (0..16_u8).prop_map(|high| vec![0xc0 | high]),
    ];
    let address = (0..2_u8, starts, any::<[u8; 17]>()).prop_map(|(family, start, mut bytes)| {
        bytes[..start.len()].copy_from_slice(&start);
        [&[family][..], &bytes].concat()
    });
    let host = like(
        "(0x[0-9a-fA-F]{0,9}|0?[0-9]{0,11})(\\.(0x[0-9a-f]{0,3}|0?[0-9]{0,4})){0,4}\\.?|\\[[0-9a-f:]{2,20}\\]",
    );
    holds("address", address::check, prop_oneof![address, host]);
}

#[test]
fn a_rule_is_written_as_it_is_read() {
    holds(
        "rule",
        rule::check,
        like(
            "(\\*|\\*\\.[a-z.]{1,9}|[a-zA-Z0-9._-]{1,12}|\\[?[0-9a-f:.]{2,16}(/[0-9]{1,3})?\\]?)(:[0-9]{1,5})?",
        ),
    );
}

#[test]
fn the_configuration_is_read_or_each_problem_has_a_line() {
    let line = r#"(\[(egress|queues|retry)(\.[a-z"]{1,5})?\]|[a-z_]{1,8} = ([0-9-]{1,5}|"[a-z0-9.:/*]{0,9}"|\[("[a-z0-9/.:*]{0,9}",?|[0-9]{1,6},?){0,3}\]|\{\})|(allow|ports|schemes|weight|waits|base) = (\["[*0-9a-z./:]{0,9}"\]|[0-9]{1,3}))"#;
    let file = vec(line, 0..8).prop_map(|lines| lines.join("\n").into_bytes());
    holds("config", config::check, prop_oneof![vec(any::<u8>(), 0..200), file]);
}

#[test]
fn no_secret_of_a_url_is_shown() {
    let url = "https?://([a-z:@%]{0,12}@)?[a-z.:0-9]{1,12}(/[a-z@?]{0,5})?(\\?((sig|TOKEN|password|a)=?[a-z=?@%]{0,9}&?){0,4})?";
    holds("redaction", redaction::check, like(url));
}

#[test]
fn a_wait_that_is_asked_for_is_kept_to_up_to_the_cap() {
    let headers = "[a-d]((retry-after|date|ratelimit|ratelimit-reset|x-ratelimit-reset|x-rate-limit-reset):( ?[0-9]{0,22}|[+-]?[0-9.]{1,5}|Tue, [0-9]{2} Nov 20[0-9]{2} [0-2][0-9]:[0-5][0-9]:00 GMT|\"[a-z]\"(;[rt]=[0-9]{0,4}){0,3})\n){0,5}";
    holds("retry_after", retry_after::check, like(headers));
}

#[test]
fn a_history_stays_a_list_and_bounded() {
    holds(
        "history",
        history::check,
        like(r#"\[((\{"at":[0-9]{1,3},"trace_id":"[0-9a-f]{0,3}"\}|1|"x"|\[\]),){0,60}0\]"#),
    );
}

#[test]
fn a_context_is_valid_or_none() {
    holds(
        "context",
        context::check,
        like(
            "(0[0-1]|ff)-([0-9a-f]{32}|[0-9A-F]{32}|0{32})-([0-9a-f]{16}|0{16})-0[0-3](-x)?(\n[a-z]{1,3}=[ -~]{0,9})?",
        ),
    );
}
