//! Parts that all requests of a client share.

use std::sync::atomic::{AtomicBool, Ordering};

use otel_facade::Telemetry;

use crate::options::Options;
use crate::series::Series;

/// Shared by all clones of a [`Traced`](crate::Traced).
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) telemetry: Telemetry,
    pub(crate) options: Options,
    pub(crate) series: Series,
    /// Whether the connector is traced: then a request without a new connection used an open one.
    connections: AtomicBool,
}

impl Recorder {
    pub(crate) fn new(telemetry: &Telemetry, options: Options) -> Self {
        let telemetry = telemetry.scoped(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let series = Series::new(&telemetry, options.most_hosts, options.active_requests);
        Self { telemetry, options, series, connections: AtomicBool::new(false) }
    }

    pub(crate) fn connector_is_traced(&self) {
        // Read first: a store would take the line from the other threads each time.
        if !self.knows_connections() {
            self.connections.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn knows_connections(&self) -> bool {
        self.connections.load(Ordering::Relaxed)
    }
}
