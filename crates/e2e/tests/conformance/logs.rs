//! What the log data model (`specification/logs/data-model.md`, stable) and the conventions, version 1.44.0, say of
//! the log records that a worker sends (`docs/general/events.md`, `docs/general/naming.md`); and what our own
//! documentation says of the attributes under `postrider.`.

use e2e::otlp::{LogLine, SpanRecord};

use super::spans::{SCHEMA_URL, Type};
use Type::{Text, Whole};

/// Severity texts with their numbers: `logs/data-model.md`, "Displaying Severity".
const SEVERITIES: [(&str, u64); 5] = [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17)];

/// What each line about a job has, and no other.
const OF_A_JOB: &[(&str, Type)] = &[
    ("messaging.message.conversation_id", Text),
    ("postrider.job.ticket", Text),
    ("postrider.job.attempt", Whole),
    ("messaging.destination.name", Type::OneOf(&["default"])),
];

/// What further attributes a line may have; where a span has the same, under the same name.
const OTHERS: &[(&str, Type)] = &[
    // `docs/exceptions/exceptions-logs.md`: `error.message` is deprecated.
    ("exception.message", Text),
    ("error.type", Type::Error),
    ("http.response.status_code", Whole),
    ("messaging.batch.message_count", Whole),
    ("messaging.client.id", Text),
    ("messaging.message.id", Text),
    ("postrider.after", Text),
    ("postrider.concurrency", Whole),
    ("postrider.flow.name", Text),
    ("postrider.job.dead_reason", Type::OneOf(super::spans::REASONS)),
    ("postrider.pause", Text),
    ("postrider.queues", Text),
    ("postrider.took", Text),
    ("postrider.why", Text),
];

/// Every attribute that a line may have stands in our documentation.
#[test]
fn the_attributes_of_log_lines_are_documented() {
    let page = include_str!("../../../../docs/telemetry.md");
    let undocumented =
        OF_A_JOB.iter().chain(OTHERS).filter(|(name, _)| !page.contains(&format!("| `{name}` |")));
    let undocumented: Vec<&str> = undocumented.map(|(name, _)| *name).collect();
    assert!(undocumented.is_empty(), "docs/telemetry.md has no row for {undocumented:?}");
}

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
    check(line.observed_time > 0, "nothing tells when it was observed".to_owned());
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

/// A line about a job stands in the job's trace, under a span that came too; another stands in none.
fn of_its_trace(line: &LogLine, spans: &[SpanRecord]) -> Option<String> {
    let ids = (line.trace_id.as_str(), line.span_id.as_str());
    if !is_of_a_job(line) {
        return (ids != ("", "")).then(|| format!("it is about no job, and is of {ids:?}"));
    }
    let span = spans.iter().find(|span| (span.trace_id.as_str(), span.span_id.as_str()) == ids);
    let Some(span) = span else { return Some(format!("there is no span {ids:?}")) };
    // What is no job at all has no label, and is on its first delivery: its entry is its ticket.
    let label = span.text("messaging.message.conversation_id").or(span.text("messaging.message.id"));
    let own = line.attributes.get("messaging.message.conversation_id").and_then(|id| id.as_str());
    (span.name != "process default" || label.as_deref() != own)
        .then(|| format!("its span is {:?} of {label:?}", span.name))
}

fn is_of_a_job(line: &LogLine) -> bool {
    line.attributes.contains_key("postrider.job.attempt")
}
