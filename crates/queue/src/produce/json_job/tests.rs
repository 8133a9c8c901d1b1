//! Which texts are jobs, and how the others are refused.

use super::*;
use crate::job::ENTRY_BYTES_MAX;

fn parsed(line: &str) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let job = JsonJob::parse(line.as_bytes(), ENTRY_BYTES_MAX).unwrap();
    let key = job.key.map(|key| ("key".to_owned(), key));
    job.fields.iter().map(|(name, value)| (text(name), text(value))).chain(key).collect()
}

/// The field that a line's member becomes; the line's other member is a URL.
fn member(name: &str, json: &str) -> String {
    let fields = parsed(&format!(r#"{{"url":"http://h/x","{name}":{json}}}"#));
    fields[1].1.clone()
}

#[track_caller]
fn refused(line: impl AsRef<[u8]>, reason: &str) {
    let error = JsonJob::parse(line.as_ref(), ENTRY_BYTES_MAX).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_line_has_the_fields_of_a_job_in_their_order_and_a_key() {
    let line = r#" { "key":"order-7", "method":"PUT" , "url":"http://h/x"} "#;
    let expected = [("method", "PUT"), ("url", "http://h/x"), ("key", "order-7")];
    assert_eq!(parsed(line), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn each_field_of_the_wire_format_is_known() {
    for name in FIELDS.iter().filter(|name| **name != "url") {
        let value = match *name {
            "not_before" | "expires_at" => "1795396101000",
            "headers" => "{}",
            "method" => r#""PUT""#,
            "on_success" | "on_failure" => r#""http://h/x""#,
            _ => "1",
        };
        assert_eq!(member(name, value), value.trim_matches('"'), "{name}");
    }
}

#[test]
fn a_body_that_is_not_a_text_is_sent_as_it_is_written() {
    for (json, sent) in [
        (r#""a \"b\"\n""#, "a \"b\"\n"),
        (
            r#"{ "id" : 12345678901234567890123, "price": 10.00 }"#,
            r#"{ "id" : 12345678901234567890123, "price": 10.00 }"#,
        ),
        ("[ \"\u{e9} \u{20ac}\" , {} ]", "[ \"\u{e9} \u{20ac}\" , {} ]"),
        ("null", "null"),
        ("1e400", "1e400"),
        ("true", "true"),
    ] {
        assert_eq!(member("body", json), sent);
    }
}

#[test]
fn headers_are_an_object_or_its_text_and_numbers_are_either() {
    for (name, json, sent) in [
        ("headers", r#"{ "a": "b c", "d": ["e"] }"#, r#"{ "a": "b c", "d": ["e"] }"#),
        ("headers", r#""{\"a\": \"b\"}""#, r#"{"a": "b"}"#),
        ("timeout_ms", "1500", "1500"),
        ("timeout_ms", r#""1500""#, "1500"),
        ("label", "17", "17"),
        ("key", "17", "17"),
        ("body_base64", "\"aGk=\"", "hi"),
    ] {
        assert_eq!(member(name, json), sent, "{name} {json}");
    }
}

#[test]
fn a_line_that_is_not_one_object_is_refused_with_advice() {
    refused("\"hunter2\"", "not a JSON object");
    refused("hunter2", "not a JSON object");
    refused(r#"[{"url":"http://h/x"}]"#, "jq -c '.[]'");
    refused("{", "does not end on its line");
    refused(r#"{"url":"http://hunter2"#, "does not end on its line");
    refused(r#"{"url":"http://h/x"},"#, "trailing characters (column 21)");
    refused(r#"{"url":"http://h/x" "body":"hunter2"}"#, "not JSON: expected `,` or `}` (column 21)");
    refused(r#"{"body":"hunter2\x"}"#, "not JSON: invalid escape");
    refused(b"{\"url\":\"http://h/\xff\"}", "not UTF-8");
    refused(r#"{"\udfff":"hunter2"}"#, "not JSON: ");
}

#[test]
fn an_unknown_member_is_named() {
    refused(r#"{"ulr":"http://hunter2/"}"#, "\"ulr\" (did you mean url?) is not known here");
    for (name, meant) in
        [("URL", "url"), ("header", "headers"), ("delay", "delay_ms"), ("flwo", "flow"), ("keys", "key")]
    {
        refused(format!(r#"{{"{name}":1}}"#), &format!("{name:?} (did you mean {meant}?) is not known here"));
    }
    refused(
        r#"{"payload":"hunter2"}"#,
        "\"payload\" is not known here; known are key, body_base64, url, method",
    );
    refused(r#"{"url":"http://h/x","a":1,"b":2}"#, "\"a\", \"b\" are not known here; known are key");
    refused(
        r#"{"url":"http://h/x","_job_id":"7-0"}"#,
        "\"_job_id\" is not known here: names that begin with `_`",
    );
}

#[test]
fn a_member_of_a_wrong_kind_is_named() {
    let wrong = |name: &str, json: &str, reason: &str| {
        refused(format!(r#"{{"url":"http://h/x","{name}":{json}}}"#), reason)
    };
    wrong("label", "null", "field `label` is null; leave it out");
    wrong("label", "{}", "field `label` must be a text or a number");
    wrong("secret", "[\"hunter2\"]", "field `secret` must be a text or a number");
    wrong("flow", "true", "field `flow` must be a text or a number");
    wrong("headers", "[\"hunter2\"]", "field `headers` must be an object");
    wrong("headers", "null", "field `headers` must be an object");
    wrong("key", "null", "field `key` is null");
    wrong("key", "\"\"", "field `key`: write 1 to 256 bytes");
    wrong("key", "\"a\",\"key\":\"b\"", "field `key` is given twice");
    wrong("body", "\"a\",\"body\":\"b\"", "field `body` is given twice");
    wrong("body_base64", "\"hunter2!\"", "field `body_base64` is not Base64");
    wrong("body_base64", "\"aGk=\",\"body\":\"b\"", "field `body` is given twice");
    wrong("body", r#""hunter2\ud800""#, "field `body` has a `\\u`");
}

#[test]
fn the_workers_own_check_is_made() {
    let wrong = |name: &str, json: &str, reason: &str| {
        refused(format!(r#"{{"url":"http://h/x","{name}":{json}}}"#), reason)
    };
    refused("{}", "field `url` is missing");
    refused(r#"{"url":"/x"}"#, "must be absolute");
    wrong("delay_ms", "1.5", "`delay_ms` must be a whole number");
    wrong("timeout_ms", "-1", "`timeout_ms` must be a whole number");
    wrong("not_before", "1795396101", "looks like seconds");
    wrong("method", "\"a b\"", "is not an HTTP method");
    wrong("headers", r#"{"a":1}"#, "must be text or a list of texts");
    wrong("headers", "\"hunter2\"", "field `headers` is not JSON");
    wrong("label", "\"a b\"", "field `label` must be");
    wrong("v", "2", "format version 2");
}

#[test]
fn an_object_with_very_many_members_is_refused_in_one_line() {
    let members =
        |number: usize| (0..number).map(|index| format!("\"a{index}\":1")).collect::<Vec<_>>().join(",");
    refused(format!("{{{}}}", members(65)), "more than 64 members");
    let error = JsonJob::parse(format!("{{{}}}", members(64)).as_bytes(), ENTRY_BYTES_MAX).unwrap_err();
    assert!(error.to_string().len() < 500, "{error}");
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_object() {
    assert_eq!(parsed("\u{feff}{\"url\":\"http://h/x\"}"), [("url".to_owned(), "http://h/x".to_owned())]);
}
