//! The cost of a megabyte in bodies of several lengths.

use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;

use crate::arguments::Arguments;
use crate::enqueue::{in_turn, ratios};
use crate::measure::{self, Load, Measurement, Target};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const VARIANTS: [Variant; 3] = [Variant::Bare, Variant::Lean, Variant::OtelOff];
/// The default limit of a job's fields is 4 MiB.
const LENGTHS: [(&str, usize); 4] =
    [("1 KB", 1_000), ("64 KB", 64_000), ("1 MB", 1_000_000), ("4 MB", 4_000_000)];
/// Of the bodies of one run, unless those of `--jobs` jobs have fewer. All are in Redis at once.
const BYTES_MAX: usize = 1_000_000_000;
/// Few enough that 4 MB of each fit into memory several times.
const IN_FLIGHT: usize = 16;

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let header = ["", "", "MB/s", "CPU µs/MB", "to bare", "Redis µs/MB", "to bare", "RSS MiB"];
    let mut rows = Rows::new(&header);
    for (name, length) in LENGTHS {
        let jobs = arguments.jobs.min(BYTES_MAX / length);
        let load = Load { jobs, in_flight: arguments.in_flight.unwrap_or(IN_FLIGHT), warm_up: jobs / 10 };
        let target = Target { body_bytes: length, ..Target::of(sink) };
        let mut runs = VARIANTS.map(|_| vec![]);
        for round in 0..arguments.rounds {
            for index in in_turn(round, VARIANTS.len()) {
                let run = measure::run(VARIANTS[index], redis, &target, load);
                let variant = VARIANTS[index];
                eprintln!("round {} of {}: {name}, {variant}: {run}", round + 1, arguments.rounds);
                runs[index].push(run);
            }
        }
        add(&mut rows, name, length as f64 / 1e6, &runs);
    }
    rows
}

fn add(rows: &mut Rows, name: &str, megabytes: f64, runs: &[Vec<Measurement>; VARIANTS.len()]) {
    for (variant, own) in VARIANTS.iter().zip(runs) {
        let of = |runs: &[Measurement], value: fn(&Measurement) -> f64| -> Vec<f64> {
            runs.iter().map(value).collect()
        };
        let to_bare = |value| ratios(&of(own, value), &of(&runs[0], value)).text(2);
        let each = |value| Summary::of(of(own, value).iter().map(|of_job| of_job / megabytes)).text(0);
        let rate = of(own, |run| run.jobs_per_second);
        rows.rows.push(vec![
            name.to_owned(),
            variant.to_string(),
            Summary::of(rate.iter().map(|jobs| jobs * megabytes)).text(0),
            each(|run| run.cpu),
            to_bare(|run| run.cpu),
            each(|run| run.redis_cpu),
            to_bare(|run| run.redis_cpu),
            Summary::of(of(own, |run| run.memory)).text(0),
        ]);
    }
}
