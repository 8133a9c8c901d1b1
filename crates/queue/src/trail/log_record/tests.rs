//! Tests of the records.

use std::time::Duration;

use super::*;
use crate::trail::Phases;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER: &str = "1af7651916cd43dd8448eb211c80319c";

fn attempt(at: u64, trace: Option<&str>) -> AttemptRecord {
    let micros = |micros| Some(Duration::from_micros(micros));
    AttemptRecord {
        attempt: 1,
        at,
        took: Duration::from_millis(12),
        status: Some(200),
        phases: Phases {
            request: micros(12),
            first_byte: micros(9000),
            body: micros(0),
            ..Phases::default()
        },
        traceparent: trace.map(|trace| format!("00-{trace}-b7ad6b7169203331-01")),
        ..AttemptRecord::default()
    }
}

fn record() -> LogRecord<'static> {
    LogRecord {
        job_id: "1795396101000-0".into(),
        enqueued_at: 1_795_396_101_000,
        attempts: 1,
        status: Some(200),
        host: Some("acme.example:8443".into()),
        label: Some("order-4711".into()),
        trace_id: Some(TRACE.into()),
        history: vec![attempt(1_795_396_101_005, Some(TRACE))],
        ..LogRecord::default()
    }
}

#[test]
fn a_record_is_a_short_line_and_is_read_back() {
    let line = record().pack();
    assert_eq!(
        line,
        "[\"1795396101000-0\",1795396101000,null,1,200,\"acme.example:8443\",\"order-4711\",\
         \"0af7651916cd43dd8448eb211c80319c\",null,[[1,5,12,200,{\"r\":12,\"f\":9000,\"b\":0},\"b7ad6b7169203331\"]]]\n"
    );
    assert_eq!(LogRecord::unpack(&line), Some(record()));
    let history = vec![attempt(1_795_396_101_005, None)];
    let untraced = LogRecord { trace_id: None, history, ..record() }.pack();
    assert!(untraced.len() <= 130, "{}", untraced.len());
}

/// `docs/configuration.md` has these numbers.
#[test]
fn each_further_attempt_makes_a_record_a_little_longer() {
    let lasts = |trace: Option<&str>| {
        let failed = |at: u64| AttemptRecord { status: Some(503), ..attempt(1_795_396_101_005 + at, trace) };
        let with = |history: Vec<AttemptRecord>| {
            LogRecord { trace_id: trace.map(Into::into), history, ..record() }.pack().len()
        };
        with(vec![failed(0), failed(1500), failed(60_000)]) - with(vec![failed(0), failed(1500)])
    };
    assert_eq!([lasts(None), lasts(Some(TRACE))], [41, 60]);
}

#[test]
fn every_form_of_a_record_is_read_back() {
    let failed = |error: &str| AttemptRecord {
        status: None,
        error: Some(error.to_owned()),
        ..attempt(1_795_396_100_000, None)
    };
    let silent = AttemptRecord { status: None, phases: Phases::default(), ..attempt(7, Some(OTHER)) };
    let history = vec![failed("timeout"), failed("a\nb \"c\" \u{1}"), silent, attempt(9, Some(TRACE))];
    for reason in [None, Some("cancelled"), Some("attempts")] {
        let record = LogRecord {
            reason: reason.map(Into::into),
            replay_of: Some("5-0".into()),
            callback: reason.map(|_| "7-0-callback".into()),
            callback_of: Some("4-0".into()).filter(|_| reason != Some("attempts")),
            label: Some("\"".repeat(128).into()),
            history: history.clone(),
            ..record()
        };
        let line = record.pack();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert_eq!(LogRecord::unpack(&line), Some(record));
    }
    let bare = LogRecord { job_id: "7-0".into(), ..LogRecord::default() };
    assert_eq!(LogRecord::unpack(&bare.pack()), Some(bare));
}

/// As the scripts write it for a waiting job that cannot be read.
#[test]
fn the_end_of_a_line_may_be_missing_and_anything_else_is_no_record() {
    let short = LogRecord::unpack("[\"7-0\",0,\"malformed\"]").unwrap();
    assert_eq!((&*short.job_id, short.outcome(), short.history.len()), ("7-0", "dead", 0));
    for other in ["", "x", "{}", "[]", "[1,2,3]", "[\"7-0\",-1,null]", "[\"7-0\",0,null,1,70000]"] {
        assert_eq!(LogRecord::unpack(other), None, "{other}");
    }
}

#[test]
fn a_record_is_about_its_label_its_ids_and_its_traces() {
    let record =
        LogRecord { replay_of: Some("5-0".into()), history: vec![attempt(1, Some(OTHER))], ..record() };
    for id in ["1795396101000-0", "order-4711", "5-0", TRACE, &TRACE.to_uppercase(), OTHER] {
        assert!(record.is_about(id), "{id}");
    }
    for id in ["order", "8-0", "acme.example:8443", "", &TRACE[1..], "b7ad6b7169203331"] {
        assert!(!record.is_about(id), "{id}");
    }
}

#[test]
fn fields_that_were_not_decoded_leave_no_secret() {
    let history = serde_json::Value::from(vec![attempt(3, Some(TRACE)).to_json()]).to_string();
    let fields: Fields = [
        ("url", "https://u:hunter2@acme.example:8443/hunter2?key=hunter2"),
        ("headers", r#"{"authorization":"hunter2"}"#),
        ("body", "hunter2"),
        ("label", "order-4711"),
        ("_attempt", "1"),
        ("_enqueued_at", "1795396101000"),
        ("_history", &history),
    ]
    .map(|(name, value)| (name.to_owned().into(), value.to_owned().into()))
    .to_vec();
    let record = LogRecord::of_fields("7-0", &fields, 3, Reason::Cancelled);
    assert_eq!((record.outcome(), record.attempts, record.status), ("cancelled", 1, Some(200)));
    assert_eq!((record.host.as_deref(), record.enqueued_at), (Some("acme.example:8443"), 1_795_396_101_000));
    assert!(record.is_about(TRACE) && record.is_about("order-4711"));
    assert!(!record.pack().contains("hunter2"), "{}", record.pack());
    let label = vec![("label".into(), "a b".into()), ("url".into(), "hunter2".into())];
    let record = LogRecord::of_fields("7-0", &label, 3, Reason::Malformed);
    assert_eq!((record.outcome(), record.label, record.host, record.enqueued_at), ("dead", None, None, 3));
}
