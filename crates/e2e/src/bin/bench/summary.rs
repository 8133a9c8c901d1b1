//! One quantity over all rounds, and tables of them.

use std::fmt::Display;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// The values of one quantity over all rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// # Panics
    ///
    /// If there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Summary {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Summary { median, min: values[0], max: values[values.len() - 1] }
    }

    /// `median (min–max)`, or the value if all are equal.
    pub(crate) fn text(&self, decimals: usize) -> String {
        let Summary { median, min, max } = self;
        let [median, min, max] = [median, min, max].map(|value| format!("{value:.decimals$}"));
        if min == max { median } else { format!("{median} ({min}–{max})") }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

/// A table. The first column names the subject of each row.
pub(crate) struct Rows {
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Rows {
    pub(crate) fn new(header: &[&'static str]) -> Rows {
        Rows { header: header.to_vec(), rows: Vec::new() }
    }
}

impl Display for Rows {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_in_the_middle() {
        assert_eq!(Summary::of([4.0, 1.0, 3.0, 2.0]).text(1), "2.5 (1.0–4.0)");
    }

    #[test]
    fn one_value_has_no_range() {
        assert_eq!(Summary::of([1.0]).text(0), "1");
    }
}
