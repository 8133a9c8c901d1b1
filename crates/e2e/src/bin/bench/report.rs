//! The result: a table for people, JSON for programs.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::measure::Measurement;
use crate::variant::Variant;

/// The values of one variant over all rounds.
struct Summary {
    median: f64,
    min: f64,
    max: f64,
}

impl Summary {
    fn of(mut values: Vec<f64>) -> Summary {
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Summary { median, min: values[0], max: values[values.len() - 1] }
    }

    fn text(&self, decimals: usize) -> String {
        let Summary { median, min, max } = self;
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

/// What is reported of one variant; the ratios are to the bare loop in the same round.
struct Row {
    variant: Variant,
    jobs_per_second: Summary,
    cpu: Summary,
    cpu_ratio: Summary,
    redis_cpu: Summary,
    redis_ratio: Summary,
    spans: Option<Summary>,
}

fn rows(rounds: &[[Measurement; 4]]) -> Vec<Row> {
    let row = |(index, variant): (usize, Variant)| {
        let of = |value: fn(&Measurement) -> f64| {
            Summary::of(rounds.iter().map(|round| value(&round[index])).collect())
        };
        let ratio = |value: fn(&Measurement) -> f64| {
            Summary::of(rounds.iter().map(|round| value(&round[index]) / value(&round[0])).collect())
        };
        let spans: Option<Vec<f64>> = rounds.iter().map(|round| round[index].spans).collect();
        Row {
            variant,
            jobs_per_second: of(|measurement| measurement.jobs_per_second),
            cpu: of(|measurement| measurement.cpu),
            cpu_ratio: ratio(|measurement| measurement.cpu),
            redis_cpu: of(|measurement| measurement.redis_cpu),
            redis_ratio: ratio(|measurement| measurement.redis_cpu),
            spans: spans.map(Summary::of),
        }
    };
    Variant::ALL.into_iter().enumerate().map(row).collect()
}

/// Medians over the rounds, with the smallest and the largest value.
pub(crate) fn table(rounds: &[[Measurement; 4]]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "",
        "jobs/s",
        "CPU µs/job",
        "to bare",
        "Redis µs/job",
        "to bare",
        "spans/job received",
    ]);
    for row in rows(rounds) {
        table.add_row([
            row.variant.to_string(),
            row.jobs_per_second.text(0),
            row.cpu.text(1),
            row.cpu_ratio.text(2),
            row.redis_cpu.text(1),
            row.redis_ratio.text(2),
            row.spans.map_or_else(|| "–".to_owned(), |spans| spans.text(2)),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The same as JSON.
pub(crate) fn json(arguments: &Arguments, rounds: &[[Measurement; 4]]) -> Value {
    let variants: Vec<Value> = rows(rounds)
        .iter()
        .map(|row| {
            json!({
                "variant": row.variant.to_string(),
                "jobs_per_second": row.jobs_per_second.json(),
                "cpu_us_per_job": row.cpu.json(),
                "cpu_ratio_to_bare": row.cpu_ratio.json(),
                "redis_cpu_us_per_job": row.redis_cpu.json(),
                "redis_ratio_to_bare": row.redis_ratio.json(),
                "spans_per_job_received": row.spans.as_ref().map(Summary::json),
            })
        })
        .collect();
    json!({
        "rounds": arguments.rounds,
        "jobs": arguments.jobs,
        "in_flight": arguments.in_flight,
        "variants": variants,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_in_the_middle() {
        assert_eq!(Summary::of(vec![4.0, 1.0, 3.0, 2.0]).text(1), "2.5 (1.0–4.0)");
    }
}
