//! The field `headers`: all of the JSON object goes on the wire, or none of it, and no value is repeated in an
//! error.

use bytes::Bytes;
use postrider_queue::job::Fields;
use serde_json::Value;

use crate::job;

/// A JSON text.
pub(crate) fn check(data: &[u8]) {
    let field = |name: &'static str, value: &[u8]| {
        (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value))
    };
    let fields: Fields = vec![field("url", b"http://example.org/"), field("headers", data)];
    let json = serde_json::from_slice::<Value>(data);
    match job::decode(fields) {
        Ok(job) => {
            let Ok(Value::Object(object)) = json else { panic!("what is no JSON object is no headers") };
            let values = object.values().map(|value| value.as_array().map_or(1, Vec::len)).sum::<usize>();
            // Names that differ only in case are one name.
            assert_eq!(job.headers.len(), values);
            for (name, value) in &object {
                let sent: Vec<&[u8]> =
                    job.headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
                let all = texts(value);
                assert!(all.iter().all(|text| sent.contains(&text.as_bytes())), "{name}");
            }
        }
        Err(malformed) => {
            job::check_error(&malformed);
            let Ok(Value::Object(object)) = json else { return };
            for secret in object.values().flat_map(texts).filter(|text| text.len() > 32) {
                let named = object.keys().any(|name| name.contains(secret));
                assert!(named || !malformed.error.contains(secret), "{}", malformed.error);
            }
        }
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
