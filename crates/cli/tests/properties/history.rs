//! Whatever a producer wrote to `_history`, an attempt can be added, and the list stays a list and bounded.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::work::history::{AttemptRecord, append, last_traceparent};
use serde_json::Value;

/// A JSON text.
pub(crate) fn check(data: &[u8]) {
    let field = Bytes::copy_from_slice(data);
    let _ = last_traceparent(Some(&field));
    let span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let entry = AttemptRecord {
        at: 1_795_396_101_000,
        took: Duration::from_millis(7),
        traceparent: Some(span.clone()),
        ..AttemptRecord::default()
    };
    let list = append(Some(&field), &entry);
    assert_eq!(last_traceparent(Some(&list)), Some(span));
    let Ok(Value::Array(list)) = serde_json::from_slice(&list) else { panic!("the history is a list") };
    assert!((1..=32).contains(&list.len()), "{} attempts", list.len());
    if let Ok(Value::Array(before)) = serde_json::from_slice(data) {
        assert_eq!(list.len(), (before.len() + 1).min(32));
        // Written once more: a fraction of many digits may end on another digit.
        let first = before.first().map(|first| serde_json::from_str::<Value>(&first.to_string()));
        let first = first.transpose().expect("what is written as JSON can be read");
        assert!(first.is_none_or(|first| first == list[0]), "the first attempt shows how it began");
    }
}
