//! Log records with the names of the conventions. The appender names an event by its place in the source, and attributes
//! by their fields; here a record also gets the fields of its log context and its span.
//!
//! This happens before the exporter, which counts no dropped attributes: `dropped_attributes_count` of a log record is
//! always 0 (opentelemetry-proto 0.33).

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry::{InstrumentationScope, Key};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::log_attributes::namespaced;
use crate::log_context::{fields_of_this_line, span_of_this_line};
use crate::{Limits, LogNames, Value};

/// Provides the appender with loggers that normalize.
pub(super) struct NormalizedLoggers {
    pub(super) provider: SdkLoggerProvider,
    pub(super) limits: Limits,
    pub(super) names: LogNames,
}

impl LoggerProvider for NormalizedLoggers {
    type Logger = NormalizedLogger;

    fn logger_with_scope(&self, scope: InstrumentationScope) -> NormalizedLogger {
        NormalizedLogger {
            logger: self.provider.logger_with_scope(scope),
            limits: self.limits,
            names: self.names,
        }
    }
}

pub(super) struct NormalizedLogger {
    logger: SdkLogger,
    limits: Limits,
    names: LogNames,
}

impl Logger for NormalizedLogger {
    type LogRecord = NormalizedRecord;

    fn create_log_record(&self) -> NormalizedRecord {
        NormalizedRecord {
            record: self.logger.create_log_record(),
            target: Cow::default(),
            names: self.names,
            attributes: vec![],
        }
    }

    fn emit(&self, mut record: NormalizedRecord) {
        for (field, value) in fields_of_this_line() {
            let key = namespaced(field.to_owned(), "", self.names);
            record.attributes.push((key.into(), any_value(value)));
        }
        if let Some(span) = span_of_this_line().0.span_context() {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        self.logger.emit(record.limited(&self.limits));
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.logger.event_enabled(level, target, name)
    }
}

pub(super) struct NormalizedRecord {
    record: SdkLogRecord,
    target: Cow<'static, str>,
    names: LogNames,
    attributes: Vec<(Key, AnyValue)>,
}

impl NormalizedRecord {
    /// Of two attributes with one name, the later stays: those of the log context come after the event's. The
    /// limit counts from the end, too.
    fn limited(self, limits: &Limits) -> SdkLogRecord {
        let Self { mut record, mut attributes, .. } = self;
        let mut kept = 0;
        while let Some((key, value)) = attributes.pop().filter(|_| kept < limits.log_attributes) {
            attributes.retain(|(earlier, _)| *earlier != key);
            record.add_attribute(key, cut(value, limits.log_value_length));
            kept += 1;
        }
        record
    }
}

fn any_value(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::F64(value) => value.into(),
        Value::Static(text) => text.into(),
        Value::String(text) => text.into(),
        Value::Shared(text) => text.to_string().into(),
        Value::Strings(texts) => texts.into_iter().map(AnyValue::from).collect(),
    }
}

fn cut(value: AnyValue, length: Option<usize>) -> AnyValue {
    match (length, &value) {
        (Some(length), AnyValue::String(text)) => match text.as_str().char_indices().nth(length) {
            Some((end, _)) => AnyValue::String(text.as_str()[..end].to_owned().into()),
            None => value,
        },
        _ => value,
    }
}

impl LogRecord for NormalizedRecord {
    fn set_event_name(&mut self, name: &'static str) {
        // `tracing` gives this name to an event without one.
        if !name.starts_with("event ") {
            self.record.set_event_name(name);
        }
    }

    fn set_target<T: Into<Cow<'static, str>>>(&mut self, target: T) {
        self.target = target.into();
        self.record.set_target(self.target.clone());
    }

    fn set_timestamp(&mut self, timestamp: SystemTime) {
        self.record.set_timestamp(timestamp);
    }

    fn set_observed_timestamp(&mut self, timestamp: SystemTime) {
        self.record.set_observed_timestamp(timestamp);
    }

    fn set_severity_text(&mut self, text: &'static str) {
        self.record.set_severity_text(text);
    }

    fn set_severity_number(&mut self, number: Severity) {
        self.record.set_severity_number(number);
    }

    fn set_body(&mut self, body: AnyValue) {
        self.record.set_body(body);
    }

    fn add_attributes<I, K, V>(&mut self, attributes: I)
    where
        I: IntoIterator<Item = (K, V)>,
        K: Into<Key>,
        V: Into<AnyValue>,
    {
        attributes.into_iter().for_each(|(key, value)| self.add_attribute(key, value));
    }

    fn add_attribute<K: Into<Key>, V: Into<AnyValue>>(&mut self, key: K, value: V) {
        let key = namespaced(key.into().to_string(), &self.target, self.names);
        self.attributes.push((key.into(), value.into()));
    }

    fn set_trace_context(&mut self, trace: TraceId, span: SpanId, flags: Option<TraceFlags>) {
        self.record.set_trace_context(trace, span, flags);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_attributes_with_one_name_the_later_stays_and_the_limit_counts_names() {
        let provider = SdkLoggerProvider::builder().build();
        let limits = crate::Config::from_lookup(|_| None).limits;
        let names: LogNames = |_, field| (field == "queue").then_some("messaging.destination.name".into());
        let loggers = NormalizedLoggers { provider, limits, names };
        let mut record = loggers.logger_with_scope(InstrumentationScope::default()).create_log_record();
        record.set_target("program::module");
        for (key, value) in [("a.b", "first"), ("queue", "of the event"), ("a.b", "grüße")] {
            record.add_attribute(key, value);
        }
        let limits = Limits { log_attributes: 2, log_value_length: Some(3), ..loggers.limits };
        let limited = record.limited(&limits);
        let found: Vec<_> =
            limited.attributes_iter().map(|(key, value)| (key.as_str(), format!("{value:?}"))).collect();
        let text = |text: &str| format!("{:?}", AnyValue::from(text.to_owned()));
        assert_eq!(found, [("a.b", text("grü")), ("messaging.destination.name", text("of "))]);
    }
}
