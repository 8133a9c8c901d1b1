//! Units of work.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::time::SystemTime;

use crate::{Attributes, Carrier, Context, ErrorType, Propagators, Value, imp};

/// The role of a span between programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanKind {
    /// Sends a request and waits for the response.
    Client,
    /// Responds to a request.
    Server,
    /// Sends a message that is processed later.
    Producer,
    /// Processes a message.
    Consumer,
    /// None of these.
    Internal,
}

/// A span that has not begun. Made by [`Telemetry::span`](crate::Telemetry::span).
#[derive(Debug)]
#[must_use = "a span begins with `start`"]
pub struct SpanBuilder<'a> {
    telemetry: &'a imp::Telemetry,
    pub(crate) plan: Plan<'a>,
}

/// Describes a span before it begins, for a backend.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) kind: SpanKind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) parent: Option<&'a Context>,
    /// The context whose sampling decision holds for a root.
    pub(crate) decided_by: Option<&'a Context>,
    pub(crate) links: imp::Links,
    pub(crate) began: Option<SystemTime>,
}

impl<'a> SpanBuilder<'a> {
    pub(crate) fn new(telemetry: &'a imp::Telemetry, kind: SpanKind, name: Cow<'static, str>) -> Self {
        let links = imp::Links::none();
        Self { telemetry, plan: Plan { kind, name, parent: None, decided_by: None, links, began: None } }
    }

    /// The span's parent. Default: the current context. A parent of [`Context::none`] makes a root.
    pub fn parent(mut self, parent: &'a Context) -> Self {
        self.plan.parent = Some(parent);
        self
    }

    /// Makes the span the root of a new trace that is recorded where that context is, and only there: it takes over
    /// the sampling decision and nothing else. For a context of none the sampler decides as for any root.
    pub fn root_as_sampled(mut self, decided_by: &'a Context) -> Self {
        self.plan.decided_by = Some(decided_by);
        self
    }

    /// Links the span to a related one. At most 128 are kept
    /// (`OTEL_SPAN_LINK_COUNT_LIMIT`). A context of none links nothing.
    pub fn link(self, to: &Context) -> Self {
        self.link_with(to, |_| ())
    }

    /// Links, with attributes on the link.
    pub fn link_with(mut self, to: &Context, attributes: impl FnOnce(&mut Attributes)) -> Self {
        if self.telemetry.is_on() {
            self.plan.links.push(&to.0, attributes);
        }
        self
    }

    /// When the span began. Default: when `start` is called.
    pub fn began(mut self, at: SystemTime) -> Self {
        self.plan.began = Some(at);
        self
    }

    /// Begins the span. The closure runs only if the span will be recorded; what a sampler should see
    /// must be set in it.
    pub fn start(self, attributes: impl FnOnce(&mut Attributes)) -> Span {
        Span(self.telemetry.start(self.plan, attributes))
    }
}

/// A unit of work under way. It ends when dropped.
#[derive(Debug)]
#[must_use = "a span ends when dropped"]
pub struct Span(imp::Span);

impl Span {
    /// A span that records nothing, as all do while telemetry is off.
    pub fn none() -> Self {
        Self(imp::Span::OFF)
    }

    /// Whether it records anything.
    pub fn is_recording(&self) -> bool {
        self.0.is_recording()
    }

    /// Sets an attribute after the start.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if self.0.is_recording() {
            self.0.set(key, value.into());
        }
    }

    /// Sets an attribute whose value is costly: the closure runs only if the span is recorded.
    pub fn set_with(&self, key: &'static str, value: impl FnOnce() -> Value) {
        if self.0.is_recording() {
            self.0.set(key, value());
        }
    }

    /// The operation failed: status `Error`, described by what the error type means, and `error.type`. Otherwise the
    /// status stays unset.
    pub fn fail(&self, error: &ErrorType) {
        self.fail_with(error, || error.sentence().into());
    }

    /// The operation failed; the caller describes it in one sentence, without secrets. The
    /// closure runs only if the span is recorded.
    pub fn fail_with(&self, error: &ErrorType, describe: impl FnOnce() -> Cow<'static, str>) {
        if self.0.is_recording() {
            self.0.fail(error, describe());
        }
    }

    /// The context that makes another span this one's child. Where this span is not recorded, the context
    /// it would have had for a parent; none while telemetry is off.
    pub fn context(&self) -> Context {
        Context(self.0.context())
    }

    /// Writes the context to an outgoing message of this span: see [`Context::inject_with`]. In an unsampled trace no span
    /// is made, and the message gets its own span id, still unsampled: a receiver must not take the parent's span for
    /// the sender's (W3C Trace Context, §3.3). Writes nothing where the context is none.
    pub fn inject(&self, carrier: &mut dyn Carrier, what: Propagators) {
        self.0.inject(carrier, what);
    }

    /// Runs a future with this span as the current context at each poll.
    pub fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.run(future)
    }

    /// Makes this span the current context until the guard is dropped. Only for code that does not await:
    ///
    /// ```compile_fail
    /// fn is_send<T: Send>(_: T) {}
    /// let span = otel_facade::Telemetry::disabled().span(otel_facade::SpanKind::Internal, "x").start(|_| ());
    /// is_send(span.enter());
    /// ```
    pub fn enter(&self) -> Entered {
        Entered { _inner: self.0.enter(), _not_send: PhantomData }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fail(&ErrorType::Panic);
        }
        self.0.end();
    }
}

/// The current context is the span's until this is dropped.
#[derive(Debug)]
#[must_use = "the context is left when this is dropped"]
pub struct Entered {
    _inner: imp::Entered,
    _not_send: PhantomData<*const ()>,
}

/// In both builds, so that callers may drop it explicitly.
impl Drop for Entered {
    fn drop(&mut self) {}
}
