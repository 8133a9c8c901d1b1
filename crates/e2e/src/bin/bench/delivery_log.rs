//! What the delivery log costs a job: in the worker, and in Redis by its own statistics.

use e2e::drain::command;
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::resp::Connection;

use crate::arguments::Arguments;
use crate::cost::{self, Kind, Subject};
use crate::measure::{self, Load, Measurement, Target};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const VARIANTS: [Variant; 2] = [Variant::Lean, Variant::Logged];

/// One run of a variant.
struct Run {
    measured: Measurement,
    /// Microseconds of Redis for each job, in scripts and in all commands of the worker.
    scripts: f64,
    all: f64,
    /// Bytes of the log for each job.
    bytes: f64,
}

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let costs = VARIANTS.map(|variant| cost::of(Subject::new(variant, Kind::Plain), redis));
    let mut runs: [Vec<Run>; 2] = [vec![], vec![]];
    for round in 0..arguments.rounds {
        // Every other round in reverse order.
        for index in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            runs[index].push(once(VARIANTS[index], arguments, redis, sink));
        }
    }
    let mut rows = Rows::new(&[
        "",
        "jobs/s",
        "CPU µs/job",
        "Redis CPU µs/job",
        "in scripts",
        "in commands",
        "instructions/job",
        "allocations/job",
        "log bytes/job",
    ]);
    for ((variant, cost), runs) in VARIANTS.iter().zip(costs).zip(&runs) {
        let text = |of: fn(&Run) -> f64, decimals: usize| Summary::of(runs.iter().map(of)).text(decimals);
        rows.rows.push(vec![
            variant.to_string(),
            text(|run| run.measured.jobs_per_second, 0),
            text(|run| run.measured.cpu, 1),
            text(|run| run.measured.redis_cpu, 1),
            text(|run| run.scripts, 2),
            text(|run| run.all, 2),
            cost.instructions.map_or_else(String::new, |count| format!("{count:.0}")),
            cost.allocations.map_or_else(String::new, |count| format!("{count:.1}")),
            text(|run| run.bytes, 0),
        ]);
    }
    rows
}

fn once(variant: Variant, arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Run {
    let mut connection = redis.connect();
    command(&mut connection, &["CONFIG", "RESETSTAT"]);
    let load = Load { jobs: arguments.jobs, in_flight: arguments.in_flight.unwrap_or(64), warm_up: 1_000 };
    let measured = measure::run(variant, redis, &Target::of(sink), load);
    let jobs = arguments.jobs as f64;
    let statistics = command(&mut connection, &["INFO", "commandstats"]).text();
    let micros = |name| micros(&statistics, name) / jobs;
    // A script's time includes that of its commands.
    let scripts = micros("evalsha");
    let run = Run {
        measured,
        scripts,
        all: scripts + micros("xreadgroup"),
        bytes: log_bytes(&mut connection) / jobs,
    };
    eprintln!("{variant}: {measured}, in scripts {scripts:.2} µs/job");
    run
}

/// The time of all calls of a command, in microseconds, from `INFO commandstats`.
pub(crate) fn micros(statistics: &str, name: &str) -> f64 {
    let line = statistics.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:")));
    let value = line.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("usec=")));
    value.and_then(|micros| micros.parse().ok()).unwrap_or(0.0)
}

fn log_bytes(connection: &mut Connection) -> f64 {
    let log = "postrider:{default}:log";
    if command(connection, &["EXISTS", log]).integer() == 0 {
        return 0.0;
    }
    command(connection, &["MEMORY", "USAGE", log, "SAMPLES", "0"]).integer() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_command_is_read_from_the_statistics() {
        let statistics = "# Commandstats\r\ncmdstat_xadd:calls=5,usec=50,usec_per_call=10.00\r\n\
                          cmdstat_evalsha:calls=2,usec=77,usec_per_call=38.50,rejected_calls=0\r\n";
        assert_eq!([micros(statistics, "evalsha"), micros(statistics, "eval")], [77.0, 0.0]);
    }
}
