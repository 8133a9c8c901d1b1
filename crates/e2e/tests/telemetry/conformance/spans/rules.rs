//! Each kind of span, and the attributes that it must and may have.

use e2e::otlp::{SpanKind, SpanRecord};
use serde_json::Value;

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

pub(super) const MESSAGING: &[(&str, Type)] = &[
    ("messaging.system", OneOf(&["redis"])),
    ("messaging.operation.name", Text),
    ("messaging.operation.type", OneOf(&["create", "send", "receive", "process", "settle"])),
    ("messaging.destination.name", OneOf(&["default"])),
];

pub(super) const SERVER: &[(&str, Type)] = &[("server.address", Text), ("server.port", Whole)];

pub(super) const CONSUMER: &[(&str, Type)] =
    &[("messaging.consumer.group.name", OneOf(&["postrider"])), ("messaging.client.id", Text)];

/// Attributes of an operation that enqueues or settles one job or several.
const OF_ONE_OR_SEVERAL: &[(&str, Type)] =
    &[("messaging.message.id", Text), ("messaging.batch.message_count", Whole), ("error.type", Error)];

/// Attributes of an operation that ends one job or several.
const ENDS: &[(&str, Type)] = &[
    ("messaging.message.id", Text),
    ("messaging.batch.message_count", Whole),
    ("postrider.job.callback", Text),
    ("error.type", Error),
];

pub(crate) const REASONS: &[&str] =
    &["malformed", "version", "refused", "final_status", "attempts", "expired", "poison", "cancelled"];

pub(super) fn operation(span: &SpanRecord) -> Option<String> {
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
            ("postrider.job.outcome", OneOf(&["succeeded", "retry", "handed_back", "dead", "interrupted"])),
        ],
        optional: &[
            ("messaging.message.conversation_id", Text),
            ("postrider.job.attempt", Whole),
            ("postrider.job.id", Text),
            ("postrider.job.wait_duration", Number),
            ("postrider.job.schedule_duration", Number),
            ("postrider.job.hold_duration", Number),
            ("postrider.job.turn_duration", Number),
            ("postrider.job.deliveries", Whole),
            ("postrider.job.callback_of", Text),
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
            (
                "postrider.hold.reason",
                OneOf(&["paused", "breaker", "rate", "concurrency", "window", "order", "turn", "redis"]),
            ),
            ("postrider.flow.name", Text),
        ],
        optional: &[("postrider.job.due_at", Time), ("error.type", Error)],
    },
    Rule {
        name: "settle",
        is_it: |span| matches!(operation(span).as_deref(), Some("delay" | "retry" | "hand_back")),
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
        optional: ENDS,
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
