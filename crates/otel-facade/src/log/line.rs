//! A line: what `tracing-subscriber` makes of an event, followed by the fields of the log context.

use std::fmt::{self, Write};

use serde_json::Value;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::printable::{Escape, printable};
use crate::Value as FieldValue;
use crate::log_context::{fields_of_this_line, span_of_this_line};

pub(super) enum Line {
    Text(Format<Full>),
    Json(Format<Json>),
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let details = details(event);
        let mut line = String::new();
        let buffer = Writer::new(&mut line);
        match self {
            Self::Text(format) => {
                format.format_event(context, buffer, event)?;
                line.truncate(line.trim_end_matches('\n').len());
                for (name, value) in &details {
                    // A value may come from outside: one with control characters is escaped.
                    match value.as_str().filter(|text| !text.contains(char::is_control)) {
                        Some(text) => write!(line, " {name}={text}")?,
                        None => write!(line, " {name}={value}")?,
                    }
                }
                writeln!(writer, "{}", printable(&line, Escape::Text))
            }
            Self::Json(format) => {
                format.format_event(context, buffer, event)?;
                let open = line.trim_end_matches('\n');
                line.truncate(open.strip_suffix('}').unwrap_or(open).len());
                for (name, value) in &details {
                    write!(line, ",\"{name}\":{value}")?;
                }
                writeln!(writer, "{}}}", printable(&line, Escape::Json))
            }
        }
    }
}

/// The fields of the log context and the ids of the span, without those that the event has itself.
fn details(event: &Event<'_>) -> Vec<(&'static str, Value)> {
    let fields = fields_of_this_line().into_iter();
    let mut details: Vec<(&'static str, Value)> = fields.map(|(name, value)| (name, json(value))).collect();
    let context = span_of_this_line();
    if let (Some(trace), Some(span)) = (context.trace_id(), context.span_id()) {
        details.push(("trace_id", trace.into()));
        details.push(("span_id", span.into()));
    }
    details.retain(|(name, _)| event.metadata().fields().field(name).is_none());
    details
}

fn json(value: FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => value.into(),
        FieldValue::I64(value) => value.into(),
        FieldValue::F64(value) => value.into(),
        FieldValue::Static(text) => text.into(),
        FieldValue::String(text) => text.into(),
        FieldValue::Shared(text) => (*text).into(),
        FieldValue::Strings(texts) => texts.into(),
    }
}
