//! The tables `[traces]` and `[propagation]`, and `trace_url`.

use std::path::Path;

use hyper_otel::{Propagation, Recipients};
use postrider_queue::work::Receives;
use postrider_worker::settings::Retries;

use toml::de::{DeTable, DeValue};

use super::table::Table;

/// Which spans are made, and how they are related; `None` where the file does not set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// How the trace of a further attempt is related to the earlier ones.
    pub retries: Option<Retries>,
    /// Which reads have a span.
    pub receive: Option<Receives>,
    /// Whether each Redis command has a span.
    pub redis: Option<bool>,
}

impl Traces {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self { retries: table.text("retries"), receive: table.text("receive"), redis: table.flag("redis") }
    }
}

/// The address of a trace in the tracing backend, with `{trace_id}` in place of its id.
pub(crate) fn trace_pattern(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    match is_web && text.contains("{trace_id}") {
        true => Ok(text.to_owned()),
        false => {
            Err("write an address with {trace_id}, as http://localhost:16686/trace/{trace_id}".to_owned())
        }
    }
}

/// The key `trace_url` of a file, whatever else it contains: the rest is the worker's.
pub(crate) fn trace_url(path: &Path) -> Result<Option<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    of_text(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn of_text(text: &str) -> Result<Option<String>, String> {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?.into_inner();
    match root.get("trace_url").map(toml::Spanned::get_ref) {
        None => Ok(None),
        Some(DeValue::String(text)) => match trace_pattern(text) {
            Ok(pattern) => Ok(Some(pattern)),
            Err(error) => Err(format!("`trace_url`: {error}")),
        },
        Some(_) => Err("`trace_url` must be a text in quotes".to_owned()),
    }
}

/// Checks `trace_url`, which other commands use.
pub(super) fn check_trace_url(root: &mut Table<'_, '_>) {
    if let Some((at, text)) = root.string("trace_url")
        && let Err(error) = trace_pattern(&text)
    {
        root.problem_at(at, format!("`trace_url`: {error}"));
    }
}

pub(super) fn propagation(table: &mut Table<'_, '_>) -> Propagation {
    let traces = if table.has_list("traces_to") {
        Recipients::Only(table.texts("traces_to", str::parse))
    } else {
        table.text("traces_to").unwrap_or_default()
    };
    Propagation::default().traces(traces).baggage(table.texts("baggage_to", str::parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_place_of_the_id() {
        assert!(trace_pattern("https://jaeger.test/trace/{trace_id}?x=1").is_ok());
        for wrong in ["", "https://jaeger.test/trace/", "javascript:{trace_id}", "jaeger/{trace_id}"] {
            assert!(trace_pattern(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_address_is_read_from_any_file_of_a_worker() {
        let of = |text: &str| of_text(text);
        let address = "http://t/{trace_id}".to_owned();
        let secret = "[secrets.a]\nbearer = { env = \"NO_SUCH_VARIABLE\" }\n";
        assert_eq!(of(&format!("trace_url = \"{address}\"\n{secret}")), Ok(Some(address)));
        assert_eq!(of(secret), Ok(None));
        for wrong in ["trace_url = 1", "trace_url = \"x\"", "trace_url = "] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
