//! A table of the file. Values are taken out by name, and a remaining key is an error.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Problems, line};

/// The source of a secret.
pub(super) enum Source {
    /// `{ file = "PATH" }`
    File(String),
    /// `{ env = "NAME" }`
    Env(String),
}

/// A table that is being read.
pub(super) struct Table<'a, 'i> {
    text: &'a str,
    span: Range<usize>,
    table: DeTable<'i>,
    /// The keys that were asked for: those that the table may have.
    known: BTreeSet<String>,
    problems: &'a mut Problems,
}

impl<'a, 'i> Table<'a, 'i> {
    pub(super) fn new(text: &'a str, table: Spanned<DeTable<'i>>, problems: &'a mut Problems) -> Self {
        let span = table.span();
        Self { text, span, table: table.into_inner(), known: BTreeSet::new(), problems }
    }

    /// Reports an error of the table as a whole.
    pub(super) fn problem(&mut self, problem: impl Display) {
        let at = self.span.start;
        self.problem_at(at, problem);
    }

    /// Reports an error at a byte offset.
    pub(super) fn problem_at(&mut self, at: usize, problem: impl Display) {
        self.problems.0.push((line(self.text, at), problem.to_string()));
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
                    let mut table = Table { text, span, table, known, problems };
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
        let mut table = Table { text, span: at..at, table, known, problems };
        look(&mut table);
        table.complete();
    }

    /// A list of texts, each parsed by `read`; empty without the key. Every wrong text is reported.
    pub(super) fn texts<T, E: Display>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, E>) -> Vec<T> {
        let mut texts = Vec::new();
        for (at, item) in self.list(key) {
            let DeValue::String(text) = item else {
                self.problem_at(at, format!("`{key}` must be a list of texts in quotes"));
                continue;
            };
            match read(&text) {
                Ok(value) => texts.push(value),
                Err(error) => self.problem_at(at, format!("`{key}`: {error}")),
            }
        }
        texts
    }

    /// A list of whole numbers within bounds; empty without the key.
    pub(super) fn wholes(&mut self, key: &str, least: i64, most: i64) -> Vec<i64> {
        let list = self.list(key);
        list.into_iter().filter_map(|(at, item)| self.as_whole(key, at, &item, least..=most)).collect()
    }

    /// Whether the file has any error so far.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.0.is_empty()
    }

    /// A text, and its byte offset.
    pub(super) fn string(&mut self, key: &str) -> Option<(usize, String)> {
        match self.take(key)? {
            (at, DeValue::String(text)) => Some((at, text.into_owned())),
            (at, _) => {
                self.problem_at(at, format!("`{key}` must be a text in quotes"));
                None
            }
        }
    }

    /// The source of a secret, and its byte offset.
    pub(super) fn source(&mut self, key: &str) -> Option<(usize, Source)> {
        let (at, value) = self.take(key)?;
        self.as_source(key, at, value)
    }

    /// A list of sources of secrets, with their byte offsets.
    pub(super) fn sources(&mut self, key: &str) -> Vec<(usize, Source)> {
        let list = self.list(key);
        list.into_iter().filter_map(|(at, item)| self.as_source(key, at, item)).collect()
    }

    fn as_source(&mut self, key: &str, at: usize, value: DeValue<'i>) -> Option<(usize, Source)> {
        let DeValue::Table(table) = value else {
            // The text is not repeated: it may be the secret.
            self.problem_at(
                at,
                format!(
                    "`{key}`: no secrets in this file; write {{ file = \"PATH\" }} or {{ env = \"NAME\" }}"
                ),
            );
            return None;
        };
        let (text, known, problems) = (self.text, BTreeSet::new(), &mut *self.problems);
        let mut table = Table { text, span: at..at, table, known, problems };
        let (file, env) = (table.string("file"), table.string("env"));
        let source = match (file, env) {
            (Some((_, file)), None) => Some((at, Source::File(file))),
            (None, Some((_, env))) => Some((at, Source::Env(env))),
            _ => {
                table.problem(format!("`{key}` needs either `file` or `env`"));
                None
            }
        };
        table.complete();
        source
    }

    /// Whether a key has a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the value of a key is a list.
    pub(super) fn has_list(&self, key: &str) -> bool {
        matches!(self.table.get(key).map(Spanned::get_ref), Some(DeValue::Array(_)))
    }

    /// Reports an empty list: a limit that admits nothing is a mistake.
    pub(super) fn not_empty(&mut self, key: &str) {
        if let Some(DeValue::Array(list)) = self.table.get(key).map(Spanned::get_ref)
            && list.is_empty()
        {
            let at = self.table[key].span().start;
            self.problem_at(at, format!("`{key}` is empty; give at least one, or leave it out for no limit"));
        }
    }

    fn list(&mut self, key: &str) -> Vec<(usize, DeValue<'i>)> {
        match self.take(key) {
            None => Vec::new(),
            Some((_, DeValue::Array(list))) => {
                list.into_iter().map(|item| (item.span().start, item.into_inner())).collect()
            }
            Some((at, _)) => {
                self.problem_at(at, format!("`{key}` must be a list in square brackets"));
                Vec::new()
            }
        }
    }

    /// A text, parsed.
    pub(super) fn text<T: FromStr>(&mut self, key: &str) -> Option<T>
    where
        T::Err: Display,
    {
        let (at, value) = self.take(key)?;
        let read = match &value {
            DeValue::String(text) => text.parse().map_err(|error: T::Err| format!("`{key}`: {error}")),
            _ => Err(format!("`{key}` must be a text in quotes")),
        };
        read.map_err(|problem| self.problem_at(at, problem)).ok()
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let (at, value) = self.take(key)?;
        let flag = if let DeValue::Boolean(flag) = value { Some(flag) } else { None };
        if flag.is_none() {
            self.problem_at(at, format!("`{key}` must be true or false"));
        }
        flag
    }

    /// A whole number within bounds.
    pub(super) fn whole(&mut self, key: &str, least: i64, most: i64) -> Option<i64> {
        let (at, value) = self.take(key)?;
        self.as_whole(key, at, &value, least..=most)
    }

    fn as_whole(
        &mut self,
        key: &str,
        at: usize,
        value: &DeValue<'_>,
        bounds: RangeInclusive<i64>,
    ) -> Option<i64> {
        let number = match value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            self.problem_at(at, format!("`{key}` must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A duration, as `"30s"`.
    pub(super) fn duration(&mut self, key: &str) -> Option<Duration> {
        let (at, value) = self.take(key)?;
        self.as_duration(key, at, &value)
    }

    /// A list of durations that is not empty.
    pub(super) fn durations(&mut self, key: &str) -> Option<Vec<Duration>> {
        let (at, value) = self.take(key)?;
        let DeValue::Array(list) = value else {
            self.problem_at(at, format!("`{key}` must be a list of durations, as [\"5s\", \"1m\"]"));
            return None;
        };
        if list.is_empty() {
            self.problem_at(at, format!("`{key}` is empty; give at least one duration"));
        }
        let items: Vec<_> = list.into_iter().collect();
        Some(
            items
                .iter()
                .filter_map(|item| self.as_duration(key, item.span().start, item.get_ref()))
                .collect(),
        )
    }

    /// A rate as a number for each second, from `"100/s"`, `"5/m"` or `"1000/h"`.
    pub(super) fn rate(&mut self, key: &str) -> Option<f64> {
        let (at, value) = self.take(key)?;
        let rate = match &value {
            DeValue::String(text) => text.split_once('/').and_then(|(count, unit)| {
                let seconds = match unit.trim() {
                    "s" => 1.0,
                    "m" => 60.0,
                    "h" => 3600.0,
                    _ => return None,
                };
                let count: u32 = count.trim().parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
                Some(f64::from(count) / seconds)
            }),
            _ => None,
        };
        if rate.is_none() {
            self.problem_at(
                at,
                format!("`{key}` must be a rate in quotes, as \"100/s\", \"5/m\" or \"1000/h\""),
            );
        }
        rate
    }

    fn as_duration(&mut self, key: &str, at: usize, value: &DeValue<'_>) -> Option<Duration> {
        let duration = match value {
            DeValue::String(text) => humantime::parse_duration(text).ok(),
            _ => None,
        };
        // A longer duration is a mistake, and would overflow a clock.
        let duration = duration.filter(|duration| *duration <= Duration::from_secs(3650 * 24 * 3600));
        if duration.is_none() {
            self.problem_at(
                at,
                format!(
                    "`{key}` must be a duration in quotes, as \"500ms\", \"30s\" or \"1h\", of at most 3650 days"
                ),
            );
        }
        duration
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
        let left: Vec<_> =
            self.table.keys().map(|key| (key.span().start, key.get_ref().to_string())).collect();
        let known = self.known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        for (at, key) in left {
            self.problem_at(at, format!("`{key}` is not known here; known are {known}"));
        }
        self.table.clear();
    }
}
