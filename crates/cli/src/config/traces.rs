//! The tables `[traces]` and `[propagation]`.

use hyper_otel::{Propagation, Recipients};
use postrider_queue::work::Receives;
use postrider_worker::settings::Retries;

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

pub(super) fn propagation(table: &mut Table<'_, '_>) -> Propagation {
    let traces = if table.has_list("traces_to") {
        Recipients::Only(table.texts("traces_to", str::parse))
    } else {
        table.text("traces_to").unwrap_or_default()
    };
    Propagation::default().traces(traces).baggage(table.texts("baggage_to", str::parse))
}
