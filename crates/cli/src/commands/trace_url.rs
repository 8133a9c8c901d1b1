//! The address of a trace in the tracing backend.

use std::path::PathBuf;

use clap::Args;
use postrider_console::view::{trace_address, trace_id};
use postrider_queue::job::Fields;
use serde_json::Value;

use super::terminal::{self, wrapped};
use crate::config::{trace_pattern, trace_url};

/// Where traces are shown.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct TraceUrl {
    /// Address of a trace, with {trace_id} in place of its id: http://localhost:16686/trace/{trace_id}
    /// [default: `trace_url` in --config]
    #[arg(long = "trace-url", env = "POSTRIDER_TRACE_URL", value_name = "URL", value_parser = trace_pattern)]
    url: Option<String>,
    /// The worker's configuration file, of which only `trace_url` is used
    #[arg(long, env = "POSTRIDER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Makes links to traces.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceLinks(Option<String>);

impl TraceUrl {
    /// An address for tests.
    #[cfg(test)]
    pub(super) fn at(url: Option<&str>) -> Self {
        Self { url: url.map(str::to_owned), config: None }
    }

    /// The same, with the file of another command's `--config`, if it has one.
    pub(super) fn or_file(mut self, config: Option<PathBuf>) -> Self {
        self.config = config.or(self.config);
        self
    }

    /// The address, by the argument, its variable or the file. A file that cannot be read only costs the links.
    pub(super) fn pattern(self) -> Option<String> {
        self.url.or_else(|| {
            let path = self.config?;
            trace_url(&path).unwrap_or_else(|error| {
                eprintln!("note: no links to traces: {error}");
                None
            })
        })
    }

    pub(super) fn links(self) -> TraceLinks {
        TraceLinks(self.pattern())
    }
}

impl TraceLinks {
    /// The address of a trace, if addresses are known.
    pub(super) fn address(&self, trace_id: &str) -> Option<String> {
        trace_address(self.0.as_deref()?, trace_id)
    }

    /// Prints the address of each trace of a job that has these fields, in its own line.
    pub(super) fn print_of(&self, fields: &Fields, attempts: &[Value]) {
        self.print(attempts, trace_id(fields).as_deref());
    }

    /// Prints the address of each trace once, in its own line: those of the attempts, and another one.
    pub(super) fn print(&self, attempts: &[Value], other: Option<&str>) {
        let of_attempts = attempts.iter().filter_map(|attempt| attempt["trace_id"].as_str());
        for address in self.addresses(of_attempts.chain(other)) {
            print_line!("{}", wrapped(&format!("trace {address}"), "    ", terminal::width()));
        }
    }

    /// The address of each trace once, in their order.
    fn addresses<'a>(&self, trace_ids: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut addresses: Vec<String> = Vec::new();
        for address in trace_ids.into_iter().filter_map(|id| self.address(id)) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Adds a `trace_url` beside each `trace_id` of a document.
    pub(super) fn added_to(&self, mut document: Value) -> Value {
        self.add_to(&mut document);
        document
    }

    fn add_to(&self, value: &mut Value) {
        match value {
            Value::Array(list) => list.iter_mut().for_each(|item| self.add_to(item)),
            Value::Object(object) => {
                object.values_mut().for_each(|item| self.add_to(item));
                let address = object.get("trace_id").and_then(Value::as_str).and_then(|id| self.address(id));
                object.extend(address.map(|address| ("trace_url".to_owned(), address.into())));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn each_trace_id_of_a_document_gets_its_address() {
        let document = json!({"jobs": [{"trace_id": TRACE, "fields": {"trace_id": "x"}}], "trace_id": null});
        let links = TraceLinks(Some("http://t/{trace_id}".to_owned()));
        let address = format!("http://t/{TRACE}");
        let with = json!({"trace_id": TRACE, "trace_url": address, "fields": {"trace_id": "x"}});
        assert_eq!(links.added_to(document.clone()), json!({"jobs": [with], "trace_id": null}));
        assert_eq!(TraceLinks(None).added_to(document.clone()), document);
        assert_eq!(links.addresses([TRACE, "x", TRACE]), [address]);
    }
}
