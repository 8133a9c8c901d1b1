//! The result of the comparison: a table for people, JSON for programs.

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::compare::{Comparison, Round};
use crate::measure::{Latency, Measurement};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const HEADER: [&str; 13] = [
    "",
    "jobs/s",
    "CPU µs/job",
    "to bare",
    "Redis µs/job",
    "to bare",
    "allocations/job",
    "instructions/job",
    "p50 ms",
    "p99 ms",
    "RSS MiB",
    "spans/job",
    "lost",
];

/// The index of the bare loop.
const BARE: usize = 0;

/// The results of one variant. Ratios are to the bare loop in the same round.
struct Row {
    variant: Variant,
    jobs_per_second: Summary,
    cpu: Summary,
    cpu_ratio: Summary,
    redis_cpu: Summary,
    redis_ratio: Summary,
    memory: Summary,
    allocations: Option<f64>,
    instructions: Option<f64>,
    p50: Option<Summary>,
    p50_ratio: Option<Summary>,
    p99: Option<Summary>,
    p99_ratio: Option<Summary>,
    spans: Option<Summary>,
    lost: Option<Summary>,
}

impl Row {
    fn of(index: usize, variant: Variant, comparison: &Comparison) -> Row {
        let Comparison { rounds, costs } = comparison;
        let of = |value: fn(&Measurement) -> f64| {
            Summary::of(rounds.iter().map(|round| value(&round.measurements[index])))
        };
        let ratio = |value: fn(&Measurement) -> f64| {
            let of = |round: &Round, index: usize| value(&round.measurements[index]);
            Summary::of(rounds.iter().map(|round| of(round, index) / of(round, BARE)))
        };
        let all = |value: &dyn Fn(&Round) -> Option<f64>| {
            let values: Option<Vec<f64>> = rounds.iter().map(value).collect();
            values.map(Summary::of)
        };
        let latency = |value: fn(&Latency) -> f64| all(&|round| round.latencies[index].as_ref().map(value));
        let latency_ratio = |value: fn(&Latency) -> f64| {
            let of = |round: &Round, index: usize| round.latencies[index].as_ref().map(value);
            all(&|round| Some(of(round, index)? / of(round, BARE)?))
        };
        let (p50, p99) = (
            |latency: &Latency| latency.p50.as_secs_f64() * 1e3,
            |latency: &Latency| latency.p99.as_secs_f64() * 1e3,
        );
        Row {
            variant,
            jobs_per_second: of(|measurement| measurement.jobs_per_second),
            cpu: of(|measurement| measurement.cpu),
            cpu_ratio: ratio(|measurement| measurement.cpu),
            redis_cpu: of(|measurement| measurement.redis_cpu),
            redis_ratio: ratio(|measurement| measurement.redis_cpu),
            memory: of(|measurement| measurement.memory),
            allocations: costs[index].allocations,
            instructions: costs[index].instructions,
            p50: latency(p50),
            p50_ratio: latency_ratio(p50),
            p99: latency(p99),
            p99_ratio: latency_ratio(p99),
            spans: all(&|round| round.measurements[index].spans.map(|spans| spans.received)),
            lost: all(&|round| round.measurements[index].spans.map(|spans| spans.lost)),
        }
    }

    fn cells(&self) -> Vec<String> {
        let nothing = || "–".to_owned();
        let maybe = |summary: &Option<Summary>, decimals| {
            summary.as_ref().map_or_else(nothing, |summary| summary.text(decimals))
        };
        let count = |count: Option<f64>, decimals: usize| {
            count.map_or_else(nothing, |count| format!("{count:.decimals$}"))
        };
        vec![
            self.variant.to_string(),
            self.jobs_per_second.text(0),
            self.cpu.text(1),
            self.cpu_ratio.text(2),
            self.redis_cpu.text(1),
            self.redis_ratio.text(2),
            count(self.allocations, 1),
            count(self.instructions, 0),
            maybe(&self.p50, 2),
            maybe(&self.p99, 2),
            self.memory.text(1),
            maybe(&self.spans, 2),
            maybe(&self.lost, 0),
        ]
    }

    fn json(&self) -> Value {
        let maybe = |summary: &Option<Summary>| summary.as_ref().map(Summary::json);
        json!({
            "variant": self.variant.to_string(),
            "jobs_per_second": self.jobs_per_second.json(),
            "cpu_us_per_job": self.cpu.json(),
            "cpu_ratio_to_bare": self.cpu_ratio.json(),
            "redis_cpu_us_per_job": self.redis_cpu.json(),
            "redis_ratio_to_bare": self.redis_ratio.json(),
            "allocations_per_job": self.allocations,
            "instructions_per_job": self.instructions,
            "latency_p50_ms": maybe(&self.p50),
            "latency_p50_ratio_to_bare": maybe(&self.p50_ratio),
            "latency_p99_ms": maybe(&self.p99),
            "latency_p99_ratio_to_bare": maybe(&self.p99_ratio),
            "rss_mib": self.memory.json(),
            "spans_per_job_received": maybe(&self.spans),
            "spans_lost": maybe(&self.lost),
        })
    }
}

fn rows(comparison: &Comparison) -> impl Iterator<Item = Row> {
    Variant::ALL.into_iter().enumerate().map(|(index, variant)| Row::of(index, variant, comparison))
}

/// Medians over the rounds, with the smallest and the largest value.
pub(crate) fn table(comparison: &Comparison) -> String {
    Rows { header: HEADER.to_vec(), rows: rows(comparison).map(|row| row.cells()).collect() }.to_string()
}

/// The same as JSON.
pub(crate) fn json(arguments: &Arguments, comparison: &Comparison) -> Value {
    json!({
        "rounds": arguments.rounds,
        "jobs": arguments.jobs,
        "in_flight": arguments.in_flight.unwrap_or(64),
        "variants": rows(comparison).map(|row| row.json()).collect::<Vec<_>>(),
    })
}
