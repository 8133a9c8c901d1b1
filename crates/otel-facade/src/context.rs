//! The context that spans hand to their children, in the process and across it.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::{Propagators, imp};

/// A place for a context: HTTP headers, the fields of a message.
pub trait Carrier {
    /// The one value under a name (lower case); `None` when absent, not text, or there more than once.
    fn get(&self, name: &str) -> Option<&str>;
    /// All values under a name that may be split over several, joined by commas; as `tracestate` and `baggage`.
    /// Default: what [`get`](Carrier::get) finds, for carriers that hold a name once.
    fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::Borrowed)
    }
    /// Sets the value under a name, replacing what was there.
    fn set(&mut self, name: &'static str, value: String);
}

/// Fields by their names, which are in lower case.
impl Carrier for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        HashMap::get(self, name).map(String::as_str)
    }
    fn set(&mut self, name: &'static str, value: String) {
        self.insert(name.to_owned(), value);
    }
}

/// The span, here or elsewhere, that something belongs to. Cheap to clone; owns no span and ends none.
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

    /// The remote context in `traceparent`, `tracestate` and `baggage`; none where these are absent or not valid.
    /// [`Telemetry::extract`](crate::Telemetry::extract) reads only the configured parts.
    ///
    /// W3C Trace Context, §3.2 and §3.3; W3C Baggage, §3.
    pub fn extract(carrier: &dyn Carrier) -> Self {
        Self(imp::Context::extract(carrier, Propagators::ALL))
    }

    /// Writes `traceparent`, and `tracestate` where it is not empty. Nothing where the context is none. Baggage is
    /// not written: see [`inject_with`](Context::inject_with).
    pub fn inject(&self, carrier: &mut dyn Carrier) {
        self.inject_with(carrier, Propagators::TRACE_CONTEXT);
    }

    /// Writes the requested parts that the context has, and never an empty header. Baggage may contain anything: send it
    /// only to receivers that need it.
    pub fn inject_with(&self, carrier: &mut dyn Carrier, what: Propagators) {
        self.0.inject(carrier, what);
    }

    /// Whether it names a span. Always false without the feature `otel`.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the span that it names is, or will be, recorded. Always false without the feature `otel`.
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// The trace's id as 32 lower-case hex digits.
    pub fn trace_id(&self) -> Option<String> {
        self.0.trace_id()
    }

    /// The span's id as 16 lower-case hex digits.
    pub fn span_id(&self) -> Option<String> {
        self.0.span_id()
    }

    /// The value of a `traceparent` header.
    pub fn traceparent(&self) -> Option<String> {
        self.0.traceparent()
    }
}
