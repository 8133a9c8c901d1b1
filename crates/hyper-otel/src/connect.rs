//! Wrappers of hyper-util's connectors.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};
use std::time::Instant;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpInfo};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::connections::{Connections, Making, OpenConnection};
use crate::phases::Phases;
use crate::watch;

/// The outermost connector: each attempt is matched with the connection that is made for it.
///
/// ```
/// use hyper_otel::{ConnectionOptions, Connections, TracedConnector, TracedResolver, TracedTcp};
/// use hyper_util::client::legacy::connect::{HttpConnector, dns::GaiResolver};
/// use otel_facade::Telemetry;
///
/// let connections = Connections::new(&Telemetry::global(), ConnectionOptions::default());
/// let resolver = TracedResolver::new(GaiResolver::new(), &connections);
/// let tcp = TracedTcp::new(HttpConnector::new_with_resolver(resolver));
/// // A connector that does TLS goes here, such as hyper-rustls' `HttpsConnector`.
/// let connector = TracedConnector::new(tcp, &connections);
/// ```
#[derive(Clone, Debug)]
pub struct TracedConnector<C> {
    inner: C,
    connections: Connections,
}

impl<C> TracedConnector<C> {
    /// Wraps a connector. Its time counts as connecting, except the lookup of a [`TracedResolver`](crate::TracedResolver) inside; after a
    /// [`TracedTcp`] inside has connected, as TLS.
    pub fn new(inner: C, connections: &Connections) -> Self {
        Self { inner, connections: connections.clone() }
    }
}

impl<C> Service<Uri> for TracedConnector<C>
where
    C: Service<Uri>,
    C::Response: Connection,
{
    type Response = TracedConnection<C::Response>;
    type Error = C::Error;
    type Future = Connecting<C::Future>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let making = self.connections.begin(&uri);
        let call = || self.inner.call(uri);
        let inner = match making.phases() {
            Some(phases) => watch::making(phases, call),
            None => call(),
        };
        let rest = Rest { phases: making.phases().cloned(), began: Instant::now() };
        Connecting { inner, making: Some(making), rest: Some(rest) }
    }
}

pin_project! {
    /// The future of a connection.
    #[derive(Debug)]
    pub struct Connecting<F> {
        #[pin]
        inner: F,
        making: Option<Making>,
        rest: Option<Rest>,
    }
}

/// The time of a connection without its known parts, whether it is made or fails.
#[derive(Debug)]
struct Rest {
    phases: Option<Arc<Phases>>,
    began: Instant,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(phases) = &self.phases {
            let known = phases.dns.get().unwrap_or_default() + phases.connect.get().unwrap_or_default();
            let rest = if phases.connect.get().is_some() { &phases.tls } else { &phases.connect };
            rest.set(self.began.elapsed().saturating_sub(known));
        }
    }
}

impl<F, T, E> Future for Connecting<F>
where
    F: Future<Output = Result<T, E>>,
    T: Connection,
{
    type Output = Result<TracedConnection<T>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let phases = this.making.as_ref().and_then(Making::phases);
        let polled = match phases {
            Some(phases) => watch::making(phases, || this.inner.poll(task)),
            None => this.inner.poll(task),
        };
        let result = ready!(polled);
        let making = this.making.take().expect("a future is not polled after it is ready");
        drop(this.rest.take());
        Poll::Ready(result.map(|inner| {
            let mut extras = http::Extensions::new();
            inner.connected().get_extras(&mut extras);
            making.reached(extras.get().map(HttpInfo::remote_addr));
            TracedConnection { inner, open: making.connected() }
        }))
    }
}

/// Inside of a [`TracedConnector`], the connector that makes the socket, so that TLS is measured apart.
#[derive(Clone, Debug)]
pub struct TracedTcp<C>(C);

impl<C> TracedTcp<C> {
    /// Wraps a connector that does no TLS.
    pub fn new(inner: C) -> Self {
        Self(inner)
    }
}

impl<C: Service<Uri>> Service<Uri> for TracedTcp<C> {
    type Response = C::Response;
    type Error = C::Error;
    type Future = ConnectingTcp<C::Future>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        ConnectingTcp {
            began: Instant::now(),
            https: uri.scheme_str() == Some("https"),
            inner: self.0.call(uri),
        }
    }
}

pin_project! {
    /// The future of a socket.
    #[derive(Debug)]
    pub struct ConnectingTcp<F> {
        #[pin]
        inner: F,
        began: Instant,
        https: bool,
    }
}

impl<F, T, E> Future for ConnectingTcp<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(task));
        // Without TLS, and after a failure, all of the time is that of connecting.
        if let Some(phases) = watch::made().filter(|_| *this.https && result.is_ok()) {
            phases.connect.set(this.began.elapsed().saturating_sub(phases.dns.get().unwrap_or_default()));
        }
        Poll::Ready(result)
    }
}

pin_project! {
    /// A connection that knows how it was made.
    #[derive(Debug)]
    pub struct TracedConnection<T> {
        #[pin]
        inner: T,
        open: OpenConnection,
    }
}

impl<T: Connection> Connection for TracedConnection<T> {
    fn connected(&self) -> Connected {
        self.open.mark(self.inner.connected())
    }
}

impl<T: Read> Read for TracedConnection<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().inner.poll_read(task, buffer)
    }
}

impl<T: Write> Write for TracedConnection<T> {
    fn poll_write(self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(task, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(task)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(task, slices)
    }
}
