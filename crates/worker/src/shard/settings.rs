//! The settings that the work on a delivery uses.

use std::sync::Arc;

use postrider_queue::job::FlowLimits;
use tokio::sync::watch;

use crate::http::secrets::Secrets;
use crate::http::sender::Sender;
use crate::policy::notice::NoticeSettings;
use crate::policy::{RetryPolicies, StoppingQueues, UnknownFieldLog};

/// The settings that deliveries use. They are replaced together: a delivery reads them once.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How failed attempts are retried.
    pub retry: RetryPolicies,
    /// Secrets that sign and authenticate requests.
    pub secrets: Secrets,
    /// What becomes of jobs with unknown fields.
    pub unknown: UnknownFieldLog,
    /// The queues in which a dead letter stops the later jobs of its order key.
    pub on_dead: StoppingQueues,
    /// The limits of flows.
    pub flows: FlowLimits,
    /// Where operators get notices; `None` for nowhere.
    pub notices: Option<NoticeSettings>,
    /// Sends requests, to the addresses that may be reached.
    pub sender: Sender,
}

/// The settings that apply now. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CurrentSettings(watch::Receiver<Arc<Settings>>);

impl CurrentSettings {
    /// The settings that this channel holds.
    pub(crate) fn new(settings: watch::Receiver<Arc<Settings>>) -> Self {
        Self(settings)
    }

    /// The settings that apply now. Without an allocation.
    pub(crate) fn get(&self) -> Arc<Settings> {
        self.0.borrow().clone()
    }
}
