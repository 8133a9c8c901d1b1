//! The connection pool, with a limit over all destinations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::Connector;
use super::http1_hosts::Http1Hosts;
use super::settings::HttpConfig;
use super::stream::OpenCount;
use super::upload::Upload;

/// Headers of a response. Honest responses have fewer.
const RESPONSE_HEADERS_MAX: usize = 256;
/// Bytes of a response's headers. Honest responses have fewer.
const RESPONSE_HEADER_BYTES_MAX: usize = 64 * 1024;

/// The worker pings an HTTP/2 connection that is silent for this time while requests wait on it. Otherwise
/// all requests to the destination of a dead connection would use it for ever.
const PING_AFTER: Duration = Duration::from_secs(10);
/// The connection is closed if the ping gets no reply for this time.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a body that may wait unread on an HTTP/2 stream. The minimum is that of RFC 9113 §6.9.2.
const STREAM_WINDOW_BYTES: std::ops::RangeInclusive<usize> = 65_535..=2 << 20;

pub(super) type PoolClient = Client<Connector, Upload>;

/// A client that keeps idle connections, and one that keeps none; both also without HTTP/2.
#[derive(Debug)]
pub(super) struct Pool {
    builder: Builder,
    connector: Connector,
    http1: Connector,
    open: OpenCount,
    busy: OpenCount,
    most: usize,
    kept: Mutex<Clients>,
    fresh: Clients,
    http1_hosts: Http1Hosts,
}

#[derive(Debug)]
struct Clients {
    any: Arc<PoolClient>,
    http1: Arc<PoolClient>,
}

impl Clients {
    fn of(&self, is_http1: bool) -> Arc<PoolClient> {
        Arc::clone(if is_http1 { &self.http1 } else { &self.any })
    }
}

impl Pool {
    pub(super) fn new(http: &HttpConfig, connector: Connector, open: OpenCount, busy: OpenCount) -> Self {
        let window = http.max_response_body.clamp(*STREAM_WINDOW_BYTES.start(), *STREAM_WINDOW_BYTES.end());
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            // No span would show a retry by the client.
            .retry_canceled_requests(false)
            .http1_max_headers(RESPONSE_HEADERS_MAX)
            .http1_max_buf_size(RESPONSE_HEADER_BYTES_MAX)
            .http2_max_header_list_size(RESPONSE_HEADER_BYTES_MAX as u32)
            .http2_initial_stream_window_size(window as u32)
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            // Without a timer the idle timeout does nothing; without a cap, nothing bounds the pool.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(http.pool_idle_timeout);
        let http1 = connector.http1_only();
        let fresh = clients(builder.pool_max_idle_per_host(0), &connector, &http1);
        // The engine has set both.
        let [of_host, most] = http.idle_max(0);
        let kept = clients(builder.pool_max_idle_per_host(of_host), &connector, &http1);
        let (kept, http1_hosts) = (Mutex::new(kept), Http1Hosts::default());
        Self { builder, connector, http1, open, busy, most, kept, fresh, http1_hosts }
    }

    /// The client for a request. hyper limits the idle connections of one destination, not of all. If too
    /// many are idle, a new client replaces the one that keeps them, which closes them all. Requests in
    /// flight keep their connections to the end.
    pub(super) fn client(&self, uri: &Uri) -> Arc<PoolClient> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open.get().saturating_sub(self.busy.get()) > self.most {
            *kept = clients(&self.builder, &self.connector, &self.http1);
        }
        kept.of(self.http1_hosts.has(uri))
    }

    /// A client that makes a new connection for each request.
    pub(super) fn fresh(&self, uri: &Uri) -> Arc<PoolClient> {
        self.fresh.of(self.http1_hosts.has(uri))
    }

    /// From now on, the clients for this URL's host do not speak HTTP/2.
    pub(super) fn only_http1(&self, uri: &Uri) {
        self.http1_hosts.add(uri);
    }
}

fn clients(builder: &Builder, connector: &Connector, http1: &Connector) -> Clients {
    let client = |connector: &Connector| Arc::new(builder.build(connector.clone()));
    Clients { any: client(connector), http1: client(http1) }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::BodyExt;
    use hyper_otel::{ConnectionOptions, Connections};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::super::machine::Machine;
    use super::super::resolver::Resolver;
    use super::super::tls;
    use super::super::upload::Progress;
    use super::*;
    use crate::http::egress::Egress;

    const TEST_TIMEOUT: Duration = Duration::from_secs(30);

    fn pool(http: HttpConfig) -> Pool {
        let (open, busy) = (OpenCount::default(), OpenCount::default());
        let egress = Egress { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Egress::default() };
        let tls = tls::client(&http, &tls::Trusted::nobody(), None).unwrap();
        let connections = Connections::new(&telemetry::Telemetry::disabled(), ConnectionOptions::default());
        let resolver = Resolver::new(http.dns_timeout, http.system_resolver);
        let connector =
            Connector::new(egress, http.clone(), tls, resolver, Machine::new(), open.clone(), connections);
        Pool::new(&http, connector, open, busy)
    }

    /// A destination that accepts one connection, responds to all requests on it, and ends when it is closed.
    async fn destination() -> (String, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut read, mut answered) = (Vec::new(), 0);
            while stream.read_buf(&mut read).await.unwrap_or(0) > 0 {
                if read.ends_with(b"\r\n\r\n") {
                    read.clear();
                    answered += 1;
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                }
            }
            answered
        });
        (url, answering)
    }

    async fn get(pool: &Pool, url: &str) {
        let upload = Upload::new(Bytes::new(), Arc::new(Progress::new(Instant::now())));
        let response = pool
            .client(&url.parse().unwrap())
            .request(Request::get(url).body(upload).unwrap())
            .await
            .unwrap();
        response.into_body().collect().await.unwrap();
    }

    #[tokio::test]
    async fn all_idle_connections_are_closed_if_there_are_too_many() {
        let pool = pool(HttpConfig {
            max_idle: Some(2),
            pool_idle_timeout: 10 * TEST_TIMEOUT,
            ..HttpConfig::default()
        });
        let (mut urls, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let (url, end) = destination().await;
            urls.push(url);
            ends.push(end);
        }
        // Two are kept and reused.
        for url in [&urls[0], &urls[1], &urls[0], &urls[1]] {
            get(&pool, url).await;
        }
        assert_eq!(pool.open.get(), 2);
        // The third is one too many, which the next request notices.
        get(&pool, &urls[2]).await;
        assert_eq!(pool.open.get(), 3);
        get(&pool, &urls[3]).await;
        for (end, answered) in ends.drain(..3).zip([2, 2, 1]) {
            let end = tokio::time::timeout(TEST_TIMEOUT, end)
                .await
                .expect("it is closed long before its idle timeout");
            assert_eq!(end.unwrap(), answered, "requests on one connection");
        }
        assert_eq!(pool.open.get(), 1, "the newest is kept");
        drop(pool);
        assert_eq!(tokio::time::timeout(TEST_TIMEOUT, ends.remove(0)).await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn a_connection_with_a_request_under_way_does_not_count_as_idle() {
        let pool = pool(HttpConfig {
            max_idle: Some(1),
            pool_idle_timeout: 10 * TEST_TIMEOUT,
            ..HttpConfig::default()
        });
        let [(first, first_end), (second, second_end)] = [destination().await, destination().await];
        get(&pool, &first).await;
        get(&pool, &second).await;
        let busy = pool.busy.open();
        get(&pool, &first).await;
        drop(busy);
        // Two are idle now and one may be, so this request gets a new client.
        drop(pool.client(&Uri::from_static("http://h/")));
        for (end, answered) in [(first_end, 2), (second_end, 1)] {
            assert_eq!(tokio::time::timeout(TEST_TIMEOUT, end).await.unwrap().unwrap(), answered);
        }
    }
}
