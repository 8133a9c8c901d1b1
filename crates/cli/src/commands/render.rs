//! Renders jobs for terminals and as JSON, with masked secrets and harmless control characters.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use hyper_otel::{HostPattern, Redaction, is_secret};
use postrider_queue::job::{Destination, Fields};
use postrider_queue::work::history;
use serde_json::{Map, Value, json};
use telemetry::is_unprintable;

use super::terminal;

/// Shown instead of a secret.
const MASK: &str = "REDACTED";
/// Characters of a text that a table shows.
const CELL_CHARS_MAX: usize = 1_000;

/// A table for people.
pub(super) fn table<'a>(
    header: impl IntoIterator<Item = &'a str>,
    rows: impl IntoIterator<Item = impl IntoIterator<Item = String>>,
) -> Table {
    let mut table = Table::new();
    let style = TableStyle::new().header_separator(LineStyle::none().fill('─'));
    table.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.into_iter().collect::<Vec<_>>());
    for row in rows {
        table.add_row(row.into_iter().collect::<Vec<_>>());
    }
    table
}

/// Bytes of a job as text, with control characters escaped.
pub(super) fn plain(bytes: &[u8], longest: usize) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("({} bytes that are not text)", bytes.len());
    };
    let mut plain = String::new();
    for (count, character) in text.chars().enumerate() {
        if count >= longest {
            plain.push_str(&format!("… ({} bytes)", bytes.len()));
            break;
        }
        match character {
            '\n' => plain.push('\n'),
            character if is_unprintable(character) => plain.extend(character.escape_default()),
            character => plain.push(character),
        }
    }
    plain
}

/// A field on one line of a list; empty if the job does not have it.
pub(super) fn line(fields: &Fields, name: &str, longest: usize) -> String {
    field(fields, name).map_or(String::new(), |value| plain(value, longest).replace('\n', " "))
}

/// The first field of that name.
pub(super) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_ref())
}

/// A job's method; the default is POST.
pub(super) fn method(fields: &Fields) -> String {
    if field(fields, "method").is_some() { line(fields, "method", 10) } else { "POST".to_owned() }
}

/// A job's URL with masked secrets.
pub(super) fn url(fields: &Fields) -> String {
    field(fields, "url").map_or(String::new(), masked_url)
}

/// What is hidden of URLs; the default until [`hide_paths_of`].
static REDACTION: OnceLock<Redaction> = OnceLock::new();

/// Hides the paths of these hosts, besides those that are known to be secrets. Once, before anything is shown.
pub(super) fn hide_paths_of(hosts: Vec<HostPattern>) {
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

/// A field's masked value; `None` if it needs no mask.
fn masked(name: &str, value: &[u8]) -> Option<String> {
    match name {
        "url" => Some(masked_url(value)),
        "headers" => Some(masked_headers(value)),
        // A whole job that could not be read: it may contain anything.
        "_raw" => Some(format!("({} bytes; --reveal shows them)", value.len())),
        name if is_secret(name) => Some(MASK.to_owned()),
        _ => None,
    }
}

/// All fields, for people.
pub(super) fn fields_table(fields: &Fields, reveal: bool) -> Table {
    let rows = fields.iter().filter(|(name, _)| name != "_history").map(|(name, value)| {
        let name = plain(name, 100);
        let shown = if reveal { None } else { masked(&name, value) };
        let value = shown
            .map_or_else(|| plain(value, CELL_CHARS_MAX), |shown| plain(shown.as_bytes(), CELL_CHARS_MAX));
        [name, value]
    });
    let mut table = table(["FIELD", "VALUE"], rows);
    if let Some(width) = terminal::width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width as u16);
    }
    table
}

/// All fields, for programs. A repeated name has a list of values; bytes that are not text are `{"hex":…}`.
pub(super) fn fields_json(fields: &Fields, reveal: bool) -> Value {
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

/// The status of the last attempt, or why it had none; `None` without an attempt.
pub(super) fn last_outcome(fields: &Fields) -> Option<String> {
    let last = history::last(field(fields, "_history")?)?;
    let error = || last["error"].as_str().map(|error| plain(error.as_bytes(), 100));
    last["status"].as_u64().map(|status| status.to_string()).or_else(error)
}

/// The host of a job's URL in lower case, and its port if the URL has one.
pub(super) fn host(fields: &Fields) -> Option<(String, Option<u16>)> {
    let Destination { uri, .. } = Destination::parse(&Bytes::copy_from_slice(field(fields, "url")?)).ok()?;
    Some((uri.host()?.to_ascii_lowercase(), uri.port_u16()))
}

/// A length of time in at most two units: `1h 5m`.
pub(super) fn brief(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_millis());
    }
    let whole = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A Unix time in ms, for people.
pub(super) fn time(millis: u64) -> String {
    /// The end of the year 9999, Unix ms; later times are not real.
    const LAST: u64 = 253_402_300_800_000;
    if millis >= LAST {
        return millis.to_string();
    }
    let time: SystemTime = UNIX_EPOCH + Duration::from_millis(millis);
    humantime::format_rfc3339_millis(time).to_string()
}

/// `1 job`, `2 jobs`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn secrets_are_masked_everywhere() {
        let fields = fields(&[
            ("url", "https://u:hunter2@h/p?api_key=hunter2&a=b&X-Session-Token=hunter2"),
            ("headers", r#"{"Authorization":"hunter2","X-Api-Key":["hunter2"],"Accept":"text/html"}"#),
            ("my_password", "hunter2"),
            ("_raw", "hunter2"),
            ("body", "hello"),
        ]);
        let (table, json) =
            (fields_table(&fields, false).to_string(), fields_json(&fields, false).to_string());
        for shown in [&table, &json] {
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(
                shown.contains("a=b") && shown.contains("text/html") && shown.contains("hello"),
                "{shown}"
            );
        }
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
        assert_eq!(plain(b"\x1b[2J\tx", 10), "\\u{1b}[2J\\tx");
        assert_eq!(plain("a\u{202e}b\u{2028}\u{9b}".as_bytes(), 10), "a\\u{202e}b\\u{2028}\\u{9b}");
        assert_eq!(plain(&[0xff], 10), "(1 bytes that are not text)");
        assert_eq!(plain("äöü".as_bytes(), 2), "äö… (6 bytes)");
    }

    #[test]
    fn a_repeated_name_keeps_both_values() {
        let twice: Fields =
            vec![("a".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), vec![0xff, 1].into())];
        assert_eq!(fields_json(&twice, false), json!({"a": ["1", "2"], "b": {"hex": "ff01"}}));
    }

    #[test]
    fn times_are_short_and_impossible_ones_are_numbers() {
        assert_eq!(brief(Duration::from_millis(3_723_004)), "1h 2m");
        assert_eq!(brief(Duration::from_millis(7)), "7ms");
        assert_eq!(time(1_795_396_101_000), "2026-11-23T01:08:21.000Z");
        assert_eq!(time(9_999_999_999_999_999), "9999999999999999");
    }
}
