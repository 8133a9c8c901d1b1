//! Which texts are definitions, and how the others are refused.

use super::*;
use crate::job::ENTRY_BYTES_MAX;

fn errors(json: &str) -> Vec<(String, String)> {
    let errors = Definition::parse(json, ENTRY_BYTES_MAX).unwrap_err();
    errors.into_iter().map(|error| (error.member, error.message)).collect()
}

#[track_caller]
fn refused(json: &str, member: &str, message: &str) {
    let errors = errors(json);
    let found = errors.iter().any(|(own, text)| own == member && text.contains(message));
    assert!(found, "{errors:?}");
}

#[test]
fn a_definition_is_read_back() {
    let json = r#"{"expression":"0 3 * * *","time_zone":"Europe/Berlin","catch_up":"all","jitter":"30s",
        "overlap":"skip","job":{"url":"http://h/x","body":{"a":12345678901234567890}}}"#;
    let definition = Definition::parse(json, ENTRY_BYTES_MAX).unwrap();
    assert_eq!((definition.catch_up, definition.overlap), (CatchUp::All, Overlap::Skip));
    assert_eq!(definition.jitter, Duration::from_secs(30));
    let again = Definition::parse(definition.text(), ENTRY_BYTES_MAX).unwrap();
    assert_eq!((again.text(), &again.job), (definition.text(), &definition.job));
    assert!(definition.text.contains("12345678901234567890"), "{}", definition.text);
}

#[test]
fn all_that_is_wrong_is_named() {
    let all = errors(r#"{"every":"1ms","jitter":"2d","job":{"url":"nowhere"}}"#);
    let members: Vec<&str> = all.iter().map(|(member, _)| member.as_str()).collect();
    assert_eq!(members, ["every", "jitter", "job.url"], "{all:?}");
    let all = errors(r#"{"evry":"1m","overlap":"maybe","job":[]}"#);
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn each_member_is_checked() {
    let with = |members: &str| format!(r#"{{{members},"job":{{"url":"http://h/x"}}}}"#);
    refused("[]", "", "no JSON object");
    refused(r#"{"every":"1m"}"#, "job", "missing");
    refused(&with(r#""overlap":"skip""#), "expression", "say when");
    refused(&with(r#""every":"1m","expression":"* * * * *""#), "every", "not both");
    refused(&with(r#""every":"1m","time_zone":"UTC""#), "time_zone", "only an `expression`");
    refused(&with(r#""every":"soon""#), "every", "write 30s");
    refused(&with(r#""every":60"#), "every", "must be a text");
    refused(&with(r#""expression":"* *""#), "expression", "five fields");
    refused(&with(r#""expression":"* * * * *","time_zone":"Mars""#), "time_zone", "IANA");
    refused(&with(r#""evry":"1m""#), "evry", "did you mean `every`?");
    refused(&with(r#""every":"1m","catch_up":"some""#), "catch_up", "one, all, none");
}

#[test]
fn a_template_has_nothing_that_each_tick_decides() {
    let with = |field: &str| format!(r#"{{"every":"1m","job":{{"url":"http://h/x",{field}}}}}"#);
    refused(&with(r#""key":"a""#), "job.key", "each tick makes one job anyway");
    refused(&with(r#""not_before":1795396101000"#), "job.not_before", "the tick decides");
    refused(&with(r#""traceparent":"x""#), "job.traceparent", "its own trace");
    refused(&with(r#""headers":{"Postrider-Tick":"x"}"#), "job.headers", "set by each tick");
    refused(&with(r#""timout_ms":1"#), "job", "did you mean timeout_ms?");
    refused(&with(&format!(r#""body":"{}""#, "x".repeat(DEFINITION_BYTES_MAX))), "", "bytes");
}

#[test]
fn a_name_can_be_a_label_and_a_part_of_a_path() {
    for wrong in ["", "a b", "..", "a/b", &"x".repeat(65)] {
        assert!(wrong.parse::<CronName>().is_err(), "{wrong}");
    }
    assert_eq!("mail.nightly-1".parse::<CronName>().unwrap().to_string(), "mail.nightly-1");
}
