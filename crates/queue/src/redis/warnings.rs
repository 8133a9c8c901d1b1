//! What is wrong with a worker, for those who look at it from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Warnings that a worker's record shows.
const SHOWN_MAX: usize = 10;

/// What is wrong with a worker although it works: sentences without secrets, which its heartbeats show in Redis. Cheap to
/// clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<BTreeMap<String, String>>>);

impl Warnings {
    /// Sets the warning about a thing, in place of an earlier one.
    pub fn set(&self, about: &str, sentence: String) {
        self.all().insert(about.to_owned(), sentence);
    }

    /// Ends the warning about a thing.
    pub fn end(&self, about: &str) {
        self.all().remove(about);
    }

    /// Ends all warnings.
    pub fn end_all(&self) {
        self.all().clear();
    }

    /// The first sentences, in the order of what they are about.
    pub(crate) fn sentences(&self) -> Vec<String> {
        self.all().values().take(SHOWN_MAX).cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
