//! The context that spans hand to their children, in the process and across it.

use crate::imp;

/// Where a context is read from and written to: HTTP headers, the fields of a job.
pub trait Carrier {
    /// The one value under a name (lower case); `None` when absent, not text, or there more than once.
    fn get(&self, name: &str) -> Option<&str>;
    /// Sets the value under a name, replacing what was there.
    fn set(&mut self, name: &'static str, value: String);
}

/// Which span, here or elsewhere, something belongs to. Cheap to clone; owns no span and ends none.
#[derive(Clone, Debug)]
pub struct Context(pub(crate) imp::Context);

impl Context {
    /// Belongs to nothing: a span with this parent is the root of a new trace.
    pub fn none() -> Self {
        Self(imp::Context::none())
    }

    /// The context active in this thread: the span whose [`run`](crate::Span::run) or
    /// [`enter`](crate::Span::enter) we are in, made here or by a `tracing` span under the bridge.
    pub fn current() -> Self {
        Self(imp::Context::current())
    }

    /// The remote context in `traceparent` and `tracestate`; none where these are absent or not valid.
    ///
    /// W3C Trace Context, §3.2 and §3.3.
    pub fn extract(carrier: &dyn Carrier) -> Self {
        Self(imp::Context::extract(carrier))
    }

    /// Writes `traceparent`, and `tracestate` where it is not empty. Nothing where the context is none.
    pub fn inject(&self, carrier: &mut dyn Carrier) {
        self.0.inject(carrier);
    }

    /// Whether it names a span. Always false without the feature `otel`.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The trace's id as 32 lower-case hex digits.
    pub fn trace_id(&self) -> Option<String> {
        self.0.trace_id()
    }

    /// The value of a `traceparent` header.
    pub fn traceparent(&self) -> Option<String> {
        self.0.traceparent()
    }
}
