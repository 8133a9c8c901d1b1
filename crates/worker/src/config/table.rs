//! A table of the file: values are taken out by name, and what is left over is an error.

use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Problems, line};

/// A table under inspection.
pub(super) struct Table<'a, 'i> {
    text: &'a str,
    span: Range<usize>,
    table: DeTable<'i>,
    problems: &'a mut Problems,
}

impl<'a, 'i> Table<'a, 'i> {
    pub(super) fn new(text: &'a str, table: Spanned<DeTable<'i>>, problems: &'a mut Problems) -> Self {
        let span = table.span();
        Self { text, span, table: table.into_inner(), problems }
    }

    /// Something is wrong with the table as a whole.
    pub(super) fn problem(&mut self, problem: impl Display) {
        let at = self.span.start;
        self.problem_at(at, problem);
    }

    fn problem_at(&mut self, at: usize, problem: impl Display) {
        self.problems.0.push((line(self.text, at), problem.to_string()));
    }

    /// Looks at each table below a key.
    pub(super) fn each_table(&mut self, key: &str, mut look: impl FnMut(&str, &mut Table<'_, 'i>)) {
        let Some((at, value)) = self.take(key) else { return };
        let DeValue::Table(tables) = value else {
            return self.problem_at(at, format!("`{key}` must be a table, as in [{key}.default]"));
        };
        for (name, value) in tables {
            let (span, at) = (name.span(), value.span().start);
            match value.into_inner() {
                DeValue::Table(table) => {
                    let mut table = Table { text: self.text, span, table, problems: &mut *self.problems };
                    look(name.as_ref(), &mut table);
                    table.finish();
                }
                _ => self.problem_at(at, format!("`{key}.{}` must be a table", name.as_ref())),
            }
        }
    }

    /// Looks at the table under a key.
    pub(super) fn table(&mut self, key: &str, look: impl FnOnce(&mut Table<'_, 'i>)) {
        let Some((at, value)) = self.take(key) else { return };
        let DeValue::Table(table) = value else {
            return self.problem_at(at, format!("`{key}` must be a table, as [{key}]"));
        };
        let mut table = Table { text: self.text, span: at..at, table, problems: &mut *self.problems };
        look(&mut table);
        table.finish();
    }

    /// A whole number within bounds.
    pub(super) fn whole(&mut self, key: &str, least: i64, most: i64) -> Option<i64> {
        let (at, value) = self.take(key)?;
        let number = match &value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
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

    /// How many in a second, as `"100/s"`, `"5/m"` or `"1000/h"`.
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

    /// A list of texts that can be read as something, as `["409", "5xx"]`.
    pub(super) fn parsed<T>(&mut self, key: &str) -> Option<Vec<T>>
    where
        T: std::str::FromStr,
        T::Err: Display,
    {
        let (at, value) = self.take(key)?;
        let DeValue::Array(list) = value else {
            self.problem_at(at, format!("`{key}` must be a list of texts, in brackets"));
            return None;
        };
        let mut parsed = vec![];
        for item in list.iter() {
            let problem = match item.get_ref() {
                DeValue::String(text) => match text.parse() {
                    Ok(value) => {
                        parsed.push(value);
                        continue;
                    }
                    Err(error) => T::Err::to_string(&error),
                },
                _ => "it must be in quotes".to_owned(),
            };
            self.problem_at(item.span().start, format!("`{key}`: {problem}"));
        }
        Some(parsed)
    }

    fn as_duration(&mut self, key: &str, at: usize, value: &DeValue<'_>) -> Option<Duration> {
        let duration = match value {
            DeValue::String(text) => humantime::parse_duration(text).ok(),
            _ => None,
        };
        if duration.is_none() {
            self.problem_at(
                at,
                format!("`{key}` must be a duration in quotes, as \"500ms\", \"30s\" or \"1h\""),
            );
        }
        duration
    }

    fn take(&mut self, key: &str) -> Option<(usize, DeValue<'i>)> {
        let value = self.table.remove(key)?;
        Some((value.span().start, value.into_inner()))
    }

    /// What nobody asked for is an error: most likely it is misspelt.
    pub(super) fn finish(&mut self) {
        let left: Vec<_> =
            self.table.keys().map(|key| (key.span().start, key.get_ref().to_string())).collect();
        for (at, key) in left {
            self.problem_at(at, format!("`{key}` is not known here"));
        }
        self.table.clear();
    }
}
