//! The spans and metrics of operations on a queue, by the messaging conventions.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use telemetry::{
    Attributes, BoundCounter, BoundHistogram, Counter, ErrorType, Histogram, SpanBuilder, Telemetry, semconv,
};

use super::keys::{GROUP, QueueName};
use super::operation::{Operation, Texts};

/// The instruments that all queues of a connection share, and the server's address.
#[derive(Clone, Debug)]
pub(crate) struct Instruments {
    telemetry: Telemetry,
    server: Option<(Arc<str>, u16)>,
    duration: Histogram,
    sent: Counter,
    consumed: Counter,
    processed: Histogram,
}

impl Instruments {
    pub(crate) fn new(telemetry: &Telemetry, server: Option<(Arc<str>, u16)>) -> Self {
        Self {
            telemetry: telemetry.clone(),
            server,
            duration: telemetry.histogram(
                semconv::MESSAGING_CLIENT_OPERATION_DURATION,
                "s",
                "Duration of operations on a queue: enqueueing, fetching and settling jobs",
                semconv::REQUEST_SECONDS,
            ),
            sent: telemetry.counter(
                semconv::MESSAGING_CLIENT_SENT_MESSAGES,
                "{message}",
                "Jobs that a producer enqueued, or failed to enqueue",
            ),
            consumed: telemetry.counter(
                semconv::MESSAGING_CLIENT_CONSUMED_MESSAGES,
                "{message}",
                "Jobs that were delivered to a worker, once for each delivery",
            ),
            processed: telemetry.histogram(
                semconv::MESSAGING_PROCESS_DURATION,
                "s",
                "Duration of the work on a job, from its delivery to its outcome",
                semconv::REQUEST_SECONDS,
            ),
        }
    }
}

/// The operations on one queue, with their spans and metrics. Metrics of each job are bound to their
/// attributes once.
#[derive(Debug)]
pub struct Operations {
    instruments: Instruments,
    texts: Texts,
    client_id: Arc<str>,
    durations: [OnceLock<BoundHistogram>; Operation::ALL.len()],
    consumed: [OnceLock<BoundCounter>; Operation::ALL.len()],
}

impl Operations {
    pub(crate) fn new(instruments: Instruments, queue: &QueueName, consumer: &str) -> Self {
        Self {
            instruments,
            texts: Texts::of(queue),
            client_id: consumer.into(),
            durations: Operation::ALL.map(|_| OnceLock::new()),
            consumed: Operation::ALL.map(|_| OnceLock::new()),
        }
    }

    /// The queue.
    pub fn queue(&self) -> &'static str {
        self.texts.queue
    }

    /// The span of an operation; its attributes begin with those of [`Operations::describe`].
    pub fn span(&self, operation: Operation) -> SpanBuilder<'_> {
        self.instruments.telemetry.span(operation.kind(), self.texts.spans[operation as usize])
    }

    /// Sets the common attributes of operations' spans.
    pub fn describe(&self, operation: Operation, attributes: &mut Attributes) {
        self.named(operation, attributes);
        attributes.set(semconv::MESSAGING_OPERATION_TYPE, operation.type_());
        if operation.is_consumers() {
            attributes.set(semconv::MESSAGING_CLIENT_ID, self.client_id.clone());
        }
        // The others leave it out, since there are many such spans.
        if operation.is_located() {
            self.located(attributes);
        }
    }

    /// Records the duration of an operation that ended or failed.
    pub fn record_duration(&self, operation: Operation, began: Instant, error: Option<&ErrorType>) {
        if !self.instruments.telemetry.is_on() {
            return;
        }
        let seconds = began.elapsed().as_secs_f64();
        let histogram = match operation {
            Operation::Process => &self.instruments.processed,
            _ => &self.instruments.duration,
        };
        match error {
            None => {
                let bind = || histogram.bind(|attributes| self.measured(operation, attributes));
                self.durations[operation as usize].get_or_init(bind).record(seconds);
            }
            Some(error) => histogram.record(seconds, |attributes| {
                self.measured(operation, attributes);
                attributes.set(semconv::ERROR_TYPE, error);
            }),
        }
    }

    /// Counts jobs that were enqueued, or failed to be.
    pub fn sent(&self, operation: Operation, jobs: usize, error: Option<&ErrorType>) {
        self.instruments.sent.add(jobs as u64, |attributes| {
            self.named(operation, attributes);
            self.located(attributes);
            if let Some(error) = error {
                attributes.set(semconv::ERROR_TYPE, error);
            }
        });
    }

    /// Exports a worker's counters at zero, so that the first job is visible as an increase.
    pub(super) fn begin_at_zero(&self) {
        self.consumed(Operation::Receive, 0);
        self.consumed(Operation::Claim, 0);
    }

    /// Counts fetched jobs.
    pub fn consumed(&self, operation: Operation, jobs: usize) {
        let bind = || {
            self.instruments.consumed.bind(|attributes| {
                self.named(operation, attributes);
                self.located(attributes);
            })
        };
        self.consumed[operation as usize].get_or_init(bind).add(jobs as u64);
    }

    fn measured(&self, operation: Operation, attributes: &mut Attributes) {
        self.named(operation, attributes);
        if operation != Operation::Process {
            attributes.set(semconv::MESSAGING_OPERATION_TYPE, operation.type_());
        }
        self.located(attributes);
    }

    fn named(&self, operation: Operation, attributes: &mut Attributes) {
        attributes.set(semconv::MESSAGING_SYSTEM, "redis");
        attributes.set(semconv::MESSAGING_OPERATION_NAME, operation.name());
        attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.texts.queue);
        if operation.is_consumers() {
            attributes.set(semconv::MESSAGING_CONSUMER_GROUP_NAME, GROUP);
        }
    }

    fn located(&self, attributes: &mut Attributes) {
        if let Some((address, port)) = &self.instruments.server {
            attributes.set(semconv::SERVER_ADDRESS, address.clone());
            attributes.set(semconv::SERVER_PORT, *port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enqueued_jobs_are_counted_by_their_outcome() {
        // Only programs that use this library export these metrics. The commands of this program do not.
        let config = telemetry::Config::from_lookup(|name| match name {
            "OTEL_ENABLED" => Some("true".to_owned()),
            "OTEL_TRACES_EXPORTER" => Some("none".to_owned()),
            "OTEL_METRICS_EXPORTER" => Some("prometheus".to_owned()),
            _ => None,
        });
        let running = telemetry::start(config).unwrap();
        let telemetry = running.handle();
        let instruments = Instruments::new(&telemetry, Some(("redis.test".into(), 6379)));
        let operations = Operations::new(instruments, &"mail".parse().unwrap(), "");
        operations.sent(Operation::Publish, 1, None);
        operations.sent(Operation::PublishAll, 2, None);
        operations.sent(Operation::Send, 3, Some(&ErrorType::Timeout));
        let text = telemetry.prometheus().map_or(String::new(), |prometheus| prometheus.text().unwrap());
        if text.is_empty() {
            assert!(!telemetry.is_on(), "only the lean build has no metrics");
            return;
        }
        let sent = text.lines().filter(|line| line.starts_with("messaging_client_sent_messages_total{"));
        let sent: Vec<&str> = sent.collect();
        let has = |parts: [&str; 4]| sent.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        let (queue, server) = ("destination_name=\"mail\"", "server_address=\"redis.test\"");
        assert!(has(["operation_name=\"publish\"", queue, server, "} 3"]), "{text}");
        assert!(has(["operation_name=\"send\"", queue, "error_type=\"timeout\"", "} 3"]), "{text}");
        assert_eq!(sent.len(), 2, "{text}");
    }
}
