//! The rules of the conventions, version 1.44.0, for a worker's spans.
//!
//! `docs/http/http-spans.md`, `docs/db/database-spans.md`, `docs/db/redis.md`, `docs/messaging/messaging-spans.md`,
//! `docs/general/recording-errors.md`; and our own documentation for those under `postrider.`.

mod rules;

use e2e::otlp::{SpanRecord, Status};
use serde_json::Value;

use self::rules::{CONSUMER, MESSAGING, RULES, Rule, SERVER, operation};
pub(crate) use self::rules::{REASONS, Type};

pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// What is wrong with a span.
pub(crate) fn faults(span: &SpanRecord) -> Vec<String> {
    let Some(rule) = RULES.iter().find(|rule| (rule.is_it)(span)) else {
        return vec!["no rule knows it".to_owned()];
    };
    let mut faults = vec![];
    let mut check = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    check(span.kind == rule.kind, format!("its kind is {:?}", span.kind));
    let own: &[&[(&str, Type)]] = match rule.name {
        "create" | "send" | "by hand" => &[MESSAGING],
        "receive" | "process" | "settle" => &[MESSAGING, CONSUMER],
        _ => &[],
    };
    let required: Vec<_> = own.iter().copied().flatten().chain(rule.required).collect();
    for (name, _) in &required {
        check(span.attributes.contains_key(*name), format!("it lacks {name}"));
    }
    let of_server = if operation(span).is_some() { SERVER } else { &[] };
    for (name, value) in &span.attributes {
        check(name.contains('.'), format!("{name} has no namespace"));
        let known =
            required.iter().copied().chain(rule.optional).chain(of_server).find(|(own, _)| own == name);
        match known {
            Some((_, kind)) => check(kind.fits(value), format!("{name} is {value}")),
            None => check(false, format!("{name} is not known")),
        }
    }
    check(span.name == expected_name(span), format!("its name is {:?}", span.name));
    let has_error = span.attributes.contains_key("error.type");
    check(is_status_described(span, has_error), format!("its status is {:?}", span.status));
    check(must_fail(span).is_none_or(|must| must == has_error), format!("its status is {:?}", span.status));
    check(span.schema_url == SCHEMA_URL, format!("its schema is {:?}", span.schema_url));
    check(span.scope_name == scope(rule), format!("its scope is {:?}", span.scope_name));
    check(!span.scope_version.is_empty(), "its scope has no version".to_owned());
    check(span.events.is_empty(), format!("it has events: {:?}", span.events));
    check(span.dropped == 0, "it has lost something".to_owned());
    check(span.end >= span.start, "it ends before it begins".to_owned());
    faults
}

/// The package that makes such spans.
fn scope(rule: &Rule) -> &'static str {
    match rule.name {
        "redis" => "fred-otel",
        "request" => "hyper-otel",
        _ => "postrider",
    }
}

/// Whether a span describes its failure, unless the status code does ("Status", `http-spans.md`). Ok is for
/// applications.
fn is_status_described(span: &SpanRecord, has_error: bool) -> bool {
    let status = span.attributes.get("http.response.status_code").and_then(Value::as_u64);
    let is_by_code = status.is_some_and(|status| status >= 400);
    match &span.status {
        Status::Error(text) => has_error && text.is_empty() == is_by_code,
        Status::Unset => !has_error,
        Status::Ok => false,
    }
}

fn expected_name(span: &SpanRecord) -> String {
    let text = |name: &str| span.text(name).unwrap_or_default();
    match operation(span) {
        Some(operation) => format!("{operation} {}", text("messaging.destination.name")),
        // "Name", `database-spans.md`: the target of a script is its name.
        None if span.attributes.contains_key("db.stored_procedure.name") => {
            format!("{} {}", text("db.operation.name"), text("db.stored_procedure.name"))
        }
        None if span.attributes.contains_key("db.system.name") => text("db.operation.name"),
        None => text("http.request.method"),
    }
}

/// Whether a span must have an error; `None` where it depends.
fn must_fail(span: &SpanRecord) -> Option<bool> {
    if operation(span).as_deref() == Some("process") {
        // A failed attempt that is retried is not a failure of the delivery.
        return Some(span.text("postrider.job.outcome").as_deref() == Some("dead"));
    }
    let status = span.attributes.get("http.response.status_code")?.as_u64()?;
    // Below 400 it depends on the body's arrival.
    (status >= 400).then_some(true)
}
