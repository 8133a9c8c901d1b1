//! Metrics for a Prometheus server that comes and fetches them.

use crate::imp;

/// The metrics of this process, to be served at `/metrics`. Cheap to clone; see
/// [`Telemetry::prometheus`](crate::Telemetry::prometheus).
#[derive(Clone, Debug)]
pub struct Prometheus(pub(crate) imp::Prometheus);

impl Prometheus {
    /// The `Content-Type` of [`text`](Prometheus::text).
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// All metrics as they are now, in the text format of Prometheus. Takes about a millisecond; asks every
    /// instrument, and so must not be called by one.
    ///
    /// # Errors
    /// A sentence, where the metrics cannot be written: answer 500 with it.
    pub fn text(&self) -> Result<String, String> {
        self.0.text()
    }
}
