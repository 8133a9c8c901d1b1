//! Spans as OTLP writes them, straight from what the SDK hands over: the generated types of protobuf would hold a
//! copy of every key and every text of a span first, some thirty allocations.
//!
//! Field numbers are those of `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`, 1.9. What is
//! left at its default is not written (proto3).

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`
const KNOWS_REMOTE: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`
const IS_REMOTE: u32 = 0x200;

/// Writes spans behind one another, each as the field `spans` of a `ScopeSpans`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpanEncoder {
    /// Characters of an attribute's text, where they are limited.
    pub(super) value_length: Option<usize>,
}

impl SpanEncoder {
    /// Adds a span.
    pub(super) fn span(self, out: &mut Vec<u8>, span: &SpanData) {
        message(out, 2, |out| {
            identity(out, &span.span_context);
            if span.parent_span_id != SpanId::INVALID {
                bytes(out, 4, &span.parent_span_id.to_bytes());
            }
            text(out, 5, &span.name);
            number(out, 6, kind(&span.span_kind));
            fixed64(out, 7, nanos(span.start_time));
            fixed64(out, 8, nanos(span.end_time));
            self.attributes(out, 9, &span.attributes);
            number(out, 10, span.dropped_attributes_count.into());
            for event in span.events.iter() {
                self.event(out, event);
            }
            number(out, 12, span.events.dropped_count.into());
            for link in span.links.iter() {
                self.link(out, link);
            }
            number(out, 14, span.links.dropped_count.into());
            message(out, 15, |out| status(out, &span.status));
            fixed32(out, 16, flags(&span.span_context, span.parent_span_is_remote));
        });
    }

    fn event(self, out: &mut Vec<u8>, event: &Event) {
        message(out, 11, |out| {
            fixed64(out, 1, nanos(event.timestamp));
            text(out, 2, &event.name);
            self.attributes(out, 3, &event.attributes);
            number(out, 4, event.dropped_attributes_count.into());
        });
    }

    fn link(self, out: &mut Vec<u8>, link: &Link) {
        message(out, 13, |out| {
            identity(out, &link.span_context);
            self.attributes(out, 4, &link.attributes);
            number(out, 5, link.dropped_attributes_count.into());
            fixed32(out, 6, flags(&link.span_context, link.span_context.is_remote()));
        });
    }

    fn attributes(self, out: &mut Vec<u8>, field: u32, attributes: &[KeyValue]) {
        for pair in attributes {
            message(out, field, |out| {
                text(out, 1, pair.key.as_str());
                message(out, 2, |out| self.value(out, &pair.value));
            });
        }
    }

    /// An `AnyValue`, whose every field is written: it is a `oneof`.
    fn value(self, out: &mut Vec<u8>, value: &Value) {
        match value {
            Value::String(text) => bytes_always(out, 1, self.cut(text.as_str()).as_bytes()),
            Value::Bool(value) => any_number(out, 2, u64::from(*value)),
            // Negative numbers take ten bytes, as `int64` does.
            Value::I64(value) => any_number(out, 3, value.cast_unsigned()),
            Value::F64(value) => any_float(out, *value),
            Value::Array(array) => message(out, 5, |out| self.array(out, array)),
            // The enumeration may grow.
            other => bytes_always(out, 1, self.cut(&other.to_string()).as_bytes()),
        }
    }

    fn array(self, out: &mut Vec<u8>, array: &Array) {
        match array {
            Array::Bool(values) => {
                values.iter().for_each(|value| message(out, 1, |out| any_number(out, 2, u64::from(*value))));
            }
            Array::I64(values) => {
                values
                    .iter()
                    .for_each(|value| message(out, 1, |out| any_number(out, 3, value.cast_unsigned())));
            }
            Array::F64(values) => {
                values.iter().for_each(|value| message(out, 1, |out| any_float(out, *value)));
            }
            Array::String(values) => values.iter().for_each(|value| {
                message(out, 1, |out| bytes_always(out, 1, self.cut(value.as_str()).as_bytes()));
            }),
            // The enumeration may grow.
            _ => {}
        }
    }

    fn cut(self, text: &str) -> &str {
        let end = self.value_length.and_then(|length| text.char_indices().nth(length));
        end.map_or(text, |(end, _)| &text[..end])
    }
}

/// Who sends, encoded once.
#[derive(Debug)]
pub(super) struct EncodedResource {
    /// The field `resource` of a `ResourceSpans`.
    resource: Vec<u8>,
    /// Its field `schema_url`.
    schema: Vec<u8>,
}

impl EncodedResource {
    pub(super) fn new(resource: &Resource) -> Self {
        let pairs: Vec<KeyValue> =
            resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        let (mut encoded, mut schema) = (vec![], vec![]);
        message(&mut encoded, 1, |out| SpanEncoder::default().attributes(out, 1, &pairs));
        text(&mut schema, 3, resource.schema_url().unwrap_or_default());
        Self { resource: encoded, schema }
    }

    /// An `ExportTraceServiceRequest` of spans of one scope, which have been encoded by a [`SpanEncoder`].
    pub(super) fn request(&self, scope: &InstrumentationScope, spans: &[u8]) -> Vec<u8> {
        let (mut head, mut tail) = (vec![], vec![]);
        message(&mut head, 1, |out| {
            text(out, 1, scope.name());
            text(out, 2, scope.version().unwrap_or_default());
            scope
                .attributes()
                .for_each(|pair| SpanEncoder::default().attributes(out, 3, std::slice::from_ref(pair)));
        });
        text(&mut tail, 3, scope.schema_url().unwrap_or_default());
        let scope_length = head.len() + spans.len() + tail.len();
        let scope_head = 1 + encoded_len_varint(scope_length as u64);
        let length = self.resource.len() + scope_head + scope_length + self.schema.len();

        let mut out = Vec::with_capacity(length + 16);
        encode_key(1, WireType::LengthDelimited, &mut out);
        encode_varint(length as u64, &mut out);
        out.extend_from_slice(&self.resource);
        encode_key(2, WireType::LengthDelimited, &mut out);
        encode_varint(scope_length as u64, &mut out);
        for part in [&head, spans, &tail, &self.schema] {
            out.extend_from_slice(part);
        }
        out
    }
}

fn identity(out: &mut Vec<u8>, context: &SpanContext) {
    bytes(out, 1, &context.trace_id().to_bytes());
    bytes(out, 2, &context.span_id().to_bytes());
    let state = context.trace_state();
    if *state != opentelemetry::trace::TraceState::NONE {
        text(out, 3, &state.header());
    }
}

fn flags(context: &SpanContext, is_remote: bool) -> u32 {
    u32::from(context.trace_flags().to_u8()) | KNOWS_REMOTE | if is_remote { IS_REMOTE } else { 0 }
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn status(out: &mut Vec<u8>, status: &Status) {
    match status {
        Status::Unset => {}
        Status::Ok => number(out, 3, 1),
        Status::Error { description } => {
            text(out, 2, description);
            number(out, 3, 2);
        }
    }
}

/// Times before 1970 do not occur.
fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A message within a message. Most are shorter than 128 bytes and need one byte for their length, which is left
/// free; a longer one is moved.
fn message(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    encode_key(field, WireType::LengthDelimited, out);
    let at = out.len();
    out.push(0);
    body(out);
    let length = out.len() - at - 1;
    let more = encoded_len_varint(length as u64) - 1;
    if more > 0 {
        out.resize(out.len() + more, 0);
        out.copy_within(at + 1..at + 1 + length, at + 1 + more);
    }
    encode_varint(length as u64, &mut &mut out[at..=at + more]);
}

fn text(out: &mut Vec<u8>, field: u32, text: &str) {
    bytes(out, field, text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        bytes_always(out, field, bytes);
    }
}

fn bytes_always(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, field: u32, number: u64) {
    if number != 0 {
        any_number(out, field, number);
    }
}

fn fixed64(out: &mut Vec<u8>, field: u32, number: u64) {
    if number != 0 {
        encode_key(field, WireType::SixtyFourBit, out);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn fixed32(out: &mut Vec<u8>, field: u32, number: u32) {
    if number != 0 {
        encode_key(field, WireType::ThirtyTwoBit, out);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn any_number(out: &mut Vec<u8>, field: u32, value: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

fn any_float(out: &mut Vec<u8>, value: f64) {
    encode_key(4, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests;
