//! The values of a table: each is taken out by its key, and a wrong one is reported with its line.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::Table;
use crate::units;

/// The source of a secret.
pub(in crate::config) enum Source {
    /// `{ file = "PATH" }`
    File(String),
    /// `{ env = "NAME" }`
    Env(String),
}

impl<'i> Table<'_, 'i> {
    /// A list of texts, each parsed by `read`; empty without the key. Every wrong text is reported.
    pub(in crate::config) fn texts<T, E: Display>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
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
    pub(in crate::config) fn wholes(&mut self, key: &str, least: i64, most: i64) -> Vec<i64> {
        let list = self.list(key);
        list.into_iter().filter_map(|(at, item)| self.as_whole(key, at, &item, least..=most)).collect()
    }

    /// Reports an empty list: a limit that admits nothing is a mistake.
    pub(in crate::config) fn not_empty(&mut self, key: &str) {
        if let Some(DeValue::Array(list)) = self.table.get(key).map(Spanned::get_ref)
            && list.is_empty()
        {
            let at = self.table[key].span().start;
            self.problem_at(at, format!("`{key}` is empty; give at least one, or leave it out for no limit"));
        }
    }

    /// A text, and its byte offset.
    pub(in crate::config) fn string(&mut self, key: &str) -> Option<(usize, String)> {
        match self.take(key)? {
            (at, DeValue::String(text)) => Some((at, text.into_owned())),
            (at, _) => {
                self.problem_at(at, format!("`{key}` must be a text in quotes"));
                None
            }
        }
    }

    /// The source of a secret, and its byte offset.
    pub(in crate::config) fn source(&mut self, key: &str) -> Option<(usize, Source)> {
        let (at, value) = self.take(key)?;
        self.as_source(key, at, value)
    }

    /// A list of sources of secrets, with their byte offsets.
    pub(in crate::config) fn sources(&mut self, key: &str) -> Vec<(usize, Source)> {
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
        let mut table = Table { text, span: at..at, name: key.to_owned(), table, known, problems };
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

    /// A text, parsed.
    pub(in crate::config) fn text<T: FromStr>(&mut self, key: &str) -> Option<T>
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
    pub(in crate::config) fn flag(&mut self, key: &str) -> Option<bool> {
        let (at, value) = self.take(key)?;
        let flag = if let DeValue::Boolean(flag) = value { Some(flag) } else { None };
        if flag.is_none() {
            self.problem_at(at, format!("`{key}` must be true or false"));
        }
        flag
    }

    /// A whole number within bounds.
    pub(in crate::config) fn whole(&mut self, key: &str, least: i64, most: i64) -> Option<i64> {
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
    pub(in crate::config) fn duration(&mut self, key: &str) -> Option<Duration> {
        let (at, value) = self.take(key)?;
        self.as_duration(key, at, &value)
    }

    /// A list of durations that is not empty.
    pub(in crate::config) fn durations(&mut self, key: &str) -> Option<Vec<Duration>> {
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
    pub(in crate::config) fn rate(&mut self, key: &str) -> Option<f64> {
        let (at, value) = self.take(key)?;
        let rate = if let DeValue::String(text) = &value { units::rate(text).ok() } else { None };
        if rate.is_none() {
            let problem = format!("`{key}` must be a rate in quotes, as \"100/s\", \"5/m\" or \"1000/h\"");
            self.problem_at(at, problem);
        }
        rate
    }

    fn as_duration(&mut self, key: &str, at: usize, value: &DeValue<'_>) -> Option<Duration> {
        let duration = if let DeValue::String(text) = value { units::duration(text).ok() } else { None };
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
}
