//! A job in JSON that is accepted is one that can be sent, and the same when its fields are written as JSON again. A
//! refusal is one short line without any value.

use postrider_queue::{JsonJob, NotAJob};
use serde_json::{Value, json};

use crate::job;

const JOB_BYTES_MAX: usize = 4096;

/// The body of a request, or a line of one.
pub(crate) fn check(data: &[u8]) {
    match JsonJob::parse(data, JOB_BYTES_MAX) {
        Ok(accepted) => written_again(&accepted),
        Err(refusal) => short(data, &refusal),
    }
}

fn written_again(job: &JsonJob) {
    assert!(job.bytes() <= JOB_BYTES_MAX);
    assert!(job.key.as_ref().is_none_or(|key| (1..=256).contains(&key.len())));
    if let Err(malformed) = job::decode(job.fields.clone()) {
        panic!("a worker would refuse it: {}", malformed.error);
    }
    let mut members = serde_json::Map::new();
    for (name, value) in &job.fields {
        // Only a body may be anything else.
        let Ok(text) = std::str::from_utf8(value) else { return assert_eq!(name, "body") };
        let known = members.insert(String::from_utf8_lossy(name).into_owned(), json!(text));
        assert!(known.is_none(), "{name:?} is given twice");
    }
    members.extend(job.key.as_ref().map(|key| ("key".to_owned(), json!(key))));
    let mut again =
        JsonJob::parse(Value::Object(members).to_string().as_bytes(), JOB_BYTES_MAX).expect("a job");
    let mut fields = job.fields.clone();
    fields.sort();
    again.fields.sort();
    assert_eq!((again.fields, &again.key), (fields, &job.key));
}

fn short(data: &[u8], refusal: &NotAJob) {
    let text = refusal.to_string();
    assert!(!text.is_empty() && text.chars().count() <= 1000, "{} characters: {text}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(data) else { return };
    let secrets = members.values().filter_map(Value::as_str).filter(|value| value.len() > 32);
    for secret in secrets.filter(|secret| members.keys().all(|name| !name.contains(secret))) {
        assert!(!text.contains(secret), "{text}");
    }
}
