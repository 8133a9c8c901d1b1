//! The receiver of one signal: bounds each export in time, counts its outcome, and logs one line for each change of state.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, info, warn};

use super::exporter::{
    ExporterBuilder, Kind, PartialSuccess, RETRY_PAUSE_MAX, Refusal, ResponseObserver, outcome,
    outcome_of_ended,
};
use super::tally::Tally;

/// Accepts everything, as far as is known.
const HEALTHY: u8 = 0;
/// Accepts exports, and rejects a part of each.
const PARTIAL: u8 = 1;
/// Accepts nothing at present.
const FAILING: u8 = 2;
/// Accepts nothing until the configuration is corrected.
const MISDIRECTED: u8 = 3;
/// How long an export is retried that begins during shutdown.
const SHUTDOWN_RETRY_TIME: Duration = Duration::from_millis(500);
/// How long an export is retried that shutdown finds in a pause: long enough for one attempt more.
const LAST_RETRY_TIME: Duration = RETRY_PAUSE_MAX.saturating_add(Duration::from_millis(200));

#[derive(Debug)]
pub(super) struct Receiver {
    kind: Kind,
    server: String,
    timeout: Duration,
    /// Runs the exporter's timers and connections.
    runtime: Handle,
    /// True from the beginning of shutdown.
    closing: watch::Receiver<bool>,
    observer: Arc<ResponseObserver>,
    subscriber: Dispatch,
    tally: Arc<Tally>,
    state: AtomicU8,
}

impl Receiver {
    pub(super) fn new(
        kind: Kind,
        builder: &ExporterBuilder<'_>,
        tally: Arc<Tally>,
        runtime: &Handle,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self {
            kind,
            server: builder.server(),
            timeout: builder.signal.timeout,
            runtime: runtime.clone(),
            closing,
            observer: builder.observer.clone(),
            subscriber: builder.observer.subscriber(),
            tally,
            state: AtomicU8::new(HEALTHY),
        }
    }

    /// Waits for an exporter's export of this number of items.
    pub(super) async fn export(
        &self,
        items: u64,
        export: impl Future<Output = OTelSdkResult>,
    ) -> OTelSdkResult {
        self.tally.record_dequeued(items);
        if self.tally.is_abandoned() {
            self.tally.failed(items);
            return Ok(());
        }
        match self.bounded(export).await {
            Ok(partial) => {
                self.record_accepted(items, partial);
                Ok(())
            }
            Err(refusal) => {
                self.tally.failed(items);
                self.refused(refusal)
            }
        }
    }

    /// The exporter's own timeout does not end an attempt that is under way. The thread that polls may be the SDK's.
    async fn bounded(&self, export: impl Future<Output = OTelSdkResult>) -> Result<PartialSuccess, Refusal> {
        self.observer.begin();
        let bounded = async {
            tokio::select! {
                biased;
                result = export => outcome(result, &self.observer),
                () = sleep(self.timeout) => self.ended(format!("no answer within {:?}", self.timeout)),
                () = self.shutdown_retries() => self.ended("the receiver took nothing until shutdown".to_owned()),
            }
        };
        let mut bounded = pin!(bounded.with_subscriber(self.subscriber.clone()));
        poll_fn(|context| {
            let _within = self.runtime.enter();
            bounded.as_mut().poll(context)
        })
        .await
    }

    fn ended(&self, reason: String) -> Result<PartialSuccess, Refusal> {
        Err(outcome_of_ended(reason, &self.observer))
    }

    /// Completes when a shutdown waits no longer for retries. An attempt that the receiver has not answered yet is
    /// bounded by the shutdown's own deadline.
    async fn shutdown_retries(&self) {
        let mut closing = self.closing.clone();
        let time = if *closing.borrow_and_update() { SHUTDOWN_RETRY_TIME } else { LAST_RETRY_TIME };
        if closing.wait_for(|closing| *closing).await.is_err() {
            return;
        }
        loop {
            sleep(time).await;
            if self.observer.is_retrying() {
                return;
            }
        }
    }

    fn record_accepted(&self, items: u64, partial: PartialSuccess) {
        let PartialSuccess { rejected, message } = partial;
        self.tally.delivered(items, rejected);
        let state = if rejected > 0 { PARTIAL } else { HEALTHY };
        let before = self.state.swap(state, Relaxed);
        let name = self.kind.name();
        if before == FAILING || before == MISDIRECTED {
            info!(lost = self.tally.lost(), "{name} are delivered again");
        }
        if state == PARTIAL && before != PARTIAL {
            warn!(rejected, reason = message, "the receiver takes {name} in part only, the rest is dropped");
        }
    }

    fn refused(&self, refusal: Refusal) -> OTelSdkResult {
        let (name, server) = (self.kind.name(), &self.server);
        match refusal {
            Refusal::Unimplemented(reason) => {
                self.tally.abandon();
                let variable = format!("OTEL_{}_EXPORTER", name.to_uppercase());
                warn!(
                    %reason,
                    "the receiver does not know {name}: none are sent any more until the next start; \
                     {variable}=none turns them off"
                );
                Ok(())
            }
            Refusal::Misdirected(mistake) => {
                if self.state.swap(MISDIRECTED, Relaxed) != MISDIRECTED {
                    warn!("{name} cannot be delivered to {server}: {mistake}");
                }
                Err(OTelSdkError::InternalFailure(mistake.to_string()))
            }
            Refusal::Failed(error) => {
                if self.state.swap(FAILING, Relaxed) < FAILING {
                    warn!(receiver = server, %error, "{name} are not delivered and will be dropped until the receiver takes them");
                }
                Err(OTelSdkError::InternalFailure(error))
            }
        }
    }
}
