//! Connections: the duration of each part of making one, the peer, and the number of open ones.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;
use hyper_util::client::legacy::connect::Connected;
use otel_facade::{Attributes, BoundHistogram, ErrorType, Histogram, Telemetry, UpDownCounter, semconv};

use crate::hosts::Hosts;
use crate::options::ConnectionOptions;
use crate::phases::{Measure, OpenCounters, Phases};
use crate::url::{bare, port};
use crate::watch;

/// Records connections. Cheap to clone; does nothing while telemetry is off.
///
/// A custom connector calls [`begin`](Connections::begin) when it is called, runs the parts through [`Making`], and keeps
/// an [`OpenConnection`] in the connection that it returns. [`TracedConnector`](crate::TracedConnector) wraps a connector
/// of hyper-util.
#[derive(Clone, Debug)]
pub struct Connections(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    metrics: Option<Metrics>,
}

#[derive(Debug)]
struct Metrics {
    open: UpDownCounter,
    lives: Histogram,
    lookups: Histogram,
    hosts: Hosts<Arc<str>>,
}

impl Metrics {
    fn new(telemetry: &Telemetry, most_hosts: usize) -> Self {
        Self {
            open: telemetry.up_down_counter(
                semconv::HTTP_CLIENT_OPEN_CONNECTIONS,
                "{connection}",
                "Outbound HTTP connections that are active or idle",
            ),
            lives: telemetry.histogram(
                semconv::HTTP_CLIENT_CONNECTION_DURATION,
                "s",
                "Duration of outbound HTTP connections",
                semconv::CONNECTION_SECONDS,
            ),
            lookups: telemetry.histogram(
                semconv::DNS_LOOKUP_DURATION,
                "s",
                "Duration of lookups of host names",
                semconv::REQUEST_SECONDS,
            ),
            hosts: Hosts::new(most_hosts, |name| name),
        }
    }

    fn host(&self, name: &str) -> Arc<str> {
        Arc::clone(&*self.hosts.get(name, |name| name))
    }
}

impl Connections {
    /// Records with this handle.
    pub fn new(telemetry: &Telemetry, options: ConnectionOptions) -> Self {
        Self(telemetry.is_on().then(|| {
            let telemetry = telemetry.scoped(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
            let metrics = options.metrics.then(|| Metrics::new(&telemetry, options.most_hosts));
            Arc::new(Inner { metrics })
        }))
    }

    pub(crate) fn looked_up(&self, name: &str, took: Duration, error: Option<&ErrorType>) {
        if let Some(inner) = &self.0 {
            inner.looked_up(name, took, error);
        }
    }

    /// Begins a connection to a URL's host. Call it in a connector's `call` and not in its future: then the connection is
    /// matched with the attempt that hyper makes it for.
    pub fn begin(&self, uri: &Uri) -> Making {
        let Some(inner) = self.0.as_ref().filter(|_| !otel_facade::is_suppressed()) else {
            return Making(None);
        };
        let phases = Arc::new(Phases::default());
        watch::began(&phases);
        let place = inner.metrics.as_ref().map(|metrics| {
            let host = metrics.host(bare(uri.host().unwrap_or_default()));
            // `_OTHER` hosts keep only the usual ports.
            let all = &*host != crate::hosts::OTHER;
            Place { host, port: port(uri).filter(|port| all || [80, 443].contains(port)) }
        });
        Making(Some(Made { phases, inner: Arc::clone(inner), place }))
    }
}

/// A connection that is being made.
#[derive(Debug)]
#[must_use = "a connection is counted by what `connected` returns"]
pub struct Making(Option<Made>);

#[derive(Debug)]
struct Made {
    phases: Arc<Phases>,
    inner: Arc<Inner>,
    place: Option<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    host: Arc<str>,
    port: Option<u16>,
}

impl Place {
    fn describe(&self, attributes: &mut Attributes) {
        attributes.set(semconv::SERVER_ADDRESS, Arc::clone(&self.host));
        if let Some(port) = self.port {
            attributes.set(semconv::SERVER_PORT, port);
        }
    }
}

impl Making {
    /// Looks up a name. `classify` names an error.
    ///
    /// # Errors
    /// Those of the lookup, unchanged.
    pub async fn dns<T, E>(
        &self,
        name: &str,
        classify: impl FnOnce(&E) -> ErrorType,
        lookup: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(made) = &self.0 else { return lookup.await };
        let measure = Measure::of(&made.phases.dns);
        let result = lookup.await;
        drop(measure);
        let (took, error) = (made.phases.dns.get().unwrap_or_default(), result.as_ref().err().map(classify));
        made.inner.looked_up(name, took, error.as_ref());
        result
    }

    /// Connects, including the proxy's part, without lookups of names.
    pub async fn connect<T>(&self, connect: impl Future<Output = T>) -> T {
        let _measure = self.0.as_ref().map(|made| Measure::of(&made.phases.connect));
        connect.await
    }

    /// The TLS handshake.
    pub async fn tls<T>(&self, handshake: impl Future<Output = T>) -> T {
        let _measure = self.0.as_ref().map(|made| Measure::of(&made.phases.tls));
        handshake.await
    }

    /// The peer of the socket, as soon as it is known.
    pub fn reached(&self, peer: Option<SocketAddr>) {
        if let (Some(made), Some(peer)) = (&self.0, peer) {
            made.phases.reached(peer);
        }
    }

    /// The connection is made.
    pub fn connected(self) -> OpenConnection {
        OpenConnection(self.0.map(|made| {
            let life = made.place.as_ref().zip(made.inner.metrics.as_ref()).map(|(place, metrics)| {
                let open = |state: &'static str| {
                    metrics.open.bind(|attributes| {
                        attributes.set(semconv::HTTP_CONNECTION_STATE, state);
                        place.describe(attributes);
                    })
                };
                let counters = OpenCounters { active: open("active"), idle: open("idle") };
                counters.active.add(1);
                let _ = made.phases.open.set(counters);
                Life {
                    began: Instant::now(),
                    lives: metrics.lives.bind(|attributes| place.describe(attributes)),
                }
            });
            Open { phases: made.phases, life }
        }))
    }

    pub(crate) fn phases(&self) -> Option<&Arc<Phases>> {
        self.0.as_ref().map(|made| &made.phases)
    }
}

impl Inner {
    fn looked_up(&self, name: &str, took: Duration, error: Option<&ErrorType>) {
        if let Some(metrics) = &self.metrics {
            metrics.lookups.record(took.as_secs_f64(), |attributes| {
                attributes.set(semconv::DNS_QUESTION_NAME, metrics.host(name));
                if let Some(error) = error {
                    attributes.set(semconv::ERROR_TYPE, error);
                }
            });
        }
    }
}

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub struct OpenConnection(Option<Open>);

#[derive(Debug)]
struct Open {
    phases: Arc<Phases>,
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    began: Instant,
    lives: BoundHistogram,
}

impl OpenConnection {
    /// Attaches a [`ConnectionInfo`] to each response on the connection.
    pub fn mark(&self, connected: Connected) -> Connected {
        match &self.0 {
            Some(open) => connected.extra(ConnectionInfo(Arc::clone(&open.phases))),
            None => connected,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.phases.close();
        if let Some(life) = &self.life {
            life.lives.record(life.began.elapsed().as_secs_f64());
        }
    }
}

/// The connection that a response came on, among the response's extensions.
#[derive(Clone)]
pub struct ConnectionInfo(pub(crate) Arc<Phases>);

impl ConnectionInfo {
    /// The duration of the lookup, if there was one.
    pub fn dns(&self) -> Option<Duration> {
        self.0.dns.get()
    }

    /// The duration of connecting.
    pub fn connect(&self) -> Option<Duration> {
        self.0.connect.get()
    }

    /// The duration of the TLS handshake, if there was one.
    pub fn tls(&self) -> Option<Duration> {
        self.0.tls.get()
    }
}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = f.debug_struct("ConnectionInfo");
        parts.field("dns", &self.dns()).field("connect", &self.connect()).field("tls", &self.tls()).finish()
    }
}
