//! A table of the file. Values are taken out by name, and a remaining key is an error.

mod values;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Problems, UnknownKey, line};

pub(super) use values::Source;

/// A table that is being read.
pub(super) struct Table<'a, 'i> {
    text: &'a str,
    span: Range<usize>,
    /// Its name, as `retry.NAME`; empty for the root.
    name: String,
    table: DeTable<'i>,
    /// The keys that were asked for: those that the table may have.
    known: BTreeSet<String>,
    problems: &'a mut Problems,
}

impl<'a, 'i> Table<'a, 'i> {
    pub(super) fn new(text: &'a str, table: Spanned<DeTable<'i>>, problems: &'a mut Problems) -> Self {
        let span = table.span();
        Self { text, span, name: String::new(), table: table.into_inner(), known: BTreeSet::new(), problems }
    }

    /// Reports an error of the table as a whole.
    pub(super) fn problem(&mut self, problem: impl Display) {
        let at = self.span.start;
        self.problem_at(at, problem);
    }

    /// Reports an error at a byte offset.
    pub(super) fn problem_at(&mut self, at: usize, problem: impl Display) {
        self.problems.found.push((line(self.text, at), problem.to_string()));
    }

    /// Reads each table below a key.
    pub(super) fn each_table(&mut self, key: &str, mut look: impl FnMut(&str, &mut Table<'_, 'i>)) {
        let Some((at, value)) = self.take(key) else { return };
        let DeValue::Table(tables) = value else {
            return self.problem_at(at, format!("`{key}` must be a table, as in [{key}.default]"));
        };
        for (name, value) in tables {
            let (span, at) = (name.span(), value.span().start);
            match value.into_inner() {
                DeValue::Table(table) => {
                    let (text, known, problems) = (self.text, BTreeSet::new(), &mut *self.problems);
                    let mut table = Table { text, span, name: format!("{key}.NAME"), table, known, problems };
                    look(name.as_ref(), &mut table);
                    table.complete();
                }
                _ => self.problem_at(at, format!("`{key}.{}` must be a table", name.as_ref())),
            }
        }
    }

    /// Reads the table below a key.
    pub(super) fn one_table(&mut self, key: &str, look: impl FnOnce(&mut Table<'_, 'i>)) {
        let Some((at, value)) = self.take(key) else { return };
        let DeValue::Table(table) = value else {
            return self.problem_at(at, format!("`{key}` must be a table, as in [{key}]"));
        };
        let (text, known, problems) = (self.text, BTreeSet::new(), &mut *self.problems);
        let mut table = Table { text, span: at..at, name: key.to_owned(), table, known, problems };
        look(&mut table);
        table.complete();
    }

    /// Remembers a file that is read.
    pub(super) fn reads(&mut self, path: &str) {
        self.problems.files.insert(path.into());
    }

    /// Whether the file has any error so far.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.found.is_empty() || !self.problems.unknown.is_empty()
    }

    /// Whether a key has a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the value of a key is a list.
    pub(super) fn has_list(&self, key: &str) -> bool {
        matches!(self.table.get(key).map(Spanned::get_ref), Some(DeValue::Array(_)))
    }

    fn take(&mut self, key: &str) -> Option<(usize, DeValue<'i>)> {
        if !self.known.contains(key) {
            self.known.insert(key.to_owned());
        }
        let value = self.table.remove(key)?;
        Some((value.span().start, value.into_inner()))
    }

    /// Reports each remaining key: most likely it is misspelt.
    pub(super) fn complete(&mut self) {
        for key in self.table.keys() {
            let (line, key) = (line(self.text, key.span().start), key.get_ref().to_string());
            self.problems.unknown.push(UnknownKey { line, key, table: self.name.clone() });
        }
        self.problems.keys.entry(self.name.clone()).or_default().append(&mut self.known);
        self.table.clear();
    }
}
