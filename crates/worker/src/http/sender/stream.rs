//! A connection as hyper sees it: counted while it is open, and limited in what its peer may make the worker do.

mod flood;
mod frames;
mod interim;
mod paced;
mod watched;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_otel::OpenConnection;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio_rustls::client::TlsStream;

use super::dialled::{Dialling, Measured};
use watched::{Transport, Watched};

pub(super) use flood::Flood;
pub(super) use paced::Paced;

/// A connection to a destination, or to the proxy on behalf of one.
pub(super) struct Stream {
    inner: TokioIo<Watched>,
    /// Whether requests on it name the whole URL (RFC 9112 §3.2.2).
    proxied: bool,
    _open: Open,
    known: OpenConnection,
    dialling: Arc<Dialling>,
}

/// Counts open connections, or requests under way.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenCount(Arc<AtomicUsize>);

/// Counts as one until it is dropped.
pub(super) struct Open(OpenCount);

impl OpenCount {
    pub(super) fn open(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream {
    pub(super) fn plain(stream: Paced, proxied: bool, open: Open, measured: Measured) -> Self {
        Self::new(Transport::Plain(stream), proxied, open, measured)
    }

    pub(super) fn tls(stream: TlsStream<Paced>, open: Open, measured: Measured) -> Self {
        Self::new(Transport::Tls(Box::new(stream)), false, open, measured)
    }

    fn new(transport: Transport, proxied: bool, open: Open, measured: Measured) -> Self {
        let (inner, dialling) = (TokioIo::new(Watched::new(transport)), measured.made());
        Self { inner, proxied, _open: open, known: measured.making.connected(), dialling }
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut TokioIo<Watched>> {
        Pin::new(&mut self.get_mut().inner)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        // Without the socket's addresses, which would cost each response three allocations.
        let connected = self.known.mark(Connected::new()).proxy(self.proxied);
        if self.inner.inner().transport.is_h2() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(task, buffer)
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.dialling.written();
        self.inner().poll_write(task, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(task)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.dialling.written();
        self.inner().poll_write_vectored(task, slices)
    }
}
