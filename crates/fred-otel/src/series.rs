//! The metric of commands: one bound instrument for each command and error, found without an allocation.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use otel_facade::{BoundHistogram, ErrorType, Histogram, Telemetry, semconv};

use crate::server::Server;

/// Commands, and errors of each: more than exist, so that only made-up ones exceed the limit.
const COMMANDS_MAX: usize = 500;
const ERRORS_MAX: usize = 30;

#[derive(Debug)]
pub(crate) struct Series {
    duration: Histogram,
    known: RwLock<BTreeMap<&'static str, OfCommand>>,
}

/// The instruments of one command, by error.
type OfCommand = Vec<(Option<ErrorType>, BoundHistogram)>;

impl Series {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let duration = telemetry.histogram(
            semconv::DB_CLIENT_OPERATION_DURATION,
            "s",
            "Duration of database client operations",
            semconv::DATABASE_SECONDS,
        );
        Self { duration, known: RwLock::default() }
    }

    pub(crate) fn record(
        &self,
        operation: &'static str,
        error: Option<ErrorType>,
        server: &Server,
        seconds: f64,
    ) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of_operation = known.get(operation).into_iter().flatten();
        if let Some((_, bound)) = of_operation.into_iter().find(|(key, _)| *key == error) {
            return bound.record(seconds);
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let full = known.len() >= COMMANDS_MAX && !known.contains_key(operation);
        let operation = if full { "_OTHER" } else { operation };
        let of_operation = known.entry(operation).or_default();
        let error = if of_operation.len() < ERRORS_MAX { error } else { error.map(|_| ErrorType::Other) };
        if let Some((_, bound)) = of_operation.iter().find(|(key, _)| *key == error) {
            return bound.record(seconds);
        }
        let bound = self.duration.bind(|attributes| {
            attributes.set(semconv::DB_SYSTEM_NAME, "redis");
            attributes.set(semconv::DB_OPERATION_NAME, operation);
            server.describe(attributes);
            if let Some(error) = &error {
                attributes.set(semconv::ERROR_TYPE, error);
                if let ErrorType::Custom { .. } = error {
                    attributes.set(semconv::DB_RESPONSE_STATUS_CODE, error);
                }
            }
        });
        bound.record(seconds);
        of_operation.push((error, bound));
    }

    #[cfg(test)]
    fn len(&self, operation: &str) -> usize {
        self.known.read().unwrap().get(operation).map_or(0, Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use fred::types::Builder;

    use super::*;
    use crate::error_type::of_reply;

    #[test]
    fn a_server_that_makes_up_errors_makes_no_more_series() {
        let client = Builder::default_centralized().build().unwrap();
        let (series, server) = (Series::new(&Telemetry::disabled()), Server::of(&client));
        for number in 0..1000_u32 {
            let prefix: String = format!("{number:05}").bytes().map(|digit| (digit + 17) as char).collect();
            series.record("GET", Some(of_reply(prefix)), &server, 0.1);
        }
        series.record("GET", None, &server, 0.1);
        assert_eq!(series.len("GET"), ERRORS_MAX + 2, "the first, the others, and what succeeds");
    }
}
