//! Costs that are counted, not timed: allocations and instructions.

use std::ffi::OsString;
use std::fmt::Display;

use e2e::callgrind;
use e2e::drain::Drain;
use e2e::late::Late;
use e2e::otlp::Receiver;
use e2e::redis::{RedisServer, on_path};
use e2e::text_file::TextFile;

use crate::running::path_in;
use crate::summary::Rows;
use crate::variant::Variant;

/// What is counted: one job in flight of this variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) variant: Variant,
    pub(crate) kind: Kind,
}

/// The way of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To a destination without TLS.
    Plain,
    /// To a destination with TLS, on a connection that stays open.
    Secure,
    /// It is held once, and then goes to a destination without TLS.
    Held,
}

impl Subject {
    pub(crate) const fn new(variant: Variant, kind: Kind) -> Subject {
        Subject { variant, kind }
    }
}

impl Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Plain => "",
            Kind::Secure => ", TLS",
            Kind::Held => ", held",
        };
        formatter.pad(&format!("{}{kind}", self.variant))
    }
}

/// The agreed limits, in instructions per job. Lower them when a job becomes cheaper. Runs differ by about
/// 0.5 %.
const COST_MAX: [(Subject, f64); 5] = [
    (Subject::new(Variant::Lean, Kind::Plain), 117_000.0),
    (Subject::new(Variant::Lean, Kind::Secure), 125_500.0),
    (Subject::new(Variant::Lean, Kind::Held), 317_000.0),
    (Subject::new(Variant::OtelOff, Kind::Plain), 118_000.0),
    (Subject::new(Variant::OtelOn, Kind::Plain), 195_000.0),
];
/// At most this many runs per count; the lowest is used. Rare events, like a job that has to wait, only add to it.
const RUNS: usize = 5;
/// The largest allowed ratio of instructions with telemetry off to those of the lean build.
const COST_WHEN_OFF_MAX: f64 = 1.02;

/// The cost per job, if it could be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// By the working thread.
    pub(crate) allocations: Option<f64>,
    /// In user mode, by all threads.
    pub(crate) instructions: Option<f64>,
}

pub(crate) fn of(subject: Subject, redis: &RedisServer) -> Cost {
    let Subject { variant, kind } = subject;
    let late = if kind == Kind::Secure { Late::secure(redis) } else { Late::new(redis) };
    let (late, is_held) = (&late, kind == Kind::Held);
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
        let drain = Drain { program: &program, environment: &environment, in_flight: 1, late, is_held };
        let count = |output: &str| output.trim().parse().expect("the program writes a number");
        drain.per_job(redis, count)
    });
    let instructions = on_path("valgrind").map(|valgrind| {
        let bench = callgrind::Bench { valgrind: &valgrind, redis, late };
        if variant.is_bare() {
            bench.bare_loop(&variant.program())
        } else {
            bench.worker(&variant.program(), &environment, is_held)
        }
    });
    eprintln!("{subject}: allocations {allocations:.1?}, instructions {instructions:.0?} a job");
    Cost { allocations, instructions }
}

/// The counts of all that has a limit, and the exceeded limits.
pub(crate) fn run(redis: &RedisServer) -> (Rows, Vec<String>) {
    let mut costs = COST_MAX.map(|(subject, _)| (subject, of(subject, redis)));
    for _ in 1..RUNS {
        if too_many(&costs).is_empty() {
            break;
        }
        for (subject, cost) in &mut costs {
            *cost = cost.less(of(*subject, redis));
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

fn instructions(costs: &[(Subject, Cost)], of: Subject) -> Option<f64> {
    costs.iter().find(|(subject, _)| *subject == of)?.1.instructions
}

fn plain(costs: &[(Subject, Cost)], variant: Variant) -> Option<f64> {
    instructions(costs, Subject::new(variant, Kind::Plain))
}

fn rows(costs: &[(Subject, Cost)]) -> Rows {
    let mut rows = Rows::new(&["", "allocations/job", "instructions/job", "to lean"]);
    let lean = plain(costs, Variant::Lean);
    for (subject, cost) in costs {
        let ratio = cost.instructions.zip(lean).map(|(instructions, lean)| instructions / lean);
        let text = |number: Option<f64>, decimals| {
            number.map_or_else(String::new, |number| format!("{number:.decimals$}"))
        };
        rows.rows.push(vec![
            subject.to_string(),
            text(cost.allocations, 1),
            text(cost.instructions, 0),
            text(ratio, 3),
        ]);
    }
    rows
}

fn too_many(costs: &[(Subject, Cost)]) -> Vec<String> {
    let counted = |(subject, most)| Some((subject, instructions(costs, subject)?, most));
    let above =
        COST_MAX.into_iter().filter_map(counted).filter(|(_, instructions, most)| instructions > most);
    let mut too_many: Vec<String> = above
        .map(|(subject, instructions, most)| {
            format!("{subject}: {instructions:.0} instructions a job, the limit is {most}")
        })
        .collect();
    let off = plain(costs, Variant::OtelOff).zip(plain(costs, Variant::Lean));
    let off = off.map(|(off, lean)| off / lean).filter(|ratio| *ratio > COST_WHEN_OFF_MAX);
    too_many.extend(off.map(|ratio| {
        format!("telemetry switched off costs {ratio:.3} × the instructions of the lean build, limit {COST_WHEN_OFF_MAX}")
    }));
    too_many
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(lean: f64, off: f64) -> Vec<(Subject, Cost)> {
        let cost = |count| Cost { allocations: None, instructions: Some(count) };
        [(Variant::Lean, cost(lean)), (Variant::OtelOff, cost(off))]
            .map(|(variant, cost)| (Subject::new(variant, Kind::Plain), cost))
            .to_vec()
    }

    #[test]
    fn telemetry_switched_off_may_cost_two_percent() {
        assert_eq!(too_many(&counted(100_000.0, 101_900.0)), Vec::<String>::new());
        assert_eq!(too_many(&counted(100_000.0, 102_100.0)).len(), 1);
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
