//! Detects whether a request used an existing connection, and measures how a new one was made. hyper's client
//! does not report it, but while it is polled it calls its connector only if it has no idle connection.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hyper_otel::Making;
use telemetry::ErrorType;

thread_local! {
    static DIALLED: Cell<Option<Arc<Dialling>>> = const { Cell::new(None) };
}

/// The phases of a connection that is being made, and whether it is made.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    pub(super) dns: Stopwatch,
    pub(super) connect: Stopwatch,
    pub(super) tls: Stopwatch,
    made: OnceLock<Instant>,
    written: AtomicBool,
}

impl Dialling {
    /// Whether the connection was made.
    pub(super) fn is_made(&self) -> bool {
        self.made.get().is_some()
    }

    /// Records that something is written to the connection.
    pub(super) fn written(&self) {
        if !self.written.load(Ordering::Relaxed) {
            self.written.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a request that a connection took at this time is on this one. While this one is being made, another
    /// may become idle and take the request. hyper discards a new connection if it finds out that another one
    /// speaks HTTP/2.
    pub(super) fn carries(&self, taken: Instant) -> bool {
        self.written.load(Ordering::Relaxed) && self.made.get().is_some_and(|made| *made <= taken)
    }
}

/// Measures one phase.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    began: OnceLock<Instant>,
    /// Nanoseconds; 0 while it lasts.
    took: AtomicU64,
}

impl Stopwatch {
    async fn measure<T>(&self, work: impl Future<Output = T>) -> T {
        let began = *self.began.get_or_init(Instant::now);
        let done = work.await;
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.took.store(nanos.max(1), Ordering::Relaxed);
        done
    }

    /// How long the phase took, or has lasted until `now`. `None` if it has not begun.
    pub(super) fn took(&self, now: Instant) -> Option<Duration> {
        match self.took.load(Ordering::Relaxed) {
            0 => self.began.get().map(|began| now.saturating_duration_since(*began)),
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

/// A connection that is being made, measured for the attempt and for telemetry.
pub(super) struct Measured {
    pub(super) making: Making,
    dialling: Arc<Dialling>,
}

impl Measured {
    /// Begins to make a connection for the request that is being polled.
    pub(super) fn begin(making: Making) -> Self {
        let dialling = Arc::<Dialling>::default();
        DIALLED.set(Some(Arc::clone(&dialling)));
        Self { making, dialling }
    }

    /// The connection is made.
    pub(super) fn made(&self) -> Arc<Dialling> {
        let _ = self.dialling.made.set(Instant::now());
        Arc::clone(&self.dialling)
    }

    pub(super) async fn dns<T, E>(
        &self,
        host: &str,
        classify: impl FnOnce(&E) -> ErrorType,
        lookup: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.dialling.dns.measure(self.making.dns(host, classify, lookup)).await
    }

    pub(super) async fn connect<T>(&self, connect: impl Future<Output = T>) -> T {
        self.dialling.connect.measure(self.making.connect(connect)).await
    }

    pub(super) async fn tls<T>(&self, handshake: impl Future<Output = T>) -> T {
        self.dialling.tls.measure(self.making.tls(handshake)).await
    }
}

/// Polls a request. Also returns the connection that the poll began to make.
pub(super) fn watch<T>(poll: impl FnOnce() -> T) -> (T, Option<Arc<Dialling>>) {
    DIALLED.set(None);
    let polled = poll();
    (polled, DIALLED.take())
}

#[cfg(test)]
mod tests {
    use std::task::{Context as Task, Poll, Waker};

    use super::*;

    #[test]
    fn a_phase_that_is_interrupted_lasts_until_then() {
        let stopwatch = Stopwatch::default();
        assert_eq!(stopwatch.took(Instant::now()), None);
        let mut endless = Box::pin(stopwatch.measure(std::future::pending::<()>()));
        assert_eq!(endless.as_mut().poll(&mut Task::from_waker(Waker::noop())), Poll::Pending);
        drop(endless);
        let later = Instant::now() + Duration::from_secs(1);
        assert!(stopwatch.took(later).is_some_and(|took| took >= Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn a_phase_that_has_ended_lasts_no_longer() {
        let stopwatch = Stopwatch::default();
        stopwatch.measure(async {}).await;
        let took = stopwatch.took(Instant::now());
        assert!(took.is_some() && took == stopwatch.took(Instant::now() + Duration::from_secs(1)));
    }
}
