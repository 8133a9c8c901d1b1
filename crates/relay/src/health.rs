//! Whether the relay works, for probes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What does not work now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    is_started: bool,
    /// By connection.
    troubles: BTreeMap<usize, String>,
}

impl Health {
    /// Why no row is enqueued now; `None` if rows are.
    pub fn why_not_ready(&self) -> Option<String> {
        let inner = self.inner();
        if !inner.is_started {
            return Some("starting: not connected to PostgreSQL yet".to_owned());
        }
        inner.troubles.values().next().cloned()
    }

    /// A connection works; returns whether it had not worked before.
    pub(crate) fn works(&self, taker: usize) -> bool {
        let mut inner = self.inner();
        inner.is_started = true;
        inner.troubles.remove(&taker).is_some()
    }

    /// A connection does not work; returns whether that is news.
    pub(crate) fn fails(&self, taker: usize, why: &str) -> bool {
        self.inner().troubles.insert(taker, why.to_owned()).as_deref() != Some(why)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}
