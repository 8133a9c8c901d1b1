//! The table `[propagation]`.

use hyper_otel::{Propagation, Recipients};

use super::table::Table;

pub(super) fn read(table: &mut Table<'_, '_>) -> Propagation {
    let traces = if table.has_list("traces_to") {
        Recipients::Only(table.texts("traces_to", str::parse))
    } else {
        table.text("traces_to").unwrap_or_default()
    };
    Propagation::default().traces(traces).baggage(table.texts("baggage_to", str::parse))
}
