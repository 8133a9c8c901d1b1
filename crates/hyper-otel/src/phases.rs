//! The durations of the parts of making a connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use otel_facade::{BoundUpDownCounter, Span, semconv};

use crate::names;

/// A connection, being made or made.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    pub(crate) dns: Phase,
    pub(crate) connect: Phase,
    pub(crate) tls: Phase,
    pub(crate) peer: OnceLock<Peer>,
    /// Exchanges on it.
    users: AtomicU32,
    /// Whether it is counted as idle. It counts as active until its first exchange has ended.
    idle: AtomicBool,
    /// Where it is counted.
    pub(crate) open: OnceLock<OpenCounters>,
}

/// The other end of the socket.
#[derive(Debug)]
pub(crate) struct Peer {
    address: Arc<str>,
    port: u16,
}

/// `http.client.open_connections` by state.
#[derive(Debug)]
pub(crate) struct OpenCounters {
    pub(crate) active: BoundUpDownCounter,
    pub(crate) idle: BoundUpDownCounter,
}

/// The duration of one part in nanoseconds; 0 without that part.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU64);

impl Phase {
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn set(&self, took: Duration) {
        self.0.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }
}

/// Measures from now until it is dropped, also by a cancellation.
pub(crate) struct Measure<'a> {
    began: Instant,
    phase: &'a Phase,
}

impl<'a> Measure<'a> {
    pub(crate) fn of(phase: &'a Phase) -> Self {
        Self { began: Instant::now(), phase }
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        self.phase.set(self.began.elapsed());
    }
}

impl Phases {
    pub(crate) fn reached(&self, peer: SocketAddr) {
        let address = peer.ip().to_canonical().to_string().into();
        let _ = self.peer.set(Peer { address, port: peer.port() });
    }

    /// An exchange uses the connection.
    pub(crate) fn acquire(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
        if let Some(open) = self.open.get()
            && self.idle.swap(false, Ordering::Relaxed)
        {
            open.idle.add(-1);
            open.active.add(1);
        }
    }

    /// An exchange on it has ended.
    pub(crate) fn release(&self) {
        let last = self.users.fetch_sub(1, Ordering::Relaxed) == 1;
        if let Some(open) = self.open.get()
            && last
            && !self.idle.swap(true, Ordering::Relaxed)
        {
            open.active.add(-1);
            open.idle.add(1);
        }
    }

    /// It is closed.
    pub(crate) fn close(&self) {
        if let Some(open) = self.open.get() {
            let counted = if self.idle.load(Ordering::Relaxed) { &open.idle } else { &open.active };
            counted.add(-1);
        }
    }

    /// Sets the peer on an attempt's span, and the durations if the connection was made for it.
    pub(crate) fn show(&self, reused: bool, span: &Span) {
        span.set(names::CONNECTION_REUSED, reused);
        if let Some(peer) = self.peer.get() {
            span.set(semconv::NETWORK_PEER_ADDRESS, Arc::clone(&peer.address));
            span.set(semconv::NETWORK_PEER_PORT, peer.port);
        }
        if reused {
            return;
        }
        for (key, phase) in [
            (names::DNS_DURATION, &self.dns),
            (names::CONNECT_DURATION, &self.connect),
            (names::TLS_DURATION, &self.tls),
        ] {
            if let Some(took) = phase.get() {
                span.set(key, took.as_secs_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_that_was_broken_off_counts_as_long_as_it_took() {
        let phase = Phase::default();
        assert_eq!(phase.get(), None);
        drop(Measure::of(&phase));
        assert!(phase.get().is_some());
    }

    #[test]
    fn an_address_is_shown_in_its_shortest_form() {
        let phases = Phases::default();
        phases.reached("[::ffff:127.0.0.1]:80".parse().unwrap());
        assert_eq!(phases.peer.get().map(|peer| &*peer.address), Some("127.0.0.1"));
    }
}
