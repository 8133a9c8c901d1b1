//! The errors of a configuration file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use postrider_queue::job::meant;

/// The errors of a file, each with its line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems {
    pub(super) found: Vec<(usize, String)>,
    /// Keys that are not known in their tables.
    pub(super) unknown: Vec<UnknownKey>,
    /// The keys of each table that was read.
    pub(super) keys: BTreeMap<String, BTreeSet<String>>,
    /// The files that were read.
    pub(super) files: BTreeSet<PathBuf>,
}

/// A key that is not known in its table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownKey {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) table: String,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found.iter().try_for_each(|(line, text)| write!(f, "\n  line {line}: {text}"))
    }
}

impl Problems {
    /// Reports the unknown keys: what each most likely means, or the table that it belongs to. `all` has the keys of every
    /// table.
    pub(super) fn name_unknown_keys(&mut self, all: &Self) {
        for UnknownKey { line, key, table } in std::mem::take(&mut self.unknown) {
            let own = self.keys.get(&table).into_iter().flatten().map(String::as_str);
            let other = all.keys.iter().find(|(_, keys)| keys.contains(&key)).map(|(table, _)| table);
            let hint = match (meant(&key, own.clone()), other) {
                (Some(meant), _) => format!(" (did you mean `{meant}`?)"),
                (None, Some(other)) if other.is_empty() => " (it belongs above the first table)".to_owned(),
                (None, Some(other)) => format!(" (it belongs to [{other}])"),
                (None, None) => String::new(),
            };
            let known = own.collect::<Vec<_>>().join(", ");
            self.found.push((line, format!("`{key}` is not known here{hint}; known are {known}")));
        }
    }
}

/// The line of a byte offset.
pub(super) fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
