//! The rules for a worker's log records: the log data model (`specification/logs/data-model.md`, stable), the
//! conventions, version 1.44.0 (`docs/general/events.md`, `docs/general/naming.md`), and our own documentation for
//! the attributes under `postrider.`.

use std::collections::BTreeSet;

use e2e::otlp::{LogLine, SpanRecord};
use e2e::sources;

use super::spans::{SCHEMA_URL, Type};
use Type::{Text, Whole};

/// Severity texts with their numbers: `logs/data-model.md`, "Displaying Severity".
const SEVERITIES: [(&str, u64); 5] = [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17)];

/// Attributes of each line about a job, and of no other line.
const OF_A_JOB: &[(&str, Type)] = &[
    ("messaging.message.conversation_id", Text),
    ("postrider.job.id", Text),
    ("postrider.job.attempt", Whole),
    ("messaging.destination.name", Type::OneOf(&["default"])),
];

/// Further attributes that a line may have, with the names that spans use.
const OTHERS: &[(&str, Type)] = &[
    // `docs/exceptions/exceptions-logs.md`: `error.message` is deprecated.
    ("exception.message", Text),
    ("error.type", Type::Error),
    ("http.response.status_code", Whole),
    ("messaging.batch.message_count", Whole),
    ("messaging.client.id", Text),
    ("messaging.message.id", Text),
    ("postrider.after", Text),
    ("postrider.cron", Text),
    ("postrider.missed", Whole),
    ("postrider.skipped", Whole),
    ("postrider.bytes_in_flight_max", Whole),
    ("postrider.caller", Text),
    ("postrider.change", Text),
    ("postrider.concurrency", Whole),
    ("postrider.flow.name", Text),
    ("postrider.job.dead_reason", Type::OneOf(super::spans::REASONS)),
    ("postrider.pause", Text),
    ("postrider.queues", Text),
    ("postrider.redis", Text),
    ("postrider.server", Text),
    ("postrider.subject", Text),
    ("postrider.telemetry", Text),
    ("postrider.took", Text),
    ("postrider.version", Text),
    ("postrider.why", Text),
];

/// What is wrong with a log record of a worker that sent some of those spans.
pub(crate) fn faults(line: &LogLine, spans: &[SpanRecord]) -> Vec<String> {
    let mut faults = of_its_attributes(line);
    faults.extend(of_its_trace(line, spans));
    let mut check = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    let severity = (line.severity.as_str(), line.severity_number);
    check(SEVERITIES.contains(&severity), format!("its severity is {severity:?}"));
    check(!line.body.is_empty(), "it has no body".to_owned());
    check(line.event_name.is_empty(), format!("it is no event, and is named {:?}", line.event_name));
    check(line.observed_time > 0, "it has no time at which it was observed".to_owned());
    check(line.time <= line.observed_time, "it was written after it was observed".to_owned());
    check(line.dropped == 0, "it has lost something".to_owned());
    check(line.scope_name.starts_with("postrider"), format!("its scope is {:?}", line.scope_name));
    check(line.schema_url == SCHEMA_URL, format!("its schema is {:?}", line.schema_url));
    let is_of_a_sender = spans.iter().any(|span| span.resource == line.resource);
    check(is_of_a_sender, format!("no span has its resource: {:?}", line.resource));
    faults
}

fn of_its_attributes(line: &LogLine) -> Vec<String> {
    let mut faults = vec![];
    let is_of_a_job = is_of_a_job(line);
    for (name, _) in OF_A_JOB.iter().filter(|(name, _)| is_of_a_job && !line.attributes.contains_key(*name)) {
        faults.push(format!("it is about a job and lacks {name}"));
    }
    for (name, value) in &line.attributes {
        match OF_A_JOB.iter().chain(OTHERS).find(|(own, _)| own == name) {
            None => faults.push(format!("{name} is not known")),
            Some((_, kind)) if !kind.fits(value) => faults.push(format!("{name} is {value}")),
            Some(_) => {}
        }
    }
    faults
}

/// A line about a job belongs to the job's trace, under a span that was exported; other lines belong to none.
fn of_its_trace(line: &LogLine, spans: &[SpanRecord]) -> Option<String> {
    let ids = (line.trace_id.as_str(), line.span_id.as_str());
    if !is_of_a_job(line) {
        return (ids != ("", "")).then(|| format!("it is about no job, and is of {ids:?}"));
    }
    let span = spans.iter().find(|span| (span.trace_id.as_str(), span.span_id.as_str()) == ids);
    let Some(span) = span else { return Some(format!("there is no span {ids:?}")) };
    // A malformed entry has no label, and is on its first delivery: its entry id is its job id.
    let label = span.text("messaging.message.conversation_id").or(span.text("messaging.message.id"));
    let own = line.attributes.get("messaging.message.conversation_id").and_then(|id| id.as_str());
    (span.name != "process default" || label.as_deref() != own)
        .then(|| format!("its span is {:?} of {label:?}", span.name))
}

fn is_of_a_job(line: &LogLine) -> bool {
    line.attributes.contains_key("postrider.job.attempt")
}

/// Our page on what a worker exports.
const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/telemetry.md"));

#[test]
fn the_attributes_of_log_lines_are_documented() {
    let known = OF_A_JOB.iter().chain(OTHERS).map(|(name, _)| *name);
    let undocumented: Vec<&str> = known.filter(|name| !PAGE.contains(&format!("| `{name}` |"))).collect();
    assert!(undocumented.is_empty(), "docs/telemetry.md has no row for {undocumented:?}");
}

#[test]
fn the_fields_of_log_lines_are_documented() {
    let fields = fields_of_our_lines();
    assert!(fields.len() > 20, "too few fields were found to believe it: {fields:?}");
    let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
    let has_row = |field: &String| {
        let name = format!("`{field}`");
        rows.iter().any(|row| row.split('|').nth(2).is_some_and(|names| names.contains(&name)))
    };
    // A field of this name is the text of the line.
    let named = fields.iter().filter(|field| *field != "message");
    let undocumented: Vec<_> = named.filter(|field| !has_row(field)).collect();
    assert!(undocumented.is_empty(), "docs/telemetry.md names no attribute for {undocumented:?}");
}

/// The fields of all calls of `tracing`'s macros in the sources of our crates.
fn fields_of_our_lines() -> BTreeSet<String> {
    sources::texts().iter().flat_map(|text| fields_of(text)).collect()
}

fn fields_of(source: &str) -> BTreeSet<String> {
    let is_in_name = |character: char| character.is_alphanumeric() || character == '_';
    let mut fields = BTreeSet::new();
    for name in ["trace!(", "debug!(", "info!(", "warn!(", "error!("] {
        for (at, _) in source.match_indices(name) {
            if !source[..at].ends_with(is_in_name) {
                fields.extend(arguments(&source[at + name.len()..]).into_iter().filter_map(field));
            }
        }
    }
    fields
}

/// The arguments of a call before its message.
fn arguments(call: &str) -> Vec<&str> {
    let (mut arguments, mut depth, mut start) = (vec![], 0, 0);
    for (at, character) in call.char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(call[start..at].trim());
                start = at + 1;
            }
            '"' if call[start..at].trim().is_empty() => break,
            _ => {}
        }
    }
    arguments
}

/// The name in `%name`, `?name`, `name` and `name = value`.
fn field(argument: &str) -> Option<String> {
    let argument = argument.trim_start_matches(['%', '?']);
    let end = argument.find(|character: char| !(character.is_alphanumeric() || "_.".contains(character)));
    let (name, rest) = argument.split_at(end.unwrap_or(argument.len()));
    (rest.is_empty() || rest.trim_start().starts_with('=')).then(|| name.to_owned())
}

#[test]
fn the_fields_of_a_call_are_distinguished_from_its_message() {
    let source = r#"warn!(jobs = a.join(","), %first, ?lease, flow, "text {x}, {y}"); info!("none"); tracing::debug!(a.b = 1, target: "t", "z");"#;
    let found: Vec<String> = fields_of(source).into_iter().collect();
    assert_eq!(found, ["a.b", "first", "flow", "jobs", "lease"]);
}
