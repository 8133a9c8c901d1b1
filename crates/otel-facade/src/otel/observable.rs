//! Observable instruments on the OpenTelemetry API.

use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::{Attributes, Telemetry};
use crate::observable::ObservableKind;
use crate::{Observable, guarded};

impl Telemetry {
    pub(crate) fn observe(
        &self,
        what: Observable,
        callback: impl Fn(&crate::Observer<'_>) + Send + Sync + 'static,
    ) {
        if let Some(recorder) = &self.0 {
            build(&recorder.meter, what, callback);
        }
    }
}

/// The SDK keeps the callback for as long as it collects; the instrument itself need not be kept.
fn build(meter: &Meter, what: Observable, callback: impl Fn(&crate::Observer<'_>) + Send + Sync + 'static) {
    macro_rules! instrument {
        ($builder:ident, $variant:ident) => {{
            let builder = meter.$builder(what.name).with_unit(what.unit).with_description(what.description);
            builder.with_callback(move |to| call(&callback, Observer::$variant(to))).build();
        }};
    }
    match (what.kind, what.is_fractional) {
        (ObservableKind::Counter, false) => instrument!(u64_observable_counter, U64),
        (ObservableKind::Counter, true) => instrument!(f64_observable_counter, F64),
        (ObservableKind::UpDownCounter, false) => instrument!(i64_observable_up_down_counter, I64),
        (ObservableKind::UpDownCounter, true) => instrument!(f64_observable_up_down_counter, F64),
        (ObservableKind::Gauge, false) => instrument!(i64_observable_gauge, I64),
        (ObservableKind::Gauge, true) => instrument!(f64_observable_gauge, F64),
    }
}

/// A panic here would end the collection of all metrics, with the locks that it holds.
fn call(callback: &impl Fn(&crate::Observer<'_>), observer: Observer<'_>) {
    guarded("a callback of an observed metric", || callback(&crate::Observer(observer)));
}

pub(crate) enum Observer<'a> {
    U64(&'a dyn AsyncInstrument<u64>),
    I64(&'a dyn AsyncInstrument<i64>),
    F64(&'a dyn AsyncInstrument<f64>),
}

impl Observer<'_> {
    /// Whole numbers up to 2^53 pass an `f64` unchanged; beyond its range a conversion saturates.
    pub(crate) fn record(&self, value: f64, describe: impl FnOnce(&mut crate::Attributes)) {
        let attributes = Attributes::collect(describe);
        match self {
            Self::U64(to) => to.observe(value as u64, &attributes),
            Self::I64(to) => to.observe(value as i64, &attributes),
            Self::F64(to) => to.observe(value, &attributes),
        }
    }
}
