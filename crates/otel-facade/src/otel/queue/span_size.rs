//! The size of a span, and the limit of its texts.

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// Bytes of an encoded span without its texts, at most.
const SPAN_BYTES: usize = 128;
/// Bytes of an encoded attribute without its texts, at most.
const ATTRIBUTE_BYTES: usize = 16;

/// At most this number of bytes, as long as the names of the scope and long arrays of numbers are left out.
pub(super) fn encoded_bytes(span: &SpanData) -> usize {
    let of = |attributes: &[KeyValue]| -> usize {
        attributes.iter().map(|pair| pair.key.as_str().len() + text(&pair.value) + ATTRIBUTE_BYTES).sum()
    };
    let links = span.links.iter().map(|link| of(&link.attributes) + SPAN_BYTES / 2).sum::<usize>();
    let events = span.events.iter().map(|event| of(&event.attributes) + event.name.len() + ATTRIBUTE_BYTES);
    SPAN_BYTES + span.name.len() + of(&span.attributes) + links + events.sum::<usize>()
}

fn text(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| text.as_str().len() + 4).sum(),
        _ => 0,
    }
}

/// Cuts the texts of all attributes to this number of characters.
pub(super) fn cut_texts(span: &mut SpanData, length: usize) {
    let cut = |pair: &mut KeyValue| match &mut pair.value {
        Value::String(text) => cut_text(text, length),
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(|text| cut_text(text, length)),
        _ => {}
    };
    span.attributes.iter_mut().for_each(cut);
    span.events.events.iter_mut().flat_map(|event| &mut event.attributes).for_each(cut);
    span.links.links.iter_mut().flat_map(|link| &mut link.attributes).for_each(cut);
}

fn cut_text(text: &mut StringValue, length: usize) {
    if let Some((end, _)) = text.as_str().char_indices().nth(length) {
        *text = text.as_str()[..end].to_owned().into();
    }
}
