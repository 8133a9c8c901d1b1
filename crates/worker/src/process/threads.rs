//! The engines of a process: the first one on its main thread, each further one on its own. They share telemetry, probes,
//! signals, and which flows have answered and stopped, but nothing that one of them waits for, so that a thread that is held up holds up its own jobs only, and each takes leases as a worker.

use std::num::NonZeroUsize;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::engine::{self, EngineError, Surroundings, WorkerConfig};

type Reloads = mpsc::Receiver<Result<WorkerConfig, String>>;
/// The end of an engine on another thread.
type Ended = oneshot::Receiver<Result<(), EngineError>>;

/// Runs an engine in each of these surroundings until all have ended. When one ends, the others do, in order.
///
/// # Errors
/// The first of an engine.
pub(super) async fn run(
    config: &WorkerConfig,
    reloads: Reloads,
    mut surroundings: Vec<Surroundings>,
) -> Result<(), EngineError> {
    let first = surroundings.remove(0);
    if surroundings.is_empty() {
        return engine::run(config, reloads, first).await;
    }
    let (senders, mut receivers): (Vec<_>, Vec<_>) =
        (0..=surroundings.len()).map(|_| mpsc::channel(1)).unzip();
    let _spread = AbortOnDropHandle::new(tokio::spawn(spread(reloads, senders)));
    let (own, stop) = (receivers.remove(0), first.stop.clone());
    let (mut others, mut result) = (Vec::new(), Ok(()));
    for (index, (surroundings, reloads)) in (1..).zip(surroundings.into_iter().zip(receivers)) {
        match start(part(config, index), reloads, surroundings, index) {
            Ok(ended) => others.push(ended),
            Err(error) => {
                stop.cancel();
                result = Err(error);
            }
        }
    }
    let ended = until_all_stop(part(config, 0), own, first).await;
    result = result.and(ended);
    for other in others {
        result = result.and(other.await.unwrap_or(Err(EngineError::Panicked("thread"))));
    }
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
) -> Result<Ended, EngineError> {
    let (done, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(EngineError::Thread)?;
    let work = move || {
        // The receiver is there until all have ended.
        let _ = done.send(runtime.block_on(until_all_stop(config, reloads, surroundings)));
    };
    let name = format!("engine-{index}");
    std::thread::Builder::new().name(name).spawn(work).map_err(EngineError::Thread)?;
    Ok(ended)
}

/// Each engine gets each new configuration.
async fn spread(mut reloads: Reloads, engines: Vec<mpsc::Sender<Result<WorkerConfig, String>>>) {
    while let Some(reload) = reloads.recv().await {
        let send = |(index, engine): (usize, &mpsc::Sender<_>)| {
            let (engine, reload) = (engine.clone(), reload.clone().map(|config| part(&config, index)));
            // An engine that has ended needs none.
            async move { drop(engine.send(reload).await) }
        };
        join_all(engines.iter().enumerate().map(send)).await;
    }
}

/// The configuration of one engine: its part of the limits that hold for the process.
fn part(config: &WorkerConfig, index: usize) -> WorkerConfig {
    let mut part = config.clone();
    part.concurrency = share(config.concurrency, config.threads, index);
    let [_, most] = config.sender.http.idle_max(config.concurrency);
    part.sender.http.max_idle = Some(share(most, config.threads, index));
    part
}

/// At least one; the first threads have the rest.
pub(super) fn share(all: usize, threads: NonZeroUsize, index: usize) -> usize {
    (all / threads + usize::from(index < all % threads)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_threads_are_the_whole() {
        let shares = |all, threads| {
            let threads = NonZeroUsize::new(threads).unwrap();
            (0..threads.get()).map(|index| share(all, threads, index)).collect::<Vec<_>>()
        };
        assert_eq!(shares(64, 1), [64]);
        assert_eq!(shares(10, 4), [3, 3, 2, 2]);
        assert_eq!(shares(1, 3), [1, 1, 1]);
    }
}
