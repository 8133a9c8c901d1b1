//! Spans on the OpenTelemetry API. Each lives in its own context, so that it can be made current and
//! shared with its children without a copy.

use std::borrow::Cow;
use std::future::Future;

use opentelemetry::context::{ContextGuard, FutureExt};
use opentelemetry::trace::{Link, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer as _};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use super::{Attributes, Context, Telemetry, Tracer, propagation, sampler};
use crate::span::Plan;
use crate::{Carrier, ErrorType, Propagators, Value, semconv};

impl Telemetry {
    pub(crate) fn start(&self, plan: Plan<'_>, describe: impl FnOnce(&mut crate::Attributes)) -> Span {
        let Some(recorder) = &self.0 else { return Span::OFF };
        let parent = match (plan.decided_by, plan.parent) {
            (Some(decided_by), _) => decided_by.0.clone(),
            (None, Some(parent)) => parent.0.clone(),
            (None, None) => Context::current(),
        };
        let settings = &recorder.settings;
        if settings.follows_parent && parent.is_unsampled() {
            return Span { context: parent, ends: false };
        }
        let mut builder = SpanBuilder::from_name(plan.name).with_kind(kind(plan.kind));
        builder.start_time = plan.began;
        // This crate's samplers read no attributes, so that these are collected only after the decision.
        let mut describe = Some(describe);
        if !(settings.chooses && parent.0.is_none()) {
            builder.attributes = describe.take().map(Attributes::collect);
        }
        builder.links = plan.links.0;
        let is_decided = plan.decided_by.is_some() && settings.follows_parent && parent.is_sampled();
        let parent = match (plan.decided_by, parent.0) {
            (Some(_), Some(other)) if is_decided => sampler::decided(&other),
            (Some(_), _) => opentelemetry::Context::new(),
            (None, parent) => parent.unwrap_or_default(),
        };
        match &recorder.tracer {
            Tracer::Sdk(tracer) => Span::of(tracer.build_with_context(builder, &parent), &parent, describe),
            Tracer::Global(tracer) => {
                Span::of(tracer.build_with_context(builder, &parent), &parent, describe)
            }
        }
    }
}

fn kind(kind: crate::SpanKind) -> SpanKind {
    match kind {
        crate::SpanKind::Client => SpanKind::Client,
        crate::SpanKind::Server => SpanKind::Server,
        crate::SpanKind::Producer => SpanKind::Producer,
        crate::SpanKind::Consumer => SpanKind::Consumer,
        crate::SpanKind::Internal => SpanKind::Internal,
    }
}

#[derive(Debug)]
pub(crate) struct Links(Option<Vec<Link>>);

impl Links {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn push(&mut self, to: &Context, describe: impl FnOnce(&mut crate::Attributes)) {
        if let Some(span) = to.span_context() {
            let mut attributes = crate::Attributes(Attributes(vec![]));
            describe(&mut attributes);
            self.0.get_or_insert_default().push(Link::new(span, attributes.0.0, 0));
        }
    }
}

/// A span that is not recorded holds its parent's context to pass it on, and must never end it: then `ends` is false.
#[derive(Debug)]
pub(crate) struct Span {
    context: Context,
    ends: bool,
}

impl Span {
    pub(crate) const OFF: Self = Self { context: Context(None), ends: false };

    /// A span that the tracer has made; `describe` sets the attributes that it lacks. Of one that is not recorded only the
    /// ids are kept.
    fn of<S>(
        mut span: S,
        parent: &opentelemetry::Context,
        describe: Option<impl FnOnce(&mut crate::Attributes)>,
    ) -> Self
    where
        S: opentelemetry::trace::Span + Send + Sync + 'static,
    {
        if !span.is_recording() {
            let context = parent.with_remote_span_context(span.span_context().clone());
            return Self { context: Context(Some(context)), ends: false };
        }
        if let Some(describe) = describe {
            span.set_attributes(Attributes::collect(describe));
        }
        Self { context: Context(Some(parent.with_span(span))), ends: true }
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.ends
    }

    pub(crate) fn set(&self, key: &'static str, value: Value) {
        if let Some(context) = &self.context.0 {
            context.span().set_attribute(opentelemetry::KeyValue::new(key, value));
        }
    }

    pub(crate) fn fail(&self, error: &ErrorType, description: Cow<'static, str>) {
        self.set(semconv::ERROR_TYPE, error.into());
        if let Some(context) = &self.context.0 {
            context.span().set_status(Status::error(description));
        }
    }

    pub(crate) fn inject(&self, carrier: &mut dyn Carrier, what: Propagators) {
        let Some(context) = self.context.0.as_ref().filter(|_| self.context.is_some()) else { return };
        if self.ends || !self.context.is_unsampled() {
            return propagation::inject(context, carrier, what);
        }
        propagation::inject_as(context, RandomIdGenerator::default().new_span_id(), carrier, what);
    }

    pub(crate) fn context(&self) -> Context {
        self.context.clone()
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let context = self.context.0.clone();
        async move {
            match context {
                Some(context) => future.with_context(context).await,
                None => future.await,
            }
        }
    }

    pub(crate) fn enter(&self) -> Entered {
        Entered { _guard: self.context.0.clone().map(opentelemetry::Context::attach) }
    }

    pub(crate) fn end(&mut self) {
        if let (true, Some(context)) = (self.ends, &self.context.0) {
            context.span().end();
        }
        self.ends = false;
    }
}

#[derive(Debug)]
pub(crate) struct Entered {
    _guard: Option<ContextGuard>,
}
