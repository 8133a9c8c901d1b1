//! One per process: the server for probes and metrics, and the signals that end the process.

pub mod listen;
pub mod shutdown;
mod status;

use std::net::SocketAddr;

use telemetry::Telemetry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::{self, EngineError, Health, WorkerConfig};
use crate::observe::gauges::Gauges;
use status::ListenError;
pub use status::{Probes, StatusServer};

/// The worker could not start, or could not continue.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The address of the health and metrics endpoint cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The worker itself.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Runs a worker, and serves its health and metrics on `listen`. From each configuration of `reloads`, what deliveries use
/// counts from then on, unless it is an error, which is logged and counted: policies, secrets, egress, flows, and how requests are sent. Everything else needs a restart. Works until `stop`, then shuts down in order:
/// it stops fetching, lets requests in flight finish until the deadline or `second_signal`, hands the other jobs back,
/// settles, and leaves the queues.
///
/// # Errors
/// If it cannot start. A running worker waits until errors pass. Only if a loop panics, it shuts down in the
/// same order by itself.
pub async fn run(
    config: &WorkerConfig,
    listen: Option<SocketAddr>,
    reloads: mpsc::Receiver<Result<WorkerConfig, String>>,
    telemetry: &Telemetry,
    stop: CancellationToken,
    second_signal: CancellationToken,
) -> Result<(), RunError> {
    let health = Health::default();
    let status = match listen {
        Some(address) => Some(StatusServer::start(address, probes(health.clone()), telemetry).await?),
        None => None,
    };
    let gauges = Gauges::register(telemetry);
    let result = engine::run(config, reloads, telemetry, gauges, &health, stop, second_signal).await;
    // Until the end, the endpoint reports that the worker is not ready.
    if let Some(status) = status {
        status.end().await;
    }
    Ok(result?)
}

fn probes(health: Health) -> Probes {
    let live = health.clone();
    let ready = move || match (health.why_not_ready(), health.troubled()) {
        (None, troubled) if !troubled.is_empty() => {
            Ok(format!("ok for other queues; {}", troubled.join("; ")))
        }
        (None, _) => Ok("ok".to_owned()),
        (Some(why), _) => Err(why),
    };
    Probes::new(move || live.why_not_live(), ready)
}
