//! The operations on the jobs of a queue: their names and types by the messaging conventions, and the names of their
//! spans.

use std::collections::BTreeMap;
use std::sync::Mutex;

use telemetry::SpanKind;

use super::keys::QueueName;

/// An operation on a queue. Its name is our own; its type is one that the conventions define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Enqueue a job, which carries the context of this span.
    Publish,
    /// Enqueue several jobs, each with the context of an [`Operation::Create`] for this job.
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
    HandBack,
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
    pub(super) const ALL: [Self; 17] = [
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
        Self::HandBack,
        Self::DeadLetter,
        Self::Delay,
        Self::Hold,
        Self::Cancel,
        Self::RunNow,
        Self::Purge,
    ];

    pub(super) fn name(self) -> &'static str {
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
            Self::HandBack => "hand_back",
            Self::DeadLetter => "dead_letter",
            Self::Delay => "delay",
            Self::Hold => "hold",
            Self::Cancel => "cancel",
            Self::RunNow => "run_now",
            Self::Purge => "purge",
        }
    }

    pub(super) fn type_(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Publish | Self::PublishAll | Self::Send | Self::Replay => "send",
            Self::Receive | Self::Claim => "receive",
            Self::Process => "process",
            Self::Ack | Self::Retry | Self::HandBack | Self::DeadLetter | Self::Delay | Self::Hold => {
                "settle"
            }
            Self::Cancel | Self::RunNow | Self::Purge => "settle",
        }
    }

    pub(super) fn kind(self) -> SpanKind {
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
    pub(super) fn is_located(self) -> bool {
        !matches!(self, Self::Create | Self::Process)
    }

    /// Whether a consumer of the group does it.
    pub(super) fn is_consumers(self) -> bool {
        !matches!(self.type_(), "create" | "send") && !self.is_by_hand()
    }
}

/// The names of a queue and of its spans. They are static, so that a span needs no copy; a process has few
/// queues.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts {
    pub(super) queue: &'static str,
    pub(super) spans: [&'static str; Operation::ALL.len()],
}

impl Texts {
    /// Leaks the texts once for each queue: they are never freed, and a producer may call this for each job.
    pub(super) fn of(queue: &QueueName) -> Self {
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
    fn the_texts_of_a_queue_are_made_once() {
        let texts = |queue: &str| Texts::of(&queue.parse().unwrap());
        let (first, again, other) = (texts("mail"), texts("mail"), texts("bulk"));
        assert!(std::ptr::eq(first.queue, again.queue));
        assert!(std::iter::zip(first.spans, again.spans).all(|(first, again)| std::ptr::eq(first, again)));
        assert_eq!([first.spans[0], other.spans[0]], ["publish mail", "publish bulk"]);
    }
}
