//! The queue of ended spans. A thread that ends a span appends it to a batch, and wakes the export task only when the
//! batch is full: the SDK's queue would hand every span to another thread. The export thread converts and sends.

mod span_size;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use super::exporter::SpanSender;
use super::tally::Tally;
use crate::Queue;
use span_size::{cut_texts, encoded_bytes};

/// A batch of this size is sent although more spans may be added: receivers take 4 MiB by default.
const BATCH_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Batch {
    spans: Vec<SpanData>,
    /// Size when encoded, estimated.
    bytes: usize,
}

/// Takes spans from any thread, and hands them to a task that sends them.
#[derive(Debug)]
pub(super) struct SpanQueue {
    shared: Arc<Shared>,
    /// Asks the task to send all waiting spans.
    flushes: mpsc::Sender<std::sync::mpsc::Sender<OTelSdkResult>>,
}

#[derive(Debug)]
struct Shared {
    /// Characters of an attribute's text at most.
    value_length: Option<usize>,
    tally: Arc<Tally>,
    /// Spans of a batch at most.
    batch_spans: usize,
    waiting: Mutex<VecDeque<Batch>>,
    /// Wakes the task when a batch is full.
    full: Notify,
}

impl SpanQueue {
    /// Sends on that runtime until dropped.
    pub(super) fn new(
        sender: SpanSender,
        value_length: Option<usize>,
        queue: Queue,
        tally: Arc<Tally>,
        runtime: &Handle,
    ) -> Self {
        let shared = Arc::new(Shared {
            value_length,
            tally,
            batch_spans: queue.batch,
            waiting: Mutex::default(),
            full: Notify::new(),
        });
        let (flushes, requests) = mpsc::channel(8);
        runtime.spawn(run(shared.clone(), sender, queue.delay, requests));
        Self { shared, flushes }
    }

    fn flush(
        &self,
        wait: impl FnOnce(std::sync::mpsc::Receiver<OTelSdkResult>) -> OTelSdkResult,
    ) -> OTelSdkResult {
        let (done, answer) = std::sync::mpsc::channel();
        // Another request for the same is waiting.
        self.flushes.try_send(done).map_err(|_| OTelSdkError::AlreadyShutdown)?;
        wait(answer)
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, mut span: SpanData) {
        if span.span_context.is_sampled() && self.shared.tally.admit() {
            if let Some(length) = self.shared.value_length {
                cut_texts(&mut span, length);
            }
            self.shared.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flush(|answer| answer.recv().unwrap_or(Err(OTelSdkError::AlreadyShutdown)))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.flush(|answer| answer.recv_timeout(timeout).unwrap_or(Err(OTelSdkError::Timeout(timeout))))
    }
}

impl Shared {
    fn push(&self, span: SpanData) {
        let bytes = encoded_bytes(&span);
        let mut batches = self.lock();
        if batches.back().is_none_or(|batch| self.is_full(batch)) {
            batches.push_back(Batch { spans: Vec::with_capacity(self.batch_spans), bytes: 0 });
        }
        let Some(batch) = batches.back_mut() else { return };
        batch.spans.push(span);
        batch.bytes += bytes;
        if self.is_full(batch) {
            drop(batches);
            self.full.notify_one();
        }
    }

    fn is_full(&self, batch: &Batch) -> bool {
        batch.spans.len() >= self.batch_spans || batch.bytes >= BATCH_BYTES
    }

    /// The oldest batch; the last one only where it shall not be filled further.
    fn pop(&self, unfilled: bool) -> Option<Batch> {
        let mut batches = self.lock();
        let ready = batches.front().is_some_and(|first| unfilled || batches.len() > 1 || self.is_full(first));
        if ready { batches.pop_front() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Batch>> {
        // A panic leaves complete batches.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends full batches at once, and all waiting spans after each delay and on request.
async fn run(
    shared: Arc<Shared>,
    sender: SpanSender,
    delay: Duration,
    mut requests: mpsc::Receiver<std::sync::mpsc::Sender<OTelSdkResult>>,
) {
    loop {
        let (unfilled, done) = tokio::select! {
            () = shared.full.notified() => (false, None),
            () = tokio::time::sleep(delay) => (true, None),
            done = requests.recv() => match done {
                Some(done) => (true, Some(done)),
                None => return,
            },
        };
        let mut result = Ok(());
        while let Some(Batch { spans, .. }) = shared.pop(unfilled) {
            let sent = sender.send(spans).await;
            result = result.and(sent);
        }
        if let Some(done) = done {
            // The caller may have stopped waiting.
            let _ = done.send(result);
        }
    }
}

#[cfg(test)]
mod tests;
