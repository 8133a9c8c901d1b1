//! The rules of the conventions, version 1.44.0, for a worker's spans.
//!
//! `docs/http/http-spans.md`, `docs/db/database-spans.md`, `docs/db/redis.md`, `docs/messaging/messaging-spans.md`,
//! `docs/general/recording-errors.md`; and our own documentation for those under `postrider.`.

use e2e::otlp::{SpanKind, SpanRecord, Status};
use serde_json::Value;

pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The type of an attribute's value.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Text,
    Whole,
    Number,
    Flag,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A text as in `error.type`.
    Error,
    /// A time as in RFC 3339.
    Time,
}

use Type::{Error, Flag, Number, OneOf, Text, Time, Whole};

impl Type {
    pub(crate) fn fits(self, value: &Value) -> bool {
        match self {
            Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Whole => value.is_i64() || value.is_u64(),
            Number => value.is_number(),
            Time => value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z')),
            Flag => value.is_boolean(),
            OneOf(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
            Error => value.as_str().is_some_and(|text| {
                let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                (1..=24).contains(&text.len()) && text.bytes().all(known)
            }),
        }
    }
}

/// A kind of spans: how they are recognised, and their attributes.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) is_it: fn(&SpanRecord) -> bool,
    pub(crate) kind: SpanKind,
    pub(crate) required: &'static [(&'static str, Type)],
    pub(crate) optional: &'static [(&'static str, Type)],
}

const MESSAGING: &[(&str, Type)] = &[
    ("messaging.system", OneOf(&["redis"])),
    ("messaging.operation.name", Text),
    ("messaging.operation.type", OneOf(&["create", "send", "receive", "process", "settle"])),
    ("messaging.destination.name", OneOf(&["default"])),
];

const SERVER: &[(&str, Type)] = &[("server.address", Text), ("server.port", Whole)];

const CONSUMER: &[(&str, Type)] =
    &[("messaging.consumer.group.name", OneOf(&["postrider"])), ("messaging.client.id", Text)];

/// Attributes of an operation that enqueues or settles one job or several.
const OF_ONE_OR_SEVERAL: &[(&str, Type)] =
    &[("messaging.message.id", Text), ("messaging.batch.message_count", Whole), ("error.type", Error)];

pub(crate) const REASONS: &[&str] =
    &["malformed", "version", "refused", "final_status", "attempts", "expired", "poison", "cancelled"];

fn operation(span: &SpanRecord) -> Option<String> {
    span.text("messaging.operation.name")
}

/// Whether the span enqueues one job, or several.
fn is_publish(span: &SpanRecord, several: bool) -> bool {
    operation(span).as_deref() == Some("publish")
        && span.attributes.contains_key("messaging.batch.message_count") == several
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "send",
        is_it: |span| operation(span).as_deref() == Some("replay") || is_publish(span, false),
        kind: SpanKind::Producer,
        required: &[],
        optional: &[("messaging.message.id", Text), ("error.type", Error)],
    },
    // With several jobs, each has its own span, whose context the job carries.
    Rule {
        name: "create",
        is_it: |span| operation(span).as_deref() == Some("create"),
        kind: SpanKind::Producer,
        required: &[("messaging.message.id", Text)],
        optional: &[],
    },
    Rule {
        name: "send",
        is_it: |span| is_publish(span, true),
        kind: SpanKind::Client,
        required: &[("messaging.batch.message_count", Whole)],
        optional: &[("error.type", Error)],
    },
    // "Span kind", `messaging-spans.md`: a producer's span is the one whose context goes with the message.
    Rule {
        name: "send",
        is_it: |span| operation(span).as_deref() == Some("send"),
        kind: SpanKind::Client,
        required: &[],
        optional: OF_ONE_OR_SEVERAL,
    },
    Rule {
        name: "receive",
        is_it: |span| matches!(operation(span).as_deref(), Some("receive" | "claim")),
        kind: SpanKind::Client,
        required: &[("messaging.batch.message_count", Whole)],
        optional: &[],
    },
    Rule {
        name: "process",
        is_it: |span| operation(span).as_deref() == Some("process"),
        kind: SpanKind::Consumer,
        required: &[
            ("messaging.message.id", Text),
            ("postrider.job.outcome", OneOf(&["done", "retry", "release", "dead", "cut"])),
        ],
        optional: &[
            ("messaging.message.conversation_id", Text),
            ("postrider.job.attempt", Whole),
            ("postrider.job.id", Text),
            ("postrider.job.wait_duration", Number),
            ("postrider.job.schedule_duration", Number),
            ("postrider.job.hold_duration", Number),
            ("postrider.job.deliveries", Whole),
            ("postrider.job.dead_reason", OneOf(REASONS)),
            ("error.type", Error),
        ],
    },
    Rule {
        name: "settle",
        is_it: |span| operation(span).as_deref() == Some("hold"),
        kind: SpanKind::Client,
        required: &[
            ("messaging.message.id", Text),
            ("postrider.hold.reason", OneOf(&["breaker", "rate", "concurrency", "window", "order", "redis"])),
            ("postrider.flow.name", Text),
            ("postrider.job.due_at", Time),
        ],
        optional: &[("error.type", Error)],
    },
    Rule {
        name: "settle",
        is_it: |span| matches!(operation(span).as_deref(), Some("delay" | "retry" | "release")),
        kind: SpanKind::Client,
        required: &[
            ("messaging.message.id", Text),
            ("postrider.schedule.reason", OneOf(&["delay", "backoff", "retry_after", "proxy", "shutdown"])),
            ("postrider.flow.name", Text),
        ],
        optional: &[("postrider.job.due_at", Time), ("error.type", Error)],
    },
    Rule {
        name: "settle",
        is_it: |span| matches!(operation(span).as_deref(), Some("ack" | "dead_letter")),
        kind: SpanKind::Client,
        required: &[],
        optional: OF_ONE_OR_SEVERAL,
    },
    Rule {
        name: "by hand",
        is_it: |span| matches!(operation(span).as_deref(), Some("cancel" | "run_now" | "purge")),
        kind: SpanKind::Client,
        required: &[],
        optional: OF_ONE_OR_SEVERAL,
    },
    Rule {
        name: "redis",
        is_it: |span| span.attributes.contains_key("db.system.name"),
        kind: SpanKind::Client,
        required: &[
            ("db.system.name", OneOf(&["redis"])),
            ("db.operation.name", Text),
            ("db.namespace", OneOf(&["0"])),
            ("server.address", Text),
        ],
        optional: &[
            ("server.port", Whole),
            ("network.peer.address", Text),
            ("network.peer.port", Whole),
            ("db.operation.batch.size", Whole),
            ("db.stored_procedure.name", Text),
            ("db.query.text", Text),
            ("db.response.status_code", Error),
            ("error.type", Error),
        ],
    },
    Rule {
        name: "request",
        is_it: |span| span.attributes.contains_key("http.request.method"),
        kind: SpanKind::Client,
        required: &[
            ("http.request.method", OneOf(&["POST"])),
            ("server.address", Text),
            ("server.port", Whole),
            ("url.full", Text),
        ],
        optional: &[
            ("http.response.status_code", Whole),
            ("http.request.resend_count", Whole),
            ("network.protocol.version", OneOf(&["1.0", "1.1", "2"])),
            ("network.peer.address", Text),
            ("network.peer.port", Whole),
            ("hyper.connection.reused", Flag),
            ("hyper.dns.duration", Number),
            ("hyper.connect.duration", Number),
            ("hyper.tls.duration", Number),
            ("hyper.first_byte.duration", Number),
            ("hyper.body.duration", Number),
            ("error.type", Error),
        ],
    },
];

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
    check(is_status_told(span, has_error), format!("its status is {:?}", span.status));
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
fn is_status_told(span: &SpanRecord, has_error: bool) -> bool {
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
