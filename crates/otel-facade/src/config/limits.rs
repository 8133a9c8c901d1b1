//! The limits of a span and a log line.

use super::reader::Reader;

/// The limits of a span and a log line. Further items are dropped, longer texts are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Attributes of a span. Default: 128. `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, else `OTEL_ATTRIBUTE_COUNT_LIMIT`.
    pub attributes: u32,
    /// Characters of a span's attribute. Default: no limit. `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, else
    /// `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`.
    pub value_length: Option<usize>,
    /// Events of a span. Default: 128. `OTEL_SPAN_EVENT_COUNT_LIMIT`.
    pub events: u32,
    /// Links of a span. Default: 128. `OTEL_SPAN_LINK_COUNT_LIMIT`.
    pub links: u32,
    /// Attributes of an event. Default: 128. `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`.
    pub event_attributes: u32,
    /// Attributes of a link. Default: 128. `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`.
    pub link_attributes: u32,
    /// Attributes of a log line. Default: 128. `OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT`, else
    /// `OTEL_ATTRIBUTE_COUNT_LIMIT`.
    pub log_attributes: u32,
    /// Characters of a log line's attribute. Default: no limit. `OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT`,
    /// else `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`.
    pub log_value_length: Option<usize>,
}

impl Reader<'_> {
    pub(super) fn limits(&mut self) -> Limits {
        let count = self.count("OTEL_ATTRIBUTE_COUNT_LIMIT").unwrap_or(128);
        let length = self.length("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT");
        Limits {
            attributes: self.count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT").unwrap_or(count),
            value_length: self.length("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(length),
            events: self.count("OTEL_SPAN_EVENT_COUNT_LIMIT").unwrap_or(128),
            links: self.count("OTEL_SPAN_LINK_COUNT_LIMIT").unwrap_or(128),
            event_attributes: self.count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT").unwrap_or(128),
            link_attributes: self.count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT").unwrap_or(128),
            log_attributes: self.count("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT").unwrap_or(count),
            log_value_length: self.length("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT").or(length),
        }
    }

    fn count(&mut self, name: &str) -> Option<u32> {
        self.number(name, 0..=1_000_000).map(|number| number as u32)
    }

    fn length(&mut self, name: &str) -> Option<usize> {
        self.number(name, 0..=1_000_000_000).map(|number| number as usize)
    }
}
