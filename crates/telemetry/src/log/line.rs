//! A line: what `tracing-subscriber` makes of an event, and behind it what the line is about.

use std::fmt;

use serde_json::Value;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::subject::{of_this_line, span_of_this_line};

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
        if details.is_empty() {
            return match self {
                Self::Text(format) => format.format_event(context, writer, event),
                Self::Json(format) => format.format_event(context, writer, event),
            };
        }
        let mut line = String::new();
        let buffer = Writer::new(&mut line);
        match self {
            Self::Text(format) => {
                format.format_event(context, buffer, event)?;
                writer.write_str(line.trim_end_matches('\n'))?;
                for (name, value) in &details {
                    // A label is whatever came, so it is escaped where it is no plain word.
                    match value.as_str().filter(|text| !text.contains(char::is_control)) {
                        Some(text) => write!(writer, " {name}={text}")?,
                        None => write!(writer, " {name}={value}")?,
                    }
                }
                writer.write_char('\n')
            }
            Self::Json(format) => {
                format.format_event(context, buffer, event)?;
                let open = line.trim_end_matches('\n');
                writer.write_str(open.strip_suffix('}').unwrap_or(open))?;
                for (name, value) in &details {
                    write!(writer, ",\"{name}\":{value}")?;
                }
                writer.write_str("}\n")
            }
        }
    }
}

/// Name and value of what the line is about, where the event does not say it itself.
fn details(event: &Event<'_>) -> Vec<(&'static str, Value)> {
    let mut details: Vec<(&'static str, Value)> = vec![];
    if let Some((queue, subject)) = of_this_line() {
        details.push(("label", subject.label.into()));
        details.push(("job_id", subject.job_id.into()));
        details.push(("queue", queue.into()));
        details.push(("attempt", subject.attempt.into()));
    }
    let context = span_of_this_line();
    if let (Some(trace), Some(span)) = (context.trace_id(), context.span_id()) {
        details.push(("trace_id", trace.into()));
        details.push(("span_id", span.into()));
    }
    details.retain(|(name, _)| event.metadata().fields().field(name).is_none());
    details
}
