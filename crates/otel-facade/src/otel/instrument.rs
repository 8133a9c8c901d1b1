//! Instruments on the OpenTelemetry API.

use std::time::Instant;

use opentelemetry::{KeyValue, metrics};

use super::{Attributes, Telemetry};
use crate::Value;

impl Telemetry {
    pub(crate) fn histogram(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        bounds: &[f64],
    ) -> Histogram {
        Histogram(self.0.as_ref().map(|recorder| {
            let builder = recorder.meter.f64_histogram(name).with_unit(unit).with_description(description);
            builder.with_boundaries(bounds.to_vec()).build()
        }))
    }

    pub(crate) fn counter(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Counter {
        Counter(self.0.as_ref().map(|recorder| {
            recorder.meter.u64_counter(name).with_unit(unit).with_description(description).build()
        }))
    }

    pub(crate) fn up_down_counter(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> UpDownCounter {
        UpDownCounter(self.0.as_ref().map(|recorder| {
            let builder = recorder.meter.i64_up_down_counter(name);
            builder.with_unit(unit).with_description(description).build()
        }))
    }

    pub(crate) fn gauge(&self, name: &'static str, unit: &'static str, description: &'static str) -> Gauge {
        Gauge(self.0.as_ref().map(|recorder| {
            recorder.meter.i64_gauge(name).with_unit(unit).with_description(description).build()
        }))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Histogram(Option<metrics::Histogram<f64>>);

impl Histogram {
    pub(crate) fn record(&self, value: f64, describe: impl FnOnce(&mut crate::Attributes)) {
        if let Some(histogram) = &self.0 {
            histogram.record(value, &Attributes::collect(describe));
        }
    }

    pub(crate) fn time(&self, describe: impl FnOnce(&mut crate::Attributes)) -> Timer {
        Timer(self.0.as_ref().map(|histogram| {
            let attributes = Attributes::collect(describe);
            Timing { started: Instant::now(), attributes, histogram: histogram.clone() }
        }))
    }

    pub(crate) fn bind(&self, describe: impl FnOnce(&mut crate::Attributes)) -> BoundHistogram {
        BoundHistogram(self.0.as_ref().map(|histogram| histogram.bind(&Attributes::collect(describe))))
    }
}

#[derive(Debug)]
pub(crate) struct Timer(Option<Timing>);

#[derive(Debug)]
struct Timing {
    started: Instant,
    attributes: Vec<KeyValue>,
    histogram: metrics::Histogram<f64>,
}

impl Timer {
    pub(crate) fn set(&mut self, key: &'static str, value: Value) {
        if let Some(timing) = &mut self.0 {
            timing.attributes.push(KeyValue::new(key, value));
        }
    }

    pub(crate) fn stop(self) {
        if let Some(Timing { started, attributes, histogram }) = self.0 {
            histogram.record(started.elapsed().as_secs_f64(), &attributes);
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct BoundHistogram(Option<metrics::BoundHistogram<f64>>);

impl BoundHistogram {
    pub(crate) fn record(&self, value: f64) {
        if let Some(histogram) = &self.0 {
            histogram.record(value);
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Counter(Option<metrics::Counter<u64>>);

impl Counter {
    pub(crate) fn add(&self, value: u64, describe: impl FnOnce(&mut crate::Attributes)) {
        if let Some(counter) = &self.0 {
            counter.add(value, &Attributes::collect(describe));
        }
    }

    pub(crate) fn bind(&self, describe: impl FnOnce(&mut crate::Attributes)) -> BoundCounter {
        BoundCounter(self.0.as_ref().map(|counter| counter.bind(&Attributes::collect(describe))))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct BoundCounter(Option<metrics::BoundCounter<u64>>);

impl BoundCounter {
    pub(crate) fn add(&self, value: u64) {
        if let Some(counter) = &self.0 {
            counter.add(value);
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct UpDownCounter(Option<metrics::UpDownCounter<i64>>);

impl UpDownCounter {
    pub(crate) fn add(&self, value: i64, describe: impl FnOnce(&mut crate::Attributes)) {
        if let Some(counter) = &self.0 {
            counter.add(value, &Attributes::collect(describe));
        }
    }

    pub(crate) fn bind(&self, describe: impl FnOnce(&mut crate::Attributes)) -> BoundUpDownCounter {
        BoundUpDownCounter(self.0.as_ref().map(|counter| counter.bind(&Attributes::collect(describe))))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct BoundUpDownCounter(Option<metrics::BoundUpDownCounter<i64>>);

impl BoundUpDownCounter {
    pub(crate) fn add(&self, value: i64) {
        if let Some(counter) = &self.0 {
            counter.add(value);
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Gauge(Option<metrics::Gauge<i64>>);

impl Gauge {
    pub(crate) fn set(&self, value: i64, describe: impl FnOnce(&mut crate::Attributes)) {
        if let Some(gauge) = &self.0 {
            gauge.record(value, &Attributes::collect(describe));
        }
    }
}
