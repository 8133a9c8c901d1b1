//! The body of a request, which records how far the connection has read it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use postrider_queue::work::Phases;

use super::dialled::Dialling;
use super::error::Connection;

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
    answered: AtomicU64,
    /// The connection that was made for the request.
    dialling: OnceLock<Arc<Dialling>>,
}

impl Progress {
    pub(super) fn new(began: Instant) -> Self {
        let [taken, sent, answered] = [const { AtomicU64::new(0) }; 3];
        Self { began, taken, sent, answered, dialling: OnceLock::new() }
    }

    /// When the attempt began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Records that a connection is being made for the request.
    pub(super) fn dialled(&self, dialling: Arc<Dialling>) {
        let _ = self.dialling.set(dialling);
    }

    /// The connection that ended the request with an error. `is_connect` is whether there was none to send it on.
    pub(super) fn connection(&self, is_connect: bool) -> Connection {
        match (self.taken(), self.dialling.get()) {
            (None, Some(dialling)) if is_connect && !dialling.is_made() => Connection::None,
            (None, _) => Connection::Unused,
            (Some(taken), Some(dialling)) if dialling.carries(taken) => Connection::New,
            (Some(_), _) => Connection::Reused,
        }
    }

    /// When a connection took the request.
    pub(super) fn taken(&self) -> Option<Instant> {
        self.when(&self.taken)
    }

    /// Records that the head of the response is there.
    pub(super) fn answered(&self) {
        self.mark(&self.answered);
    }

    /// The phases of an attempt that ends now.
    pub(super) fn phases(&self, now: Instant) -> Phases {
        let [taken, sent, answered] = [&self.taken, &self.sent, &self.answered].map(|mark| self.when(mark));
        // A destination may respond before it has taken the whole request.
        let sent = sent.or(answered);
        let between = |from: Option<Instant>, to: Option<Instant>| {
            from.map(|from| to.unwrap_or(now).saturating_duration_since(from))
        };
        let dialling = self.dialling.get();
        Phases {
            dns: dialling.and_then(|dialling| dialling.dns.took(now)),
            connect: dialling.and_then(|dialling| dialling.connect.took(now)),
            tls: dialling.and_then(|dialling| dialling.tls.took(now)),
            request: between(taken, sent),
            first_byte: taken.and_then(|_| between(sent, answered)),
            body: between(answered, None),
        }
    }

    fn when(&self, mark: &AtomicU64) -> Option<Instant> {
        match mark.load(Ordering::Relaxed) {
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

    #[tokio::test]
    async fn the_phases_follow_each_other_and_the_last_lasts_until_now() {
        let progress = Arc::new(Progress::new(Instant::now()));
        let later = || Instant::now() + Duration::from_secs(1);
        assert_eq!(progress.phases(later()), Phases::default(), "it waits for a connection");
        let mut body = Upload::new(Bytes::from_static(b"x"), Arc::clone(&progress));
        let lasts = |phase: Option<Duration>| phase.is_some_and(|took| took >= Duration::from_secs(1));
        assert!(!body.is_end_stream());
        let sending = progress.phases(later());
        assert!(lasts(sending.request) && sending.first_byte.is_none(), "{sending:?}");
        body.frame().await.unwrap().unwrap();
        let waiting = progress.phases(later());
        assert!(
            !lasts(waiting.request) && lasts(waiting.first_byte) && waiting.body.is_none(),
            "{waiting:?}"
        );
        progress.answered();
        let reading = progress.phases(later());
        assert!(
            !lasts(reading.first_byte) && lasts(reading.body) && reading.connect.is_none(),
            "{reading:?}"
        );
    }
}
