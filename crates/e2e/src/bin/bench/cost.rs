//! Costs that are counted, not timed: allocations and instructions.

use std::ffi::OsString;

use e2e::callgrind;
use e2e::drain::{Drain, Late};
use e2e::otlp::Receiver;
use e2e::redis::{RedisServer, on_path};
use e2e::text_file::TextFile;

use crate::running::path_in;
use crate::summary::Rows;
use crate::variant::Variant;

/// Jobs of the two runs. The result is their difference.
const ALLOCATION_JOBS: [usize; 2] = [300, 1_300];

/// The agreed limits, in instructions per job. Lower them when a job becomes cheaper. Runs differ by about
/// 0.5 %.
const COST_MAX: [(Variant, f64); 3] =
    [(Variant::Lean, 136_000.0), (Variant::OtelOff, 124_000.0), (Variant::OtelOn, 240_000.0)];
/// At most this many runs per count; the lowest is used. Rare events, like a job that has to wait, only add to it.
const RUNS: usize = 5;
/// The largest allowed ratio of instructions with telemetry off to those of the lean build.
const COST_WHEN_OFF_MAX: f64 = 1.01;

/// The cost per job, if it could be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// By the working thread.
    pub(crate) allocations: Option<f64>,
    /// In user mode, by all threads.
    pub(crate) instructions: Option<f64>,
}

pub(crate) fn of(variant: Variant, redis: &RedisServer) -> Cost {
    let late = &Late::new(redis);
    let receiver = variant.is_recording().then(|| Receiver::start(path_in("POSTRIDER_OTLP_RECEIVER_BIN")));
    let endpoint = receiver.as_ref().map(Receiver::grpc_endpoint);
    let config = variant.config().map(TextFile::new);
    let mut environment = variant.recording();
    environment.extend(config.iter().map(|config| ("POSTRIDER_CONFIG", config.path())));
    if let Some(endpoint) = &endpoint {
        environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
    }
    let allocations = variant.counting_program().map(|program| {
        let program = [OsString::from(program)];
        let drain = Drain { program: &program, environment: &environment, in_flight: 1, late };
        let count = |output: &str| output.trim().parse().expect("the program writes a number");
        drain.per_job(redis, ALLOCATION_JOBS, count)
    });
    let instructions = on_path("valgrind").map(|valgrind| {
        let bench = callgrind::Bench { valgrind: &valgrind, redis, late };
        match variant {
            Variant::Bare => bench.bare_loop(&variant.program()),
            _ => bench.worker(&variant.program(), &environment),
        }
    });
    eprintln!("{variant}: allocations {allocations:.1?}, instructions {instructions:.0?} a job");
    Cost { allocations, instructions }
}

/// The counts of all variants that have a limit, and the exceeded limits.
pub(crate) fn run(redis: &RedisServer) -> (Rows, Vec<String>) {
    let mut costs = COST_MAX.map(|(variant, _)| (variant, of(variant, redis)));
    for _ in 1..RUNS {
        if too_many(&costs).is_empty() {
            break;
        }
        for (variant, cost) in &mut costs {
            *cost = cost.less(of(*variant, redis));
        }
    }
    (rows(&costs), too_many(&costs))
}

impl Cost {
    fn less(self, other: Cost) -> Cost {
        let less = |one: Option<f64>, other: Option<f64>| Some(one?.min(other?));
        Cost {
            allocations: less(self.allocations, other.allocations),
            instructions: less(self.instructions, other.instructions),
        }
    }
}

fn instructions(costs: &[(Variant, Cost)], of: Variant) -> Option<f64> {
    costs.iter().find(|(variant, _)| *variant == of)?.1.instructions
}

fn rows(costs: &[(Variant, Cost)]) -> Rows {
    let mut rows = Rows::new(&["", "allocations/job", "instructions/job", "to lean"]);
    let lean = instructions(costs, Variant::Lean);
    for (variant, cost) in costs {
        let ratio = cost.instructions.zip(lean).map(|(instructions, lean)| instructions / lean);
        let text = |number: Option<f64>, decimals| {
            number.map_or_else(String::new, |number| format!("{number:.decimals$}"))
        };
        rows.rows.push(vec![
            variant.to_string(),
            text(cost.allocations, 1),
            text(cost.instructions, 0),
            text(ratio, 3),
        ]);
    }
    rows
}

fn too_many(costs: &[(Variant, Cost)]) -> Vec<String> {
    let counted = |(variant, most)| Some((variant, instructions(costs, variant)?, most));
    let above =
        COST_MAX.into_iter().filter_map(counted).filter(|(_, instructions, most)| instructions > most);
    let mut too_many: Vec<String> = above
        .map(|(variant, instructions, most)| {
            format!("{variant}: {instructions:.0} instructions a job, the limit is {most}")
        })
        .collect();
    let off = instructions(costs, Variant::OtelOff).zip(instructions(costs, Variant::Lean));
    let off = off.map(|(off, lean)| off / lean).filter(|ratio| *ratio > COST_WHEN_OFF_MAX);
    too_many.extend(off.map(|ratio| {
        format!("telemetry switched off costs {ratio:.3} × the instructions of the lean build, limit {COST_WHEN_OFF_MAX}")
    }));
    too_many
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lean: f64, off: f64) -> Vec<(Variant, Cost)> {
        let cost = |count| Cost { allocations: None, instructions: Some(count) };
        vec![(Variant::Lean, cost(lean)), (Variant::OtelOff, cost(off))]
    }

    #[test]
    fn telemetry_switched_off_may_cost_one_percent() {
        assert_eq!(too_many(&counted(100_000.0, 100_900.0)), Vec::<String>::new());
        assert_eq!(too_many(&counted(100_000.0, 101_100.0)).len(), 1);
        assert_eq!(too_many(&[]), Vec::<String>::new(), "nothing was counted");
    }

    #[test]
    fn a_job_may_cost_up_to_the_limit() {
        let complaints = too_many(&counted(200_000.0, 200_000.0));
        assert!(
            complaints.len() == 2 && complaints[0].contains("worker, lean: 200000 instructions a job"),
            "{complaints:?}"
        );
    }
}
