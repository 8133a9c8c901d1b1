//! The fields of a job, with masked secrets.

use std::sync::OnceLock;

use bytes::Bytes;
use hyper_otel::{HostPattern, Redaction, is_secret};
use postrider_queue::job::{Destination, Fields};
use serde_json::{Map, Value, json};

use super::text::plain;

/// Shown instead of a secret.
pub(super) const MASK: &str = "REDACTED";

/// The first field of that name.
pub fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_ref())
}

/// A field on one line of a list; empty if the job does not have it.
pub fn line(fields: &Fields, name: &str, longest: usize) -> String {
    field(fields, name).map_or(String::new(), |value| plain(value, longest).replace('\n', " "))
}

/// A job's method; the default is POST.
pub fn method(fields: &Fields) -> String {
    if field(fields, "method").is_some() { line(fields, "method", 10) } else { "POST".to_owned() }
}

/// A job's URL with masked secrets.
pub fn url(fields: &Fields) -> String {
    field(fields, "url").map_or(String::new(), masked_url)
}

/// What is hidden of URLs; the default until [`hide_paths_of`].
static REDACTION: OnceLock<Redaction> = OnceLock::new();

/// Hides the paths of these hosts, besides those that are known to be secrets. Once, before anything is shown.
pub fn hide_paths_of(hosts: Vec<HostPattern>) {
    let _ = REDACTION.set(Redaction::default().paths_of(hosts));
}

fn masked_url(url: &[u8]) -> String {
    let Ok(Destination { uri, authorization }) = Destination::parse(&Bytes::copy_from_slice(url)) else {
        return "(not a URL)".to_owned();
    };
    let url = REDACTION.get_or_init(Redaction::default).apply(&uri);
    if authorization.is_some() { url.replacen("://", "://REDACTED:REDACTED@", 1) } else { url }
}

fn masked_headers(headers: &[u8]) -> String {
    match serde_json::from_slice::<Map<String, Value>>(headers) {
        Ok(mut headers) => {
            headers
                .iter_mut()
                .filter(|(name, _)| is_secret(name))
                .for_each(|(_, value)| *value = MASK.into());
            Value::Object(headers).to_string()
        }
        Err(_) => format!("({} bytes that are no JSON object)", headers.len()),
    }
}

/// A callback: a URL, or an object with a URL, headers and others.
fn masked_callback(callback: &[u8]) -> String {
    if callback.first() != Some(&b'{') {
        return masked_url(callback);
    }
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(callback) else {
        return format!("({} bytes that are no JSON object)", callback.len());
    };
    for (name, value) in &mut members {
        let shown = match (name.as_str(), &*value) {
            ("headers", Value::Object(_)) => {
                let masked = masked_headers(value.to_string().as_bytes());
                serde_json::from_str(&masked).ok()
            }
            (_, Value::String(text)) => masked(name, text.as_bytes()).map(Value::from),
            // It makes the job malformed.
            _ => Some(MASK.into()),
        };
        *value = shown.unwrap_or_else(|| value.take());
    }
    Value::Object(members).to_string()
}

/// A field's masked value; `None` if it needs no mask.
pub fn masked(name: &str, value: &[u8]) -> Option<String> {
    match name {
        "url" => Some(masked_url(value)),
        "headers" => Some(masked_headers(value)),
        "on_success" | "on_failure" => Some(masked_callback(value)),
        // A whole job that could not be read: it may contain anything.
        "_raw" => Some(format!("({} bytes; --reveal shows them)", value.len())),
        name if is_secret(name) => Some(MASK.to_owned()),
        _ => None,
    }
}

/// All fields, for programs. A repeated name has a list of values; bytes that are not text are `{"hex":…}`.
pub fn fields_json(fields: &Fields, reveal: bool) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        let name = String::from_utf8_lossy(name).into_owned();
        let shown = if reveal { None } else { masked(&name, value) };
        let value = shown.map_or_else(|| bytes_json(value), Value::from);
        match object.get_mut(&name) {
            None => drop(object.insert(name, value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(object)
}

fn bytes_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_everywhere() {
        let fields: Fields = [
            ("url", "https://u:hunter2@h/p?api_key=hunter2&a=b&X-Session-Token=hunter2"),
            ("headers", r#"{"Authorization":"hunter2","X-Api-Key":["hunter2"],"Accept":"text/html"}"#),
            ("my_password", "hunter2"),
            ("_raw", "hunter2"),
            ("body", "hello"),
            ("on_success", "https://u:hunter2@h/p?token=hunter2"),
            ("on_failure", r#"{"url":"https://h/p?token=hunter2","headers":{"Authorization":"hunter2","x-of":"kept"},"flow":"f"}"#),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
        let shown = fields_json(&fields, false).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("a=b") && shown.contains("text/html") && shown.contains("hello"), "{shown}");
        assert!(shown.contains("kept") && shown.contains(r#"\"flow\":\"f\""#), "{shown}");
        assert!(!masked_callback(br#"{"url":["hunter2"]}"#).contains("hunter2"));
        assert_eq!(masked_callback(br#"{"url":"hunt"#), "(12 bytes that are no JSON object)");
        assert!(fields_json(&fields, true).to_string().contains("hunter2"));
        assert_eq!(
            url(&fields),
            "https://REDACTED:REDACTED@h/p?api_key=REDACTED&a=b&X-Session-Token=REDACTED"
        );
    }

    #[test]
    fn unreadable_values_are_not_shown_raw() {
        assert_eq!(masked_headers(b"hunter2"), "(7 bytes that are no JSON object)");
        assert_eq!(masked_url(b"hunter 2"), "(not a URL)");
        assert_eq!(
            masked_url("https://hooks.slack.com/services/hunter2".as_bytes()),
            "https://hooks.slack.com/…"
        );
        assert_eq!(
            masked_url("http://me@h/é ?token=ü".as_bytes()),
            "http://REDACTED:REDACTED@h/%C3%A9%20?token=REDACTED"
        );
    }

    #[test]
    fn a_repeated_name_keeps_both_values() {
        let twice: Fields =
            vec![("a".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), vec![0xff, 1].into())];
        assert_eq!(fields_json(&twice, false), json!({"a": ["1", "2"], "b": {"hex": "ff01"}}));
    }
}
