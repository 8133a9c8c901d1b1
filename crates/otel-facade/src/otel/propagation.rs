//! The W3C context, read strictly and written in full: the SDK's own propagator accepts headers of wrong length,
//! reads one of several `tracestate` headers, writes an empty one, and forgets the random flag.
//!
//! <https://www.w3.org/TR/trace-context-2/> and <https://www.w3.org/TR/baggage/>.

mod baggage;
#[cfg(test)]
mod suite;
mod traceparent;
mod tracestate;

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceState};

use crate::{Carrier, Propagators};

pub(super) use traceparent::write as traceparent;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// A `tracestate` that the specification allows and the API's type cannot hold. Children inherit it.
struct Foreign(Arc<str>);

/// A valid `baggage`, unchanged.
struct Baggage(Arc<str>);

/// The remote context of a carrier; `None` where nothing in it is valid.
pub(super) fn extract(carrier: &dyn Carrier, what: Propagators) -> Option<Context> {
    let span = if what.trace_context { span(carrier) } else { None };
    let baggage =
        if what.baggage { carrier.joined(BAGGAGE).and_then(|header| baggage::read(&header)) } else { None };
    let context = match (span, &baggage) {
        (Some(context), _) => context,
        (None, Some(_)) => Context::new(),
        (None, None) => return None,
    };
    Some(match baggage {
        Some(baggage) => context.with_value(Baggage(baggage.into())),
        None => context,
    })
}

fn span(carrier: &dyn Carrier) -> Option<Context> {
    let parent = traceparent::read(carrier.get(TRACEPARENT)?)?;
    // A bad tracestate is dropped and the traceparent kept (§4.3).
    let members = carrier.joined(TRACESTATE).and_then(|header| tracestate::read(&header));
    let (state, foreign) = match members {
        None => (TraceState::default(), None),
        Some(text) => match tracestate::parsed(&text) {
            Some(state) => (state, None),
            None => (TraceState::default(), Some(Foreign(text.into()))),
        },
    };
    let span = SpanContext::new(parent.trace_id, parent.span_id, parent.flags, true, state);
    let context = Context::new().with_remote_span_context(span);
    Some(match foreign {
        Some(foreign) => context.with_value(foreign),
        None => context,
    })
}

/// Writes the requested parts that the context has. Never an empty header.
pub(super) fn inject(context: &Context, carrier: &mut dyn Carrier, what: Propagators) {
    inject_as(context, context.span().span_context().span_id(), carrier, what);
}

/// The same with the id of a span that is not recorded.
pub(super) fn inject_as(context: &Context, id: SpanId, carrier: &mut dyn Carrier, what: Propagators) {
    let span = context.span();
    let span = span.span_context();
    if what.trace_context && span.is_valid() {
        carrier.set(TRACEPARENT, traceparent::write_as(span, id));
        let state =
            context.get::<Foreign>().map_or_else(|| span.trace_state().header(), |it| it.0.to_string());
        if !state.is_empty() {
            carrier.set(TRACESTATE, state);
        }
    }
    if let Some(Baggage(baggage)) = context.get::<Baggage>().filter(|_| what.baggage) {
        carrier.set(BAGGAGE, baggage.to_string());
    }
}
