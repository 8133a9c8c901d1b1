//! A connection as hyper sees it, counted while it is open.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_otel::OpenConnection;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to a destination, or to the proxy on behalf of one.
pub(super) struct Stream {
    inner: Inner,
    /// Whether requests on it name the whole URL (RFC 9112 §3.2.2).
    proxied: bool,
    _open: Open,
    known: OpenConnection,
}

enum Inner {
    Plain(TokioIo<TcpStream>),
    // Boxed: it is many times as large as the other variant.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
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
    pub(super) fn plain(stream: TcpStream, proxied: bool, open: Open, known: OpenConnection) -> Self {
        Self { inner: Inner::Plain(TokioIo::new(stream)), proxied, _open: open, known }
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, open: Open, known: OpenConnection) -> Self {
        Self { inner: Inner::Tls(Box::new(TokioIo::new(stream))), proxied: false, _open: open, known }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        // Without the socket's addresses, which would cost each response three allocations.
        let connected = self.known.mark(Connected::new());
        match &self.inner {
            Inner::Plain(_) => connected.proxy(self.proxied),
            Inner::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            Inner::Tls(_) => connected,
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_read(task, buffer),
            Inner::Tls(stream) => Pin::new(stream).poll_read(task, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write(task, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(task),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(task),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(task),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write_vectored(task, slices),
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(task, slices),
        }
    }
}
