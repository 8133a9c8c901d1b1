//! The table `[traces]`.

use postrider_queue::work::Receives;
use postrider_worker::settings::Retries;

use super::table::Table;

/// What becomes spans, and how they hang together; `None` where the file does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// How the traces of further attempts belong to what was before.
    pub retries: Option<Retries>,
    /// Which reads become spans.
    pub receive: Option<Receives>,
    /// Whether each Redis command is a span.
    pub redis: Option<bool>,
}

impl Traces {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self { retries: table.text("retries"), receive: table.text("receive"), redis: table.flag("redis") }
    }
}
