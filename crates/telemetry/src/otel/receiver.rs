//! The other end of a signal: what it takes, and what is said where it does not. One line for each change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use prost::Message;
use tracing::{info, warn};

use super::tally::Tally;
use super::transport::{Kind, Refusal, Transport};

/// Takes everything, as far as is known.
const FINE: u8 = 0;
/// Takes it, and rejects a part.
const PARTIAL: u8 = 1;
/// Takes nothing now.
const FAILING: u8 = 2;

/// The receiver of one signal.
#[derive(Debug)]
pub(super) struct Receiver {
    kind: Kind,
    transport: Transport,
    tally: Arc<Tally>,
    state: AtomicU8,
}

impl Receiver {
    pub(super) fn new(kind: Kind, transport: Transport, tally: Arc<Tally>) -> Self {
        Self { kind, transport, tally, state: AtomicU8::new(FINE) }
    }

    /// Sends an encoded export request of so many items.
    pub(super) async fn export(&self, items: u64, request: Vec<u8>) -> OTelSdkResult {
        self.tally.taken(items);
        if self.tally.is_abandoned() {
            self.tally.failed(items);
            return Ok(());
        }
        match self.transport.send(request).await {
            Ok(answer) => {
                self.taken(items, &answer);
                Ok(())
            }
            Err(refusal) => {
                self.tally.failed(items);
                self.refused(refusal)
            }
        }
    }

    fn taken(&self, items: u64, answer: &[u8]) {
        let (rejected, message) = rejected(answer);
        self.tally.delivered(items, rejected);
        let state = if rejected > 0 { PARTIAL } else { FINE };
        let before = self.state.swap(state, Relaxed);
        let name = self.kind.name();
        if before == FAILING {
            info!(lost = self.tally.lost(), "{name} are delivered again");
        }
        if state == PARTIAL && before != PARTIAL {
            warn!(rejected, message, "the receiver takes {name} in part only, the rest is dropped");
        }
    }

    fn refused(&self, refusal: Refusal) -> OTelSdkResult {
        let name = self.kind.name();
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
            Refusal::Failed(error) => {
                if self.state.swap(FAILING, Relaxed) != FAILING {
                    let receiver = self.transport.server();
                    warn!(receiver, %error, "{name} are not delivered and will be dropped until the receiver takes them");
                }
                Err(OTelSdkError::InternalFailure(error))
            }
        }
    }
}

/// How many items the receiver rejected, and why: a line, cut. The answers of all signals are alike on the wire.
fn rejected(answer: &[u8]) -> (u64, String) {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let partial = answer.partial_success.unwrap_or_default();
    let visible = partial.error_message.chars().filter(|character| !character.is_control());
    (u64::try_from(partial.rejected_spans).unwrap_or_default(), visible.take(200).collect())
}
