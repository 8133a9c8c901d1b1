//! What a program adds to the standard variables: its own names.

use std::borrow::Cow;

/// The name of a log field as an attribute, by the target of the line (a module's path; empty for a field of a
/// [`LogContext`](crate::LogContext)) and the field's name. `None` for the default: the field in the namespace of the
/// crate that wrote the line.
pub type LogNames = fn(target: &str, field: &str) -> Option<Cow<'static, str>>;

/// Used where the program sets none.
const METRICS_HINT: &str = "the program decides where its metrics are served";

/// A program that records telemetry, and the names that are its own.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Program {
    /// The instrumentation scope of spans and metrics, and the default of `service.name`.
    pub name: &'static str,
    /// The version of that scope, and `service.version`.
    pub version: &'static str,
    /// The variable that sets [`Config::internals`](crate::Config::internals). Default: none.
    pub internals_variable: Option<&'static str>,
    /// How the program is configured to serve metrics for Prometheus: the second half of a sentence, for the warning about
    /// `OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT`. Default: the program decides.
    pub metrics_hint: &'static str,
    /// The attribute names of log fields. Default: each in the namespace of its crate.
    pub log_names: LogNames,
}

impl Program {
    /// A program with that name and version, and with defaults for everything else.
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, internals_variable: None, metrics_hint: METRICS_HINT, log_names: |_, _| None }
    }

    /// Sets [`internals_variable`](Self::internals_variable).
    #[must_use]
    pub const fn internals_variable(mut self, variable: &'static str) -> Self {
        self.internals_variable = Some(variable);
        self
    }

    /// Sets [`metrics_hint`](Self::metrics_hint).
    #[must_use]
    pub const fn metrics_hint(mut self, hint: &'static str) -> Self {
        self.metrics_hint = hint;
        self
    }

    /// Sets [`log_names`](Self::log_names).
    #[must_use]
    pub const fn log_names(mut self, names: LogNames) -> Self {
        self.log_names = names;
        self
    }
}

pub(super) fn metrics_hint(program: Option<Program>) -> &'static str {
    program.map_or(METRICS_HINT, |program| program.metrics_hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn internals_are_not_traced_unless_asked_for() {
        let set = |name: &str| ["OTEL_ENABLED", "MY_INTERNALS"].contains(&name).then(|| "yes".to_owned());
        let program = Program::new("mine", "1.2.3");
        assert!(!Config::from_lookup(set).internals);
        assert!(!Config::of_lookup(program, set).internals);
        let program = program.internals_variable("MY_INTERNALS");
        assert!(Config::of_lookup(program, set).internals);
        assert!(!Config::of_lookup(program, |_| None).internals);
    }

    #[test]
    fn a_program_names_its_service_and_where_its_metrics_are() {
        let program = Program::new("mine", "1.2.3").metrics_hint("look at /numbers");
        let variables = |name: &str| match name {
            "OTEL_ENABLED" => Some("true".to_owned()),
            "OTEL_METRICS_EXPORTER" => Some("prometheus".to_owned()),
            "OTEL_EXPORTER_PROMETHEUS_PORT" => Some("9464".to_owned()),
            _ => None,
        };
        let config = Config::of_lookup(program, variables);
        assert_eq!((config.service_name.as_str(), config.service_version), ("mine", Some("1.2.3")));
        assert_eq!(config.warnings, ["OTEL_EXPORTER_PROMETHEUS_PORT is ignored: look at /numbers"]);
        let named = |name: &str| (name == "OTEL_SERVICE_NAME").then(|| "another".to_owned());
        assert_eq!(Config::of_lookup(program, named).service_name, "another");
    }
}
