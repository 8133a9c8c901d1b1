//! The pool of connections, bounded over all destinations.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::Connector;
use super::settings::HttpConfig;
use super::stream::OpenCount;
use super::upload::Upload;

/// More headers than any honest response has.
const MOST_HEADERS: usize = 256;
/// More bytes of them.
const MOST_HEADER_BYTES: usize = 64 * 1024;

/// A connection of HTTP/2 that has not been heard of for so long while requests wait on it is asked for a sign of
/// life, and closed where none comes: else all requests to its destination would go out on it for ever.
const ASKED_AFTER: Duration = Duration::from_secs(10);
const GIVEN_UP_AFTER: Duration = Duration::from_secs(20);
/// At most so much of a body waits unread on a stream of HTTP/2, and at least as much as RFC 9113 §6.9.2 says.
const WINDOW: std::ops::RangeInclusive<usize> = 65_535..=2 << 20;

/// hyper's client, as it is used here.
pub(super) type PoolClient = Client<Connector, Upload>;

/// A client that keeps connections for a next request, and one that keeps none.
#[derive(Debug)]
pub(super) struct Pool {
    builder: Builder,
    connector: Connector,
    open: OpenCount,
    busy: OpenCount,
    most: usize,
    kept: Mutex<PoolClient>,
    fresh: PoolClient,
}

impl Pool {
    pub(super) fn new(http: &HttpConfig, connector: Connector, open: OpenCount, busy: OpenCount) -> Self {
        let window = http.max_response_body.clamp(*WINDOW.start(), *WINDOW.end());
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            // The client's own repetition would be one that no span shows.
            .retry_canceled_requests(false)
            .http1_max_headers(MOST_HEADERS)
            .http1_max_buf_size(MOST_HEADER_BYTES)
            .http2_max_header_list_size(MOST_HEADER_BYTES as u32)
            .http2_initial_stream_window_size(window as u32)
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(ASKED_AFTER)
            .http2_keep_alive_timeout(GIVEN_UP_AFTER)
            // Without a timer the idle timeout does nothing; without a cap, nothing bounds the pool.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(http.pool_idle_timeout);
        let fresh = builder.pool_max_idle_per_host(0).build(connector.clone());
        let kept = builder.pool_max_idle_per_host(http.max_idle_per_host).build(connector.clone());
        let most = http.max_idle;
        Self { builder, connector, open, busy, most, kept: Mutex::new(kept), fresh }
    }

    /// The client for a request. hyper bounds what is kept for one destination and not for all: where too many
    /// are open that no request uses, all of those are closed with the client that kept them. Requests in flight
    /// have theirs to the end.
    pub(super) fn client(&self) -> PoolClient {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open.get().saturating_sub(self.busy.get()) > self.most {
            *kept = self.builder.build(self.connector.clone());
        }
        kept.clone()
    }

    /// A client whose every request has a connection of its own.
    pub(super) fn fresh(&self) -> PoolClient {
        self.fresh.clone()
    }
}
