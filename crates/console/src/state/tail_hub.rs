//! The live tail: reads once for all listeners.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postrider_queue::admin::{Ended, Tail};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Shared;
use crate::problem::Problem;
use crate::view::TailView;

/// How many listeners there may be.
const LISTENERS_MAX: usize = 1_000;
/// Jobs of a batch, and batches that wait for the slowest listener; older ones are dropped and counted.
const BATCH_JOBS_MAX: usize = 500;
const BATCHES_MAX: usize = 64;
/// The pause between two reads, and after one that failed.
const READ_PAUSE: Duration = Duration::from_millis(200);
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Reads deliveries while somebody listens, and passes them on to all listeners.
#[derive(Debug)]
pub(crate) struct Hub {
    batches: broadcast::Sender<Arc<Sent>>,
    places: Arc<Semaphore>,
    /// Whether the reader runs.
    is_reading: Mutex<bool>,
    stop: CancellationToken,
}

/// A batch for all listeners.
#[derive(Debug)]
struct Sent {
    /// How many jobs were sent, or missed in Redis, before it.
    before: u64,
    jobs: Vec<(TailView, String)>,
}

/// A batch for one listener.
#[derive(Debug)]
pub(crate) struct Batch {
    sent: Arc<Sent>,
    /// How many jobs it has missed before.
    pub(crate) missed: u64,
}

impl Batch {
    pub(crate) fn jobs(&self) -> &[(TailView, String)] {
        &self.sent.jobs
    }
}

/// One listener, with its place.
#[derive(Debug)]
pub(crate) struct Listener {
    batches: broadcast::Receiver<Arc<Sent>>,
    /// The number of jobs before the next batch, if none is missed; `None` before the first one.
    expected: Option<u64>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            batches: broadcast::channel(BATCHES_MAX).0,
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
            is_reading: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Ends all listeners, and the reader.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// A further listener. Begins to read with the first one.
    pub(crate) fn listen(shared: &Arc<Shared>) -> Result<Listener, Problem> {
        let hub = &shared.hub;
        let place = hub.places.clone().try_acquire_owned();
        let place =
            place.map_err(|_| Problem::unavailable("too many clients follow deliveries; try again later"))?;
        let batches = hub.batches.subscribe();
        let mut is_reading = hub.is_reading.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *is_reading, true) {
            shared.spawn(read(shared.clone()));
        }
        Ok(Listener { batches, expected: None, stop: hub.stop.clone(), _place: place })
    }

    /// Whether nobody listens any more. Then the reader ends: the next listener begins to read again.
    fn is_left(&self) -> bool {
        let mut is_reading = self.is_reading.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = self.batches.receiver_count() == 0 || self.stop.is_cancelled();
        *is_reading = !is_left;
        is_left
    }
}

/// Reads until nobody listens.
async fn read(shared: Arc<Shared>) {
    let (hub, mut tail, mut total) = (&shared.hub, Tail::new(None), 0);
    while !hub.is_left() {
        let pause = match tail.read(&shared.inspector).await {
            Ok(Ended { jobs, missed, has_more }) => {
                total += missed;
                for jobs in jobs.chunks(BATCH_JOBS_MAX) {
                    let text = |view: TailView| {
                        let json = serde_json::to_string(&view).expect("texts and numbers always serialize");
                        (view, json)
                    };
                    let jobs: Vec<_> = jobs.iter().map(TailView::new).map(text).collect();
                    let before = total;
                    total += jobs.len() as u64;
                    let _ = hub.batches.send(Arc::new(Sent { before, jobs }));
                }
                if has_more { Duration::ZERO } else { READ_PAUSE }
            }
            Err(error) => {
                debug!(%error, "cannot follow deliveries now");
                FAILED_PAUSE
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = hub.stop.cancelled() => {}
        }
    }
}

impl Listener {
    /// The next batch; `None` when the console stops.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        loop {
            let received = tokio::select! {
                received = self.batches.recv() => received,
                () = self.stop.cancelled() => return None,
            };
            match received {
                Ok(sent) => {
                    let missed = sent.before.saturating_sub(self.expected.unwrap_or(sent.before));
                    self.expected = Some(sent.before + sent.jobs.len() as u64);
                    return Some(Batch { sent, missed });
                }
                // The number of the next batch shows how many jobs were missed.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_listener_learns_how_many_jobs_it_has_missed() {
        let batches = broadcast::channel(BATCHES_MAX).0;
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let stop = CancellationToken::new();
        let mut listener =
            Listener { batches: batches.subscribe(), expected: None, stop: stop.clone(), _place: place };
        let send = |before| drop(batches.send(Arc::new(Sent { before, jobs: vec![] })));
        send(100);
        assert_eq!(listener.next().await.unwrap().missed, 0, "what was before it began");
        // Batches without jobs: each counts ten more.
        (0..=BATCHES_MAX as u64).for_each(|batch| send(100 + 10 * batch));
        assert_eq!(listener.next().await.unwrap().missed, 10);
        stop.cancel();
        while listener.next().await.is_some() {}
    }
}
