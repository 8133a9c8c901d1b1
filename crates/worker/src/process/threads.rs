//! The engines of a process: the first one on its main thread, each further one on its own. They share nothing but telemetry and
//! the signals, so that a thread that is held up holds up its own jobs only, and each takes leases as a worker.

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::engine::{self, EngineError, Surroundings, WorkerConfig};

type Reloads = mpsc::Receiver<Result<WorkerConfig, String>>;

/// Runs an engine in each of these surroundings until all have ended. When one ends, the others do, in order.
///
/// # Errors
/// The first of an engine.
pub(super) async fn run(
    config: &WorkerConfig,
    reloads: Reloads,
    mut surroundings: Vec<Surroundings>,
) -> Result<(), EngineError> {
    if surroundings.len() == 1 {
        return engine::run(config, reloads, surroundings.remove(0)).await;
    }
    let (senders, receivers): (Vec<_>, Vec<_>) = surroundings.iter().map(|_| mpsc::channel(1)).unzip();
    let spread = AbortOnDropHandle::new(tokio::spawn(spread(reloads, senders)));
    let mut parts = surroundings.into_iter().zip(receivers).enumerate();
    let first = parts.next();
    let mut others = Vec::new();
    for (index, (surroundings, reloads)) in parts {
        others.push(start(part(config, index), reloads, surroundings, index)?);
    }
    let mut result = Ok(());
    if let Some((index, (surroundings, reloads))) = first {
        result = until_all_stop(part(config, index), reloads, surroundings).await;
    }
    for other in others {
        let ended = other.await.unwrap_or(Err(EngineError::Panicked("thread")));
        result = result.and(ended);
    }
    drop(spread);
    result
}

/// Runs an engine. However it ends, the others stop.
async fn until_all_stop(
    config: WorkerConfig,
    reloads: Reloads,
    surroundings: Surroundings,
) -> Result<(), EngineError> {
    let _stop = surroundings.stop.clone().drop_guard();
    engine::run(&config, reloads, surroundings).await
}

fn start(
    config: WorkerConfig,
    reloads: Reloads,
    surroundings: Surroundings,
    index: usize,
) -> Result<oneshot::Receiver<Result<(), EngineError>>, EngineError> {
    let (done, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(EngineError::Thread)?;
    let work = move || {
        let result = runtime.block_on(until_all_stop(config, reloads, surroundings));
        // The receiver is gone only if another thread could not be started.
        let _ = done.send(result);
    };
    let name = format!("engine-{index}");
    std::thread::Builder::new().name(name).spawn(work).map_err(EngineError::Thread)?;
    Ok(ended)
}

/// Each engine gets each new configuration.
async fn spread(mut reloads: Reloads, engines: Vec<mpsc::Sender<Result<WorkerConfig, String>>>) {
    while let Some(reload) = reloads.recv().await {
        for (index, engine) in engines.iter().enumerate() {
            // An engine that has ended needs none.
            let _ = engine.send(reload.clone().map(|config| part(&config, index))).await;
        }
    }
}

/// The configuration of one engine: its part of the limits that hold for the process.
fn part(config: &WorkerConfig, index: usize) -> WorkerConfig {
    let mut part = config.clone();
    let threads = config.threads.get();
    part.concurrency = share(config.concurrency, threads, index).max(1);
    part.sender.http.max_idle = share(config.sender.http.max_idle, threads, index);
    part
}

/// The first ones have the rest.
fn share(all: usize, threads: usize, index: usize) -> usize {
    all / threads + usize::from(index < all % threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_threads_are_the_whole() {
        let shares = |all, threads| (0..threads).map(|index| share(all, threads, index)).collect::<Vec<_>>();
        assert_eq!(shares(64, 1), [64]);
        assert_eq!(shares(10, 4), [3, 3, 2, 2]);
        assert_eq!(shares(1, 3), [1, 0, 0]);
    }
}
