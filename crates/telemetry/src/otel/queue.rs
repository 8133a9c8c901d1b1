//! Where ended spans wait for their export, encoded already: so they take a third of the room, and the thread that made
//! a span frees what it holds. The SDK's queue would hand every span to another thread, which frees it there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use super::encode::{EncodedResource, SpanEncoder};
use super::receiver::Receiver;
use super::tally::Tally;
use crate::Queue;

/// A batch that is larger is sent although it has room for more spans: receivers take 4 MiB and no more.
const MOST_BYTES: usize = 1 << 20;

/// Spans of one scope, encoded one behind the other.
#[derive(Debug)]
struct Batch {
    scope: InstrumentationScope,
    spans: usize,
    bytes: Vec<u8>,
}

/// Takes spans from wherever they end, and gives them to a task that sends them.
#[derive(Debug)]
pub(super) struct SpanQueue {
    shared: Arc<Shared>,
    /// Asks for all that waits to be sent.
    flushes: mpsc::Sender<std::sync::mpsc::Sender<OTelSdkResult>>,
}

#[derive(Debug)]
struct Shared {
    encoder: SpanEncoder,
    tally: Arc<Tally>,
    /// Spans of a batch.
    most: usize,
    waiting: Mutex<Waiting>,
    /// A batch is full.
    full: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    /// Bytes of the last batch that was full: the next will not have to grow step by step.
    room: usize,
}

impl SpanQueue {
    /// Sends on that runtime, until dropped.
    pub(super) fn new(
        receiver: Receiver,
        resource: EncodedResource,
        encoder: SpanEncoder,
        queue: Queue,
        tally: Arc<Tally>,
        runtime: &Handle,
    ) -> Self {
        let shared = Arc::new(Shared {
            encoder,
            tally,
            most: queue.batch,
            waiting: Mutex::default(),
            full: Notify::new(),
        });
        let (flushes, asked) = mpsc::channel(8);
        runtime.spawn(run(shared.clone(), receiver, resource, queue.delay, asked));
        Self { shared, flushes }
    }

    fn flush(
        &self,
        wait: impl FnOnce(std::sync::mpsc::Receiver<OTelSdkResult>) -> OTelSdkResult,
    ) -> OTelSdkResult {
        let (done, answer) = std::sync::mpsc::channel();
        // Where others have asked for it and wait, there is no need to.
        self.flushes.try_send(done).map_err(|_| OTelSdkError::AlreadyShutdown)?;
        wait(answer)
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.shared.tally.admit() {
            self.shared.push(&span);
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
    fn push(&self, span: &SpanData) {
        let mut waiting = self.lock();
        let Waiting { batches, room } = &mut *waiting;
        let fits = batches.back().is_some_and(|batch| {
            batch.spans < self.most
                && batch.bytes.len() < MOST_BYTES
                && batch.scope == span.instrumentation_scope
        });
        if !fits {
            let scope = span.instrumentation_scope.clone();
            batches.push_back(Batch { scope, spans: 0, bytes: Vec::with_capacity(*room) });
        }
        let Some(batch) = batches.back_mut() else { return };
        self.encoder.span(&mut batch.bytes, span);
        batch.spans += 1;
        let is_full = batch.spans >= self.most || batch.bytes.len() >= MOST_BYTES;
        if is_full {
            *room = batch.bytes.len();
            drop(waiting);
            self.full.notify_one();
        }
    }

    /// The batch that has waited longest; of the last one, only where it is not to be filled any further.
    fn pop(&self, unfilled: bool) -> Option<Batch> {
        let batches = &mut self.lock().batches;
        let ready = match batches.front() {
            None => false,
            Some(first) => {
                unfilled || batches.len() > 1 || first.spans >= self.most || first.bytes.len() >= MOST_BYTES
            }
        };
        if ready { batches.pop_front() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Whatever panicked in between has left whole batches.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends full batches as they come, and what there is after each delay and whenever somebody asks.
async fn run(
    shared: Arc<Shared>,
    receiver: Receiver,
    resource: EncodedResource,
    delay: Duration,
    mut asked: mpsc::Receiver<std::sync::mpsc::Sender<OTelSdkResult>>,
) {
    loop {
        let (unfilled, done) = tokio::select! {
            () = shared.full.notified() => (false, None),
            () = tokio::time::sleep(delay) => (true, None),
            done = asked.recv() => match done {
                Some(done) => (true, Some(done)),
                None => return,
            },
        };
        let mut result = Ok(());
        while let Some(Batch { scope, spans, bytes }) = shared.pop(unfilled) {
            let sent = receiver.export(spans as u64, resource.request(&scope, &bytes)).await;
            result = result.and(sent);
        }
        if let Some(done) = done {
            // Who asked may have gone.
            let _ = done.send(result);
        }
    }
}

#[cfg(test)]
mod tests;
