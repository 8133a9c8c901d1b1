//! The table `[traces]`.

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
