//! A TCP connection that gives way to others. One thread does everything, and a peer that sends as fast as it can keeps
//! a task busy for as long as the task reads.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::flood::Flood;

/// Bytes after which other tasks have their turn.
const BYTES_IN_TURN: usize = 16 * 1024;
/// Bytes of TLS without any content. The certificates of a handshake are the most that an honest peer sends.
const EMPTY_BYTES_MAX: usize = 256 * 1024;

pub(in super::super) struct Paced {
    tcp: TcpStream,
    in_turn: usize,
    /// Bytes since the last content.
    empty: usize,
}

impl Paced {
    pub(in super::super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, in_turn: 0, empty: 0 }
    }

    /// The bytes so far had content.
    pub(super) fn had_content(&mut self) {
        self.empty = 0;
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.in_turn >= BYTES_IN_TURN {
            self.in_turn = 0;
            // Its first poll wakes the task after all others that are ready, and after new I/O events.
            let _ = pin!(tokio::task::yield_now()).poll(task);
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(task, buffer);
        if polled.is_pending() {
            self.in_turn = 0;
            return polled;
        }
        let read = buffer.filled().len() - before;
        self.in_turn += read;
        self.empty += read;
        if self.empty > EMPTY_BYTES_MAX { Poll::Ready(Err(Flood::Empty.into())) } else { polled }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(task)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(task, slices)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;
    use std::rc::Rc;

    use tokio::io::AsyncReadExt;
    use tokio::task::LocalSet;

    use super::*;

    /// A connection whose peer sends without end.
    async fn flooded() -> Paced {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        // It ends with the connection.
        std::thread::spawn(move || while peer.write_all(&[0; 1 << 16]).is_ok() {});
        Paced::new(tcp)
    }

    #[tokio::test]
    async fn a_peer_that_sends_without_end_leaves_others_their_turn() {
        const BYTES: usize = 8 << 20;
        let mut paced = flooded().await;
        let (turns, counted) = (Rc::new(Cell::new(0)), LocalSet::new());
        let others = Rc::clone(&turns);
        counted.spawn_local(async move {
            loop {
                others.set(others.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let reading = counted.run_until(async {
            let (mut buffer, mut left) = (vec![0; 1 << 16], BYTES);
            while left > 0 {
                left = left.saturating_sub(paced.read(&mut buffer).await.unwrap());
                paced.had_content();
            }
        });
        reading.await;
        // The last read of a turn may fill the buffer.
        let least = BYTES / (BYTES_IN_TURN + (1 << 16));
        assert!(turns.get() >= least, "{} turns, at least {least}", turns.get());
    }

    #[tokio::test]
    async fn records_without_content_have_a_limit() {
        let (mut paced, mut buffer, mut read) = (flooded().await, vec![0; 1000], 0);
        let error = loop {
            match paced.read(&mut buffer).await {
                Ok(length) => read += length,
                Err(error) => break error,
            }
        };
        assert!(read <= EMPTY_BYTES_MAX, "{read}");
        assert!(error.get_ref().is_some_and(|error| error.is::<Flood>()), "{error}");
    }
}
