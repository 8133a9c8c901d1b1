//! Instruments. Each is made once and kept; a hot one is bound to its attributes once.

use crate::{Attributes, Value, imp};

/// A distribution of values.
#[derive(Clone, Debug)]
pub struct Histogram(pub(crate) imp::Histogram);

impl Histogram {
    /// Records a value, in the instrument's unit. The closure runs only while telemetry is on.
    pub fn record(&self, value: f64, attributes: impl FnOnce(&mut Attributes)) {
        self.0.record(value, attributes);
    }

    /// Starts to measure a duration. The closure runs only while telemetry is on; so does the clock.
    pub fn time(&self, attributes: impl FnOnce(&mut Attributes)) -> Timer {
        Timer(self.0.time(attributes))
    }

    /// The same instrument with fixed attributes: about a tenth of the cost of each
    /// [`record`](Histogram::record).
    pub fn bind(&self, attributes: impl FnOnce(&mut Attributes)) -> BoundHistogram {
        BoundHistogram(self.0.bind(attributes))
    }
}

/// A duration that is being measured, for a [`Histogram`] in seconds. Dropped without
/// [`stop`](Timer::stop), it records nothing.
#[derive(Debug)]
#[must_use = "a duration is recorded by `stop`"]
pub struct Timer(imp::Timer);

impl Timer {
    /// Sets an attribute after the start.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set(key, value.into());
    }

    /// Records the seconds since the start.
    pub fn stop(self) {
        self.0.stop();
    }
}

/// A [`Histogram`] with its attributes.
#[derive(Clone, Debug)]
pub struct BoundHistogram(imp::BoundHistogram);

impl BoundHistogram {
    /// Records a value, in the instrument's unit.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }
}

/// A sum that only grows.
#[derive(Clone, Debug)]
pub struct Counter(pub(crate) imp::Counter);

impl Counter {
    /// Adds to the sum. The closure runs only while telemetry is on.
    pub fn add(&self, value: u64, attributes: impl FnOnce(&mut Attributes)) {
        self.0.add(value, attributes);
    }

    /// The same instrument with fixed attributes.
    pub fn bind(&self, attributes: impl FnOnce(&mut Attributes)) -> BoundCounter {
        BoundCounter(self.0.bind(attributes))
    }
}

/// A [`Counter`] with its attributes.
#[derive(Clone, Debug)]
pub struct BoundCounter(imp::BoundCounter);

impl BoundCounter {
    /// Adds to the sum.
    pub fn add(&self, value: u64) {
        self.0.add(value);
    }
}

/// A sum that grows and shrinks.
#[derive(Clone, Debug)]
pub struct UpDownCounter(pub(crate) imp::UpDownCounter);

impl UpDownCounter {
    /// Adds to the sum, or takes from it. The closure runs only while telemetry is on.
    pub fn add(&self, value: i64, attributes: impl FnOnce(&mut Attributes)) {
        self.0.add(value, attributes);
    }

    /// The same instrument with fixed attributes.
    pub fn bind(&self, attributes: impl FnOnce(&mut Attributes)) -> BoundUpDownCounter {
        BoundUpDownCounter(self.0.bind(attributes))
    }
}

/// An [`UpDownCounter`] with its attributes.
#[derive(Clone, Debug)]
pub struct BoundUpDownCounter(imp::BoundUpDownCounter);

impl BoundUpDownCounter {
    /// Adds to the sum, or takes from it.
    pub fn add(&self, value: i64) {
        self.0.add(value);
    }
}

/// A value that keeps what it was last set to.
#[derive(Clone, Debug)]
pub struct Gauge(pub(crate) imp::Gauge);

impl Gauge {
    /// Sets the value. The closure runs only while telemetry is on.
    pub fn set(&self, value: i64, attributes: impl FnOnce(&mut Attributes)) {
        self.0.set(value, attributes);
    }
}
