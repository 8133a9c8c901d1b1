//! The backend without the feature `otel`: types of size 0 and empty functions.

use std::borrow::Cow;
use std::future::Future;

use tracing_subscriber::filter::Targets;

use crate::config::Config;
use crate::error::{ShutdownError, StartError};
use crate::log::BoxedLayer;
use crate::span::Plan;
use crate::{Carrier, ErrorType, Propagators, Value};

pub(crate) const COMPILED: bool = false;

/// Targets of log lines with their own level: there are none.
pub(crate) const SDK_TARGETS: [&str; 0] = [];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Telemetry;

impl Telemetry {
    pub(crate) fn disabled() -> Self {
        Self
    }
    pub(crate) fn global() -> Self {
        Self
    }
    pub(crate) fn scoped(&self, _: &'static str, _: &'static str) -> Self {
        Self
    }
    pub(crate) fn is_on(&self) -> bool {
        false
    }
    pub(crate) fn extract(&self, _: &dyn Carrier) -> Context {
        Context
    }
    pub(crate) fn prometheus(&self) -> Option<Prometheus> {
        None
    }
    pub(crate) fn start(&self, plan: Plan<'_>, _: impl FnOnce(&mut crate::Attributes)) -> Span {
        let _ = (plan.kind, plan.name, plan.decided_by);
        Span
    }
    pub(crate) fn histogram(
        &self,
        _: &'static str,
        _: &'static str,
        _: &'static str,
        _: &[f64],
    ) -> Histogram {
        Histogram
    }
    pub(crate) fn counter(&self, _: &'static str, _: &'static str, _: &'static str) -> Counter {
        Counter
    }
    pub(crate) fn up_down_counter(&self, _: &'static str, _: &'static str, _: &'static str) -> UpDownCounter {
        UpDownCounter
    }
    pub(crate) fn observe(
        &self,
        what: crate::Observable,
        _: impl Fn(&crate::Observer<'_>) + Send + Sync + 'static,
    ) {
        let _ = (what.kind, what.name, what.unit, what.description, what.is_fractional);
    }
    pub(crate) fn gauge(&self, _: &'static str, _: &'static str, _: &'static str) -> Gauge {
        Gauge
    }
}

#[derive(Debug)]
pub(crate) struct Attributes;

impl Attributes {
    pub(crate) fn set(&mut self, _: &'static str, _: Value) {}
}

#[derive(Debug)]
pub(crate) struct Links;

impl Links {
    pub(crate) fn none() -> Self {
        Self
    }
    pub(crate) fn push(&mut self, _: &Context, _: impl FnOnce(&mut crate::Attributes)) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Context;

impl Context {
    pub(crate) fn none() -> Self {
        Self
    }
    pub(crate) fn current() -> Self {
        Self
    }
    pub(crate) fn extract(_: &dyn Carrier, _: Propagators) -> Self {
        Self
    }
    pub(crate) fn inject(&self, _: &mut dyn Carrier, _: Propagators) {}
    pub(crate) fn is_some(&self) -> bool {
        false
    }
    pub(crate) fn is_sampled(&self) -> bool {
        false
    }
    pub(crate) fn trace_id(&self) -> Option<String> {
        None
    }
    pub(crate) fn span_id(&self) -> Option<String> {
        None
    }
    pub(crate) fn traceparent(&self) -> Option<String> {
        None
    }
}

#[derive(Debug)]
pub(crate) struct Span;

impl Span {
    pub(crate) const OFF: Self = Self;

    pub(crate) fn is_recording(&self) -> bool {
        false
    }
    pub(crate) fn set(&self, _: &'static str, _: Value) {}
    pub(crate) fn fail(&self, _: &ErrorType, _: Cow<'static, str>) {}
    pub(crate) fn inject(&self, _: &mut dyn Carrier, _: Propagators) {}
    pub(crate) fn context(&self) -> Context {
        Context
    }
    pub(crate) fn run<F: Future>(&self, future: F) -> F {
        future
    }
    pub(crate) fn enter(&self) -> Entered {
        Entered
    }
    pub(crate) fn end(&mut self) {}
}

#[derive(Debug)]
pub(crate) struct Entered;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Histogram;

impl Histogram {
    pub(crate) fn record(&self, _: f64, _: impl FnOnce(&mut crate::Attributes)) {}
    pub(crate) fn time(&self, _: impl FnOnce(&mut crate::Attributes)) -> Timer {
        Timer
    }
    pub(crate) fn bind(&self, _: impl FnOnce(&mut crate::Attributes)) -> BoundHistogram {
        BoundHistogram
    }
}

#[derive(Debug)]
pub(crate) struct Timer;

impl Timer {
    pub(crate) fn set(&mut self, _: &'static str, _: Value) {}
    pub(crate) fn stop(self) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundHistogram;

impl BoundHistogram {
    pub(crate) fn record(&self, _: f64) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter;

impl Counter {
    pub(crate) fn add(&self, _: u64, _: impl FnOnce(&mut crate::Attributes)) {}
    pub(crate) fn bind(&self, _: impl FnOnce(&mut crate::Attributes)) -> BoundCounter {
        BoundCounter
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundCounter;

impl BoundCounter {
    pub(crate) fn add(&self, _: u64) {}
}

/// Never made.
pub(crate) struct Observer<'a>(std::marker::PhantomData<&'a ()>);

impl Observer<'_> {
    pub(crate) fn record(&self, _: f64, _: impl FnOnce(&mut crate::Attributes)) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct UpDownCounter;

impl UpDownCounter {
    pub(crate) fn add(&self, _: i64, _: impl FnOnce(&mut crate::Attributes)) {}
    pub(crate) fn bind(&self, _: impl FnOnce(&mut crate::Attributes)) -> BoundUpDownCounter {
        BoundUpDownCounter
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundUpDownCounter;

impl BoundUpDownCounter {
    pub(crate) fn add(&self, _: i64) {}
}

pub(crate) fn is_suppressed() -> bool {
    false
}

pub(crate) fn suppress() -> Suppressed {
    Suppressed
}

#[derive(Debug)]
pub(crate) struct Suppressed;

pub(crate) fn suppressed<F: Future>(future: F) -> F {
    future
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauge;

impl Gauge {
    pub(crate) fn set(&self, _: i64, _: impl FnOnce(&mut crate::Attributes)) {}
}

/// There is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prometheus {}

impl Prometheus {
    pub(crate) fn text(&self) -> Result<String, String> {
        match *self {}
    }
}

/// There is nothing to run: only the logs of the configuration are used.
#[derive(Debug)]
pub(crate) struct Running;

impl Running {
    pub(crate) fn start(_: &Config) -> Result<Self, StartError> {
        Ok(Self)
    }
    pub(crate) fn handle(&self) -> Telemetry {
        Telemetry
    }
    pub(crate) fn layers(&self, _: &Config, _: &Targets) -> Vec<BoxedLayer> {
        vec![]
    }
    pub(crate) fn warnings(&self) -> &[String] {
        &[]
    }
    pub(crate) async fn shutdown(self, _: std::time::Duration) -> Result<(), ShutdownError> {
        Ok(())
    }
}
