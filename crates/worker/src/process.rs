//! One per process: the server for probes and metrics, and the signals that end the process.

pub mod listen;
pub mod shutdown;
mod status;
mod threads;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use telemetry::Telemetry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::{self, EngineError, Health, Surroundings, WorkerConfig};
use crate::flows::SharedFlows;
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

/// Runs a worker, on as many threads as it is set to, and serves its health and metrics on `listen`. From each configuration of `reloads`, what deliveries use
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
    let healths: Vec<Health> = (0..config.threads.get()).map(|_| Health::default()).collect();
    let status = match listen {
        Some(address) => Some(StatusServer::start(address, probes(healths.clone()), telemetry).await?),
        None => None,
    };
    let mut gauges = Gauges::register(telemetry);
    let (slots, budgets) = (engine::slots(config), engine::budgets(config, telemetry));
    let shared = (config.threads.get() > 1).then(SharedFlows::default);
    let surroundings = healths.into_iter().zip(budgets).enumerate().map(|(index, (health, bytes))| {
        let (telemetry, gauges) = (telemetry.clone(), gauges.take());
        let slots = threads::share(slots, config.threads, index);
        let (shared, is_first) = (shared.clone(), index == 0);
        let (stop, second_signal) = (stop.clone(), second_signal.clone());
        Surroundings { telemetry, gauges, health, slots, bytes, shared, is_first, stop, second_signal }
    });
    let result = threads::run(config, reloads, surroundings.collect()).await;
    // Until the end, the endpoint reports that the worker is not ready.
    if let Some(status) = status {
        status.end().await;
    }
    Ok(result?)
}

/// A process is as well as its worst engine. What several report counts once.
fn probes(healths: Vec<Health>) -> Probes {
    let live = healths.clone();
    let ready = move || {
        let troubled: BTreeSet<String> = healths.iter().flat_map(Health::troubled).collect();
        match healths.iter().find_map(Health::why_not_ready) {
            None if troubled.is_empty() => Ok("ok".to_owned()),
            None => {
                let troubled: Vec<String> = troubled.into_iter().collect();
                Ok(format!("ok for other queues; {}", troubled.join("; ")))
            }
            Some(why) => Err(why),
        }
    };
    Probes::new(move || live.iter().find_map(Health::why_not_live), ready)
}
