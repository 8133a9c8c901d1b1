//! The body of a request, which records how far the connection has read it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Bytes that a connection takes at once. It takes no more while it has no room.
const PIECE: usize = 64 * 1024;

/// A body in pieces.
#[derive(Debug)]
pub(super) struct Upload {
    left: Bytes,
    progress: Arc<Progress>,
}

/// The progress of a request, in nanoseconds since the attempt began; 0 means not yet.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    taken: AtomicU64,
    sent: AtomicU64,
}

impl Progress {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, taken: AtomicU64::new(0), sent: AtomicU64::new(0) }
    }

    /// When a connection took the request.
    pub(super) fn taken(&self) -> Option<Instant> {
        match self.taken.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(self.began + Duration::from_nanos(nanos)),
        }
    }

    /// Whether the connection has taken all of its body.
    pub(super) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed) != 0
    }

    fn mark(&self, what: &AtomicU64) {
        if what.load(Ordering::Relaxed) == 0 {
            what.store(self.began.elapsed().as_nanos().max(1) as u64, Ordering::Relaxed);
        }
    }
}

impl Upload {
    pub(super) fn new(body: Bytes, progress: Arc<Progress>) -> Self {
        Self { left: body, progress }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.left.len().min(PIECE);
        let piece = self.left.split_to(piece);
        if self.left.is_empty() {
            self.progress.mark(&self.progress.sent);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// A connection that takes a request calls this first.
    fn is_end_stream(&self) -> bool {
        self.progress.mark(&self.progress.taken);
        let ends = self.left.is_empty();
        if ends {
            self.progress.mark(&self.progress.sent);
        }
        ends
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_records_when_it_was_taken_and_when_it_was_sent() {
        let progress = Arc::new(Progress::new(Instant::now()));
        let mut body = Upload::new(Bytes::from(vec![b'x'; PIECE + 1]), Arc::clone(&progress));
        assert_eq!((progress.taken(), body.size_hint().exact()), (None, Some(PIECE as u64 + 1)));
        assert!(!body.is_end_stream() && progress.taken().is_some());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), PIECE);
        assert!(!progress.is_sent());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 1);
        assert!(progress.is_sent() && body.frame().await.is_none());
    }
}
