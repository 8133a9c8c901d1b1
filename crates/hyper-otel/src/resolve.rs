//! Wrapper of a resolver: lookups are measured.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};
use std::time::Instant;

use hyper_util::client::legacy::connect::dns::Name;
use otel_facade::ErrorType;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::connections::Connections;
use crate::phases::Phases;
use crate::watch;

/// Inside of a [`TracedConnector`](crate::TracedConnector), the resolver.
#[derive(Clone, Debug)]
pub struct TracedResolver<R> {
    inner: R,
    connections: Connections,
}

impl<R> TracedResolver<R> {
    /// Wraps a resolver.
    pub fn new(inner: R, connections: &Connections) -> Self {
        Self { inner, connections: connections.clone() }
    }
}

impl<R: Service<Name>> Service<Name> for TracedResolver<R> {
    type Response = R::Response;
    type Error = R::Error;
    type Future = Resolving<R::Future>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), R::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let lookup = watch::made().map(|phases| Lookup {
            connections: self.connections.clone(),
            name: name.as_str().to_owned(),
            phases,
            began: Instant::now(),
        });
        Resolving { inner: self.inner.call(name), lookup }
    }
}

pin_project! {
    /// The future of a lookup.
    #[derive(Debug)]
    pub struct Resolving<F> {
        #[pin]
        inner: F,
        lookup: Option<Lookup>,
    }
}

/// A lookup that is measured, also when it is cancelled.
#[derive(Debug)]
struct Lookup {
    connections: Connections,
    name: String,
    phases: Arc<Phases>,
    began: Instant,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.phases.dns.set(self.began.elapsed());
    }
}

impl<F, T, E> Future for Resolving<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(task));
        if let Some(lookup) = this.lookup.take() {
            let error = result.is_err().then_some(ErrorType::Dns);
            lookup.connections.looked_up(&lookup.name, lookup.began.elapsed(), error.as_ref());
        }
        Poll::Ready(result)
    }
}
