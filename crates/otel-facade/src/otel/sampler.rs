//! A sampler that takes over a decision for the root of a new trace.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// In the parent context of a root whose trace is recorded because the other trace is.
#[derive(Debug)]
struct Decided;

/// The parent context of such a root: the other one with its baggage, without its span.
pub(super) fn decided(other: &Context) -> Context {
    other.with_remote_span_context(SpanContext::empty_context()).with_value(Decided)
}

/// Asks another sampler, except for roots that are decided on.
#[derive(Clone, Debug)]
pub(super) struct TakesOver(pub(super) Sampler);

impl ShouldSample for TakesOver {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_decided = parent.is_some_and(|parent| {
            parent.get::<Decided>().is_some() && !parent.span().span_context().is_valid()
        });
        if is_decided {
            return SamplingResult {
                decision: SamplingDecision::RecordAndSample,
                attributes: vec![],
                trace_state: Default::default(),
            };
        }
        self.0.should_sample(parent, trace, name, kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn only_a_root_that_is_decided_on_is_recorded_against_the_sampler() {
        let sampler = TakesOver(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
        let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
        let tracer = provider.tracer("test");
        let start = |parent: &Context| {
            use opentelemetry::trace::{Span, Tracer};
            tracer.start_with_context("x", parent).is_recording()
        };
        assert!(start(&decided(&Context::new())));
        assert!(!start(&Context::new()));
    }
}
