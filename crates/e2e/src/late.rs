//! A destination and a proxy before Redis that respond only when the worker has nothing else to do. If they responded at once, the
//! first poll would find the response in some runs and not in others, and the cost of a job would vary.

use std::path::Path;
use std::time::Duration;

use crate::proxy::{Mode, Proxy};
use crate::quick_sink::QuickSink;
use crate::redis::RedisServer;
use crate::secure_sink::{Protocol, SecureSink};

/// Both of them.
pub struct Late {
    /// The proxy before Redis.
    pub proxy: Proxy,
    destination: Destination,
}

enum Destination {
    Plain(QuickSink),
    Secure(SecureSink),
}

/// Delays of Redis and the destination. They are longer than the worker's own work in between, even under valgrind, and they differ
/// so that the two responses do not arrive together.
const OF_REDIS: Duration = Duration::from_millis(3);
const OF_DESTINATION: Duration = Duration::from_millis(5);

impl Late {
    /// Starts both, the proxy before `redis`.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn new(redis: &RedisServer) -> Late {
        Late { proxy: proxy(redis), destination: Destination::Plain(QuickSink::start(OF_DESTINATION)) }
    }

    /// The same, with a destination over TLS whose connections stay open.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn secure(redis: &RedisServer) -> Late {
        let sink = SecureSink::start_slow(Protocol::Http1, 1, OF_DESTINATION);
        Late { proxy: proxy(redis), destination: Destination::Secure(sink) }
    }

    /// The URL of the destination.
    pub fn url(&self) -> &str {
        match &self.destination {
            Destination::Plain(sink) => sink.url(),
            Destination::Secure(sink) => &sink.urls()[0],
        }
    }

    /// The file of the certificate that clients must trust, with TLS.
    pub fn certificate(&self) -> Option<&Path> {
        match &self.destination {
            Destination::Plain(_) => None,
            Destination::Secure(sink) => Some(sink.certificate()),
        }
    }
}

fn proxy(redis: &RedisServer) -> Proxy {
    let proxy = Proxy::start(redis.port);
    proxy.set(Mode::Slow(OF_REDIS));
    proxy
}
