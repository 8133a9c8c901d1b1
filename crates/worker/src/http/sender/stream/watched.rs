//! The bytes of a connection, and the limits of what a peer may send besides responses.

use std::io;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::flood::Flood;
use super::frames::Frames;
use super::interim::Interim;
use super::paced::Paced;

pub(super) struct Watched {
    pub(super) transport: Transport,
    limits: Limits,
}

pub(super) enum Transport {
    Plain(Paced),
    // Boxed: it is many times as large as the other variant.
    Tls(Box<TlsStream<Paced>>),
}

enum Limits {
    Http1(Interim),
    Http2(Box<Frames>),
}

impl Watched {
    pub(super) fn new(transport: Transport) -> Self {
        let is_h2 = transport.is_h2();
        let limits =
            if is_h2 { Limits::Http2(Box::new(Frames::new())) } else { Limits::Http1(Interim::new()) };
        Self { transport, limits }
    }
}

impl Transport {
    pub(super) fn is_h2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }

    fn paced(&mut self) -> &mut Paced {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    fn poll_read(&mut self, task: &mut Task<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(task, buffer),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        let writer: &mut (dyn AsyncWrite + Unpin) = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut **stream,
        };
        Pin::new(writer)
    }
}

impl Limits {
    fn sent(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1(interim) => interim.sent(),
            Self::Http2(frames) => frames.sent(bytes),
        }
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        match self {
            Self::Http1(interim) => interim.received(bytes),
            Self::Http2(frames) => frames.received(bytes),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.transport.poll_read(task, buffer);
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            self.transport.paced().had_content();
            self.limits.received(read)?;
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.transport.writer().poll_write(task, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.limits.sent(&bytes[..length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.transport.writer().poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.transport.writer().poll_shutdown(task)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.transport.writer().poll_write_vectored(task, slices);
        if let Poll::Ready(Ok(mut left)) = written {
            for slice in slices {
                let length = left.min(slice.len());
                self.limits.sent(&slice[..length]);
                left -= length;
            }
        }
        written
    }
}
