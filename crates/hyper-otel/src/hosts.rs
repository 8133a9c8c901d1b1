//! Host names on metrics: the first ones by their names, all others as one.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The name of all other hosts on metrics.
pub(crate) const OTHER: &str = "_OTHER";

/// One value for each of the first hosts, and one for all others. No host is ever removed, so that the number of time
/// series is bounded.
#[derive(Debug)]
pub(crate) struct Hosts<T> {
    most: usize,
    known: RwLock<BTreeMap<Box<str>, Arc<T>>>,
    other: Arc<T>,
}

impl<T> Hosts<T> {
    pub(crate) fn new(most: usize, make: impl FnOnce(Arc<str>) -> T) -> Self {
        Self { most, known: RwLock::default(), other: Arc::new(make(Arc::from(OTHER))) }
    }

    pub(crate) fn get(&self, name: &str, make: impl FnOnce(Arc<str>) -> T) -> Arc<T> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name) {
            return Arc::clone(found);
        }
        if known.len() >= self.most {
            return self.other();
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most && !known.contains_key(name) {
            return self.other();
        }
        Arc::clone(known.entry(name.into()).or_insert_with(|| Arc::new(make(Arc::from(name)))))
    }

    pub(crate) fn other(&self) -> Arc<T> {
        Arc::clone(&self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hosts_keep_their_names_and_the_rest_are_one() {
        let hosts = Hosts::new(2, |name| name);
        let name = |host: &str| hosts.get(host, |name| name).to_string();
        assert_eq!(["a", "b", "c", "a", "d"].map(name), ["a", "b", OTHER, "a", OTHER]);
    }
}
