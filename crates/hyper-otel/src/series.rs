//! The metrics of exchanges: one bound instrument for each set of attributes, found without an allocation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use otel_facade::{
    BoundHistogram, BoundUpDownCounter, ErrorType, Histogram, Telemetry, UpDownCounter, semconv,
};

use crate::hosts::{Hosts, OTHER};

/// Sets of attributes. Further ones are recorded by their method alone.
const SERIES_MAX: usize = 1000;

#[derive(Debug)]
pub(crate) struct Series {
    duration: Histogram,
    active: Option<UpDownCounter>,
    hosts: Hosts<HostSeries>,
    bound: AtomicUsize,
}

/// The instruments of one host.
#[derive(Debug)]
pub(crate) struct HostSeries {
    pub(crate) name: Arc<str>,
    durations: RwLock<Vec<(Measured, BoundHistogram)>>,
    active: RwLock<Vec<(Target, BoundUpDownCounter)>>,
}

/// The target of a request without its host. The port is 0 where it is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) method: &'static str,
    pub(crate) port: u16,
}

/// The attributes of a duration without the host. The status is 0 without a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) target: Target,
    pub(crate) status: u16,
    pub(crate) version: Option<&'static str>,
    pub(crate) error: Option<ErrorType>,
}

impl HostSeries {
    fn new(name: Arc<str>) -> Self {
        Self { name, durations: RwLock::default(), active: RwLock::default() }
    }

    pub(crate) fn is_other(&self) -> bool {
        &*self.name == OTHER
    }
}

impl Series {
    pub(crate) fn new(telemetry: &Telemetry, most_hosts: usize, active: bool) -> Self {
        let duration = telemetry.histogram(
            semconv::HTTP_CLIENT_REQUEST_DURATION,
            "s",
            "Duration of HTTP client requests",
            semconv::REQUEST_SECONDS,
        );
        let active = active.then(|| {
            telemetry.up_down_counter(
                semconv::HTTP_CLIENT_ACTIVE_REQUESTS,
                "{request}",
                "HTTP client requests under way",
            )
        });
        Self { duration, active, hosts: Hosts::new(most_hosts, HostSeries::new), bound: AtomicUsize::new(0) }
    }

    pub(crate) fn host(&self, name: &str) -> Arc<HostSeries> {
        self.hosts.get(name, HostSeries::new)
    }

    pub(crate) fn record(&self, host: &HostSeries, measured: Measured, seconds: f64) {
        let known = host.durations.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bound)) = known.iter().find(|(key, _)| *key == measured) {
            return bound.record(seconds);
        }
        drop(known);
        if self.bound.fetch_add(1, Ordering::Relaxed) < SERIES_MAX {
            self.bind_and_record(host, measured, seconds);
        } else {
            self.bound.store(SERIES_MAX, Ordering::Relaxed);
            let target = Target { port: 0, ..measured.target };
            let error = measured.error.map(|_| ErrorType::Other);
            let rest = Measured { target, status: 0, version: None, error };
            self.bind_and_record(&self.hosts.other(), rest, seconds);
        }
    }

    fn bind_and_record(&self, host: &HostSeries, measured: Measured, seconds: f64) {
        let mut known = host.durations.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bound)) = known.iter().find(|(key, _)| *key == measured) {
            return bound.record(seconds);
        }
        let bound = self.duration.bind(|attributes| {
            if let Some(error) = &measured.error {
                attributes.set(semconv::ERROR_TYPE, error);
            }
            attributes.set(semconv::HTTP_REQUEST_METHOD, measured.target.method);
            if measured.status != 0 {
                attributes.set(semconv::HTTP_RESPONSE_STATUS_CODE, measured.status);
            }
            if let Some(version) = measured.version {
                attributes.set(semconv::NETWORK_PROTOCOL_VERSION, version);
            }
            attributes.set(semconv::SERVER_ADDRESS, host.name.clone());
            if measured.target.port != 0 {
                attributes.set(semconv::SERVER_PORT, measured.target.port);
            }
        });
        bound.record(seconds);
        known.push((measured, bound));
    }

    /// Counts a request that is under way until the returned value is dropped.
    pub(crate) fn active(&self, host: &HostSeries, target: Target) -> Option<Active> {
        let counter = self.active.as_ref()?;
        let known = host.active.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bound)) = known.iter().find(|(key, _)| *key == target) {
            return Some(Active::new(bound.clone()));
        }
        drop(known);
        let bound = counter.bind(|attributes| {
            attributes.set(semconv::HTTP_REQUEST_METHOD, target.method);
            attributes.set(semconv::SERVER_ADDRESS, host.name.clone());
            if target.port != 0 {
                attributes.set(semconv::SERVER_PORT, target.port);
            }
        });
        let mut known = host.active.write().unwrap_or_else(PoisonError::into_inner);
        // Two that bind the same count in the same place.
        if known.len() < SERIES_MAX {
            known.push((target, bound.clone()));
        }
        Some(Active::new(bound))
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Active(BoundUpDownCounter);

impl Active {
    fn new(counter: BoundUpDownCounter) -> Self {
        counter.add(1);
        Self(counter)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_attributes_are_bounded_whatever_a_server_answers() {
        let series = Series::new(&Telemetry::disabled(), 100, false);
        let host = series.host("hostile.test");
        for status in 0..2000 {
            let target = Target { method: "GET", port: 80 };
            let measured = Measured { target, status, version: Some("1.1"), error: Some(ErrorType::Other) };
            series.record(&host, measured, 0.1);
        }
        assert_eq!(host.durations.read().unwrap().len(), SERIES_MAX);
        let other = series.hosts.other();
        let rest = other.durations.read().unwrap();
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!((rest[0].0.target, rest[0].0.status), (Target { method: "GET", port: 0 }, 0));
    }
}
