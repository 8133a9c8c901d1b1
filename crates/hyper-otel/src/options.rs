//! Settings of the recording.

use std::error::Error;

use otel_facade::ErrorType;

use crate::capture::Captured;
use crate::error_type::error_type;
use crate::exclude::Excluded;
use crate::hooks::Hooks;
use crate::methods::Methods;
use crate::propagation::Propagation;
use crate::url::Redaction;

/// How requests are recorded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// When the span ends. Default: with the body.
    pub end: End,
    /// The methods that keep their names. `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    pub methods: Methods,
    /// Headers that become attributes. Default: none. `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST`,
    /// `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE`,
    /// `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS`.
    pub captured: Captured,
    /// URLs whose requests are not recorded. Default: none. `{prefix}HTTP_EXCLUDED_URLS`.
    pub excluded: Excluded,
    /// The parts of URLs that are hidden.
    pub redaction: Redaction,
    /// The hosts that receive context.
    pub propagation: Propagation,
    /// The number of hosts whose names metrics contain; all others are `_OTHER`. Default: 100.
    pub most_hosts: usize,
    /// Whether requests under way are counted (`http.client.active_requests`). Default: no.
    /// `{prefix}HTTP_ACTIVE_REQUESTS`.
    pub active_requests: bool,
    /// The names of errors. Default: [`error_type`](crate::error_type()).
    pub classify: fn(&(dyn Error + 'static)) -> ErrorType,
    /// The description of a failed span, one sentence without secrets, from the error that ended its exchange.
    /// Default: the sentence of the error type.
    pub describe: Option<fn(&(dyn Error + 'static)) -> String>,
    /// Functions that see each recorded exchange. Default: none.
    pub hooks: Hooks,
}

/// When a span, and with it the measured duration, ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// With the response's body, so that errors of the body show. Dropping the body earlier ends the span.
    #[default]
    Body,
    /// With the response's head, for callers that keep bodies for long or do not read them.
    Head,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            end: End::default(),
            methods: Methods::default(),
            captured: Captured::default(),
            excluded: Excluded::default(),
            redaction: Redaction::default(),
            propagation: Propagation::default(),
            most_hosts: 100,
            active_requests: false,
            classify: error_type,
            describe: None,
            hooks: Hooks::default(),
        }
    }
}

impl Options {
    /// Sets [`end`](Self::end).
    #[must_use]
    pub fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Sets [`methods`](Self::methods).
    #[must_use]
    pub fn methods(mut self, methods: Methods) -> Self {
        self.methods = methods;
        self
    }

    /// Sets [`captured`](Self::captured).
    #[must_use]
    pub fn captured(mut self, captured: Captured) -> Self {
        self.captured = captured;
        self
    }

    /// Sets [`excluded`](Self::excluded).
    #[must_use]
    pub fn excluded(mut self, excluded: Excluded) -> Self {
        self.excluded = excluded;
        self
    }

    /// Sets [`redaction`](Self::redaction).
    #[must_use]
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// Sets [`propagation`](Self::propagation).
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    /// Sets [`most_hosts`](Self::most_hosts).
    #[must_use]
    pub fn most_hosts(mut self, most_hosts: usize) -> Self {
        self.most_hosts = most_hosts;
        self
    }

    /// Sets [`active_requests`](Self::active_requests).
    #[must_use]
    pub fn active_requests(mut self, active_requests: bool) -> Self {
        self.active_requests = active_requests;
        self
    }

    /// Sets [`classify`](Self::classify).
    #[must_use]
    pub fn classify(mut self, classify: fn(&(dyn Error + 'static)) -> ErrorType) -> Self {
        self.classify = classify;
        self
    }

    /// Sets [`describe`](Self::describe).
    #[must_use]
    pub fn describe(mut self, describe: fn(&(dyn Error + 'static)) -> String) -> Self {
        self.describe = Some(describe);
        self
    }

    /// Sets [`hooks`](Self::hooks).
    #[must_use]
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.hooks = hooks;
        self
    }

    /// Reads the variables that the fields name from the environment of the process. The prefix is the program's, as
    /// `MY_PROGRAM_`, for the variables that OpenTelemetry has no name for.
    pub fn from_env(prefix: &str) -> Self {
        Self::from_lookup(prefix, |name| std::env::var(name).ok())
    }

    /// Reads the variables that the fields name from anywhere. An empty value counts as unset.
    pub fn from_lookup(prefix: &str, lookup: impl Fn(&str) -> Option<String>) -> Self {
        const CAPTURE: &str = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_";
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let header = |name: &str| get(&format!("{CAPTURE}{name}")).unwrap_or_default();
        let captured = Captured::default()
            .request(&header("CLIENT_REQUEST"))
            .response(&header("CLIENT_RESPONSE"))
            .sanitized(&header("SANITIZE_FIELDS"));
        let methods = get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS").map(|text| Methods::listed(&text));
        let excluded = get(&format!("{prefix}HTTP_EXCLUDED_URLS")).map(|text| Excluded::listed(&text));
        let active_requests = get(&format!("{prefix}HTTP_ACTIVE_REQUESTS"));
        Self {
            methods: methods.unwrap_or_default(),
            captured,
            excluded: excluded.unwrap_or_default(),
            active_requests: active_requests.is_some_and(|value| is_true(&value)),
            ..Self::default()
        }
    }
}

/// Settings of the recording of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Whether connections and lookups are measured: `http.client.open_connections`,
    /// `http.client.connection.duration`, `dns.lookup.duration`. Default: no. `{prefix}HTTP_CONNECTION_METRICS`.
    pub metrics: bool,
    /// The number of hosts whose names metrics contain; all others are `_OTHER`. Default: 100.
    pub most_hosts: usize,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self { metrics: false, most_hosts: 100 }
    }
}

impl ConnectionOptions {
    /// Sets [`metrics`](Self::metrics).
    #[must_use]
    pub fn metrics(mut self, metrics: bool) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets [`most_hosts`](Self::most_hosts).
    #[must_use]
    pub fn most_hosts(mut self, most_hosts: usize) -> Self {
        self.most_hosts = most_hosts;
        self
    }

    /// Reads the variables that the fields name from the environment of the process. The prefix is the program's, as
    /// `MY_PROGRAM_`.
    pub fn from_env(prefix: &str) -> Self {
        Self::from_lookup(prefix, |name| std::env::var(name).ok())
    }

    /// Reads the variables that the fields name from anywhere.
    pub fn from_lookup(prefix: &str, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let metrics = lookup(&format!("{prefix}HTTP_CONNECTION_METRICS"));
        Self { metrics: metrics.is_some_and(|value| is_true(&value)), ..Self::default() }
    }
}

fn is_true(value: &str) -> bool {
    ["true", "1", "yes", "on"].iter().any(|yes| value.trim().eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_are_read_and_an_empty_one_is_none() {
        let options = Options::from_lookup("MY_", |name| {
            let value = match name {
                "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS" => "PURGE",
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST" => "a",
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE" => "b",
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS" => "c",
                "MY_HTTP_EXCLUDED_URLS" => "d.test",
                "MY_HTTP_ACTIVE_REQUESTS" => "True",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(options.methods, Methods::listed("PURGE"));
        assert_eq!(options.captured, Captured::default().request("a").response("b").sanitized("c"));
        assert_eq!(options.excluded, Excluded::listed("d.test"));
        assert!(options.active_requests);
        let empty = Options::from_lookup("MY_", |_| Some(" ".to_owned()));
        assert_eq!((empty.methods, empty.captured), (Methods::default(), Captured::default()));
        assert_eq!((empty.excluded, empty.active_requests), (Excluded::default(), false));
    }
}
