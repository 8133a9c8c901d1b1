//! Operations on the jobs of a queue by the messaging conventions: names of spans, and the metrics of a
//! client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use telemetry::{
    Attributes, BoundCounter, BoundHistogram, Counter, ErrorType, Histogram, SpanBuilder, SpanKind,
    Telemetry, semconv,
};

use super::keys::{GROUP, QueueName};

/// An operation on a queue. Its name is our own; its type is one that the conventions define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Enqueue a job, which carries the context of this span.
    Publish,
    /// Enqueue several jobs, each with the context of its own [`Operation::Create`].
    PublishAll,
    /// Begin the trace of a job that is enqueued with others.
    Create,
    /// Enqueue jobs that already carry a context.
    Send,
    /// Replace a dead letter by a new job.
    Replay,
    /// Fetch new jobs.
    Receive,
    /// Take over jobs from a worker without a heartbeat.
    Claim,
    /// Work on a job.
    Process,
    /// Settle succeeded jobs.
    Ack,
    /// Schedule a job's next attempt.
    Retry,
    /// Hand a job back, which costs it no attempt.
    Release,
    /// Dead-letter a job.
    DeadLetter,
    /// Schedule a job for its producer's time.
    Delay,
    /// Hold a job for its flow.
    Hold,
    /// Cancel a job by hand.
    Cancel,
    /// Make a waiting job ready by hand.
    RunNow,
    /// Delete dead letters by hand.
    Purge,
}

impl Operation {
    const ALL: [Self; 17] = [
        Self::Publish,
        Self::PublishAll,
        Self::Create,
        Self::Send,
        Self::Replay,
        Self::Receive,
        Self::Claim,
        Self::Process,
        Self::Ack,
        Self::Retry,
        Self::Release,
        Self::DeadLetter,
        Self::Delay,
        Self::Hold,
        Self::Cancel,
        Self::RunNow,
        Self::Purge,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Publish | Self::PublishAll => "publish",
            Self::Create => "create",
            Self::Send => "send",
            Self::Replay => "replay",
            Self::Receive => "receive",
            Self::Claim => "claim",
            Self::Process => "process",
            Self::Ack => "ack",
            Self::Retry => "retry",
            Self::Release => "release",
            Self::DeadLetter => "dead_letter",
            Self::Delay => "delay",
            Self::Hold => "hold",
            Self::Cancel => "cancel",
            Self::RunNow => "run_now",
            Self::Purge => "purge",
        }
    }

    fn type_(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Publish | Self::PublishAll | Self::Send | Self::Replay => "send",
            Self::Receive | Self::Claim => "receive",
            Self::Process => "process",
            Self::Ack | Self::Retry | Self::Release | Self::DeadLetter | Self::Delay | Self::Hold => "settle",
            Self::Cancel | Self::RunNow | Self::Purge => "settle",
        }
    }

    fn kind(self) -> SpanKind {
        match self {
            Self::Publish | Self::Create | Self::Replay => SpanKind::Producer,
            Self::Process => SpanKind::Consumer,
            _ => SpanKind::Client,
        }
    }

    fn is_by_hand(self) -> bool {
        matches!(self, Self::Cancel | Self::RunNow | Self::Purge)
    }

    /// Whether its spans have the server's address.
    fn is_located(self) -> bool {
        !matches!(self, Self::Create | Self::Process)
    }

    /// Whether a consumer of the group does it.
    fn is_consumers(self) -> bool {
        !matches!(self.type_(), "create" | "send") && !self.is_by_hand()
    }
}

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

/// The names of a queue and of its spans. They are static, so that a span needs no copy; a process has few
/// queues.
#[derive(Clone, Copy, Debug)]
struct Texts {
    queue: &'static str,
    spans: [&'static str; Operation::ALL.len()],
}

impl Texts {
    /// Leaks the texts once for each queue: they are never freed, and a producer may call this for each job.
    fn of(queue: &QueueName) -> Self {
        static MADE: Mutex<BTreeMap<String, Texts>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().expect("nothing panics while it holds this lock");
        if let Some(texts) = made.get(queue.as_str()) {
            return *texts;
        }
        let name = |operation: Operation| -> &'static str { format!("{} {queue}", operation.name()).leak() };
        let texts = Self { queue: queue.to_string().leak(), spans: Operation::ALL.map(name) };
        made.insert(queue.to_string(), texts);
        texts
    }
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
    pub fn took(&self, operation: Operation, began: Instant, error: Option<&ErrorType>) {
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
    fn each_operation_is_at_its_own_index() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index, "{operation:?}");
        }
    }

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

    #[test]
    fn the_texts_of_a_queue_are_made_once() {
        let texts = |queue: &str| Texts::of(&queue.parse().unwrap());
        let (first, again, other) = (texts("mail"), texts("mail"), texts("bulk"));
        assert!(std::ptr::eq(first.queue, again.queue));
        assert!(std::iter::zip(first.spans, again.spans).all(|(first, again)| std::ptr::eq(first, again)));
        assert_eq!([first.spans[0], other.spans[0]], ["publish mail", "publish bulk"]);
    }
}
