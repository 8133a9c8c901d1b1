//! The trace and the baggage that something belongs to.

use opentelemetry::trace::{SpanContext, TraceContextExt};

use super::propagation;
use crate::{Carrier, Propagators};

/// `None` belongs to nothing. The API's own empty context would need an allocation.
#[derive(Clone, Debug)]
pub(crate) struct Context(pub(super) Option<opentelemetry::Context>);

impl Context {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn current() -> Self {
        let current = opentelemetry::Context::current();
        Self(current.span().span_context().is_valid().then_some(current))
    }

    pub(crate) fn extract(carrier: &dyn Carrier, what: Propagators) -> Self {
        Self(propagation::extract(carrier, what))
    }

    pub(crate) fn inject(&self, carrier: &mut dyn Carrier, what: Propagators) {
        if let Some(context) = &self.0 {
            propagation::inject(context, carrier, what);
        }
    }

    /// It may hold baggage and no span.
    pub(crate) fn is_some(&self) -> bool {
        self.0.as_ref().is_some_and(|context| context.span().span_context().is_valid())
    }

    pub(crate) fn is_sampled(&self) -> bool {
        self.0.as_ref().is_some_and(|context| context.span().span_context().is_sampled())
    }

    pub(crate) fn trace_id(&self) -> Option<String> {
        self.span_context().map(|span| span.trace_id().to_string())
    }

    pub(crate) fn span_id(&self) -> Option<String> {
        self.span_context().map(|span| span.span_id().to_string())
    }

    pub(crate) fn traceparent(&self) -> Option<String> {
        self.span_context().map(|span| propagation::traceparent(&span))
    }

    pub(super) fn span_context(&self) -> Option<SpanContext> {
        let context = self.0.as_ref()?;
        Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
    }

    /// A parent that is not sampled: none of its children needs to be made.
    pub(super) fn is_unsampled(&self) -> bool {
        self.0.as_ref().is_some_and(|context| {
            let span = context.span();
            let span = span.span_context();
            span.is_valid() && !span.is_sampled()
        })
    }
}
