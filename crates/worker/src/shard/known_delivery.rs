//! What distinguishes jobs with the same entry id.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use postrider_queue::job::Delivery;

/// What distinguishes a job from another with the same entry id.
#[derive(Debug)]
pub(super) enum KnownDelivery {
    Whole(Arc<Delivery>),
    /// Of a job whose fields are no longer kept.
    Fingerprint(u64),
}

impl KnownDelivery {
    pub(super) fn is_of(&self, delivery: &Delivery) -> bool {
        match self {
            Self::Whole(known) => known.fields == delivery.fields,
            Self::Fingerprint(known) => *known == fingerprint(delivery),
        }
    }
}

/// Of the names and sizes of the fields and of how they begin: a whole body would take milliseconds.
pub(super) fn fingerprint(delivery: &Delivery) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in &delivery.fields {
        (name, value.len(), &value[..value.len().min(256)]).hash(&mut hasher);
    }
    hasher.finish()
}
