//! Places for connections. While all are taken, each new connection takes that of the one that has waited longest for a request, so
//! that clients that send none, or a slow one, keep nobody out.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

/// Connections without a request, or with a part of its head.
#[derive(Debug, Default)]
struct Idle {
    last: u64,
    /// Whether a new connection waits until one becomes idle.
    is_wanted: bool,
    /// What closes each, in the order in which they became idle.
    connections: BTreeMap<u64, CancellationToken>,
}

/// The place of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    places: Arc<Places>,
    closed: CancellationToken,
    /// Its number among the idle ones; 0 while it has a request.
    number: AtomicU64,
    _place: OwnedSemaphorePermit,
}

/// A connection has a request, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), idle: Mutex::default() })
    }

    /// A place, which may have to be made.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Connection> {
        let place = match self.free.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.make_room();
                let place = self.free.clone().acquire_owned().await.expect("nobody closes it");
                self.idle().is_wanted = false;
                place
            }
        };
        let (places, closed, number) = (self.clone(), CancellationToken::new(), AtomicU64::new(0));
        let connection = Arc::new(Connection { places, closed, number, _place: place });
        connection.becomes_idle();
        connection
    }

    fn make_room(&self) {
        let mut idle = self.idle();
        match idle.connections.pop_first() {
            Some((_, closed)) => closed.cancel(),
            None => idle.is_wanted = true,
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().expect("nothing panics while it holds this lock")
    }
}

impl Connection {
    /// The head of a request has arrived.
    pub(super) fn becomes_busy(self: &Arc<Self>) -> Busy {
        self.places.idle().connections.remove(&self.number.swap(0, Ordering::Relaxed));
        Busy(self.clone())
    }

    fn becomes_idle(&self) {
        let mut idle = self.places.idle();
        if std::mem::take(&mut idle.is_wanted) {
            // The response is in the kernel when the connection learns of this.
            self.closed.cancel();
            return;
        }
        idle.last += 1;
        let number = idle.last;
        idle.connections.insert(number, self.closed.clone());
        idle.connections.remove(&self.number.swap(number, Ordering::Relaxed));
    }

    /// Ends when another one needs the place.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.places.idle().connections.remove(self.number.get_mut());
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.becomes_idle();
    }
}

impl Busy {
    /// The connection is busy until this response has been written.
    pub(super) fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(Sent { body, _busy: self }))
    }
}

/// A body that is sent.
struct Sent {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_connection_that_has_waited_longest_for_a_request_makes_room() {
        let places = Places::new(3);
        let (first, second, third) = (places.take().await, places.take().await, places.take().await);
        let busy = first.becomes_busy();
        let new = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        second.closed().await;
        assert!(!first.closed.is_cancelled() && !third.closed.is_cancelled());
        drop(second);
        let new = new.await.unwrap();
        // The first becomes idle last.
        drop(busy);
        for oldest in [&third, &new, &first] {
            places.make_room();
            oldest.closed().await;
        }
        drop((first, third, new));
        assert!(places.idle().connections.is_empty() && places.free.available_permits() == 3);
    }

    #[tokio::test]
    async fn a_connection_whose_request_ends_makes_room() {
        let places = Places::new(1);
        let first = places.take().await;
        let busy = first.becomes_busy();
        let new = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        while !places.idle().is_wanted {
            tokio::task::yield_now().await;
        }
        assert!(!first.closed.is_cancelled());
        drop(busy);
        first.closed().await;
        drop(first);
        drop(new.await.unwrap());
        assert!(!places.idle().is_wanted && places.free.available_permits() == 1);
    }
}
