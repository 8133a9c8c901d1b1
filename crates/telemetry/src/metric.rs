//! Instruments. Each is made once and kept; a hot one is bound to its attributes once.

use crate::{Attributes, imp};

/// A distribution of values.
#[derive(Clone, Debug)]
pub struct Histogram(pub(crate) imp::Histogram);

impl Histogram {
    /// Records a value, in the instrument's unit. The closure runs only while telemetry is on.
    pub fn record(&self, value: f64, attributes: impl FnOnce(&mut Attributes)) {
        self.0.record(value, attributes);
    }

    /// The same instrument with fixed attributes: about a tenth of the cost of each
    /// [`record`](Histogram::record).
    pub fn bind(&self, attributes: impl FnOnce(&mut Attributes)) -> BoundHistogram {
        BoundHistogram(self.0.bind(attributes))
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
}

/// A value that is what it was last set to.
#[derive(Clone, Debug)]
pub struct Gauge(pub(crate) imp::Gauge);

impl Gauge {
    /// Sets the value. The closure runs only while telemetry is on.
    pub fn set(&self, value: i64, attributes: impl FnOnce(&mut Attributes)) {
        self.0.set(value, attributes);
    }
}
