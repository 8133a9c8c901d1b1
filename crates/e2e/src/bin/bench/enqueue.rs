//! What it costs to enqueue over HTTP, one job in each request, beside a bare handler.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::drain::command;
use e2e::process::{Build, Postrider};
use e2e::redis::{RedisServer, free_port};
use e2e::wait;

use crate::apart::Apart;
use crate::arguments::Arguments;
use crate::http_load::{Answered, load, post};
use crate::process;
use crate::running::{PATIENCE, path_in};
use crate::summary::{Rows, Summary};

pub(crate) const URL: &str = "http://127.0.0.1:9/hook";
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// How long each variant is measured in a round.
pub(crate) const TIME: Duration = Duration::from_secs(2);

pub(crate) const BUILDS: [(Build, &str); 2] =
    [(Build::Lean, "console, lean"), (Build::Otel, "console, otel off")];

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let mut rows = Rows::new(&["", "a second", "to reference", "p50 ms", "p99 ms", "p99 to reference"]);
    for connections in CONNECTIONS {
        singles(arguments, redis, connections, &mut rows);
    }
    rows
}

pub(crate) fn body() -> String {
    "x".repeat(512)
}

pub(crate) fn console(build: Build, redis: &RedisServer) -> (Postrider, SocketAddr) {
    Postrider::console(build, &["--redis-url", &redis.url()], &[("POSTRIDER_LOG", "info")])
}

/// A program that is asked to enqueue one job a request.
struct Single {
    name: &'static str,
    address: SocketAddr,
    path: &'static str,
    answered: Vec<Answered>,
}

impl Single {
    fn new(name: &'static str, address: SocketAddr, path: &'static str) -> Single {
        Single { name, address, path, answered: vec![] }
    }

    fn of(&self, of: fn(&Answered) -> f64) -> Vec<f64> {
        self.answered.iter().map(of).collect()
    }
}

/// A job in each request. The program has a core, and its client and Redis have another.
fn singles(arguments: &Arguments, redis: &RedisServer, connections: usize, rows: &mut Rows) {
    const JOBS: &str = "/v1/queues/default/jobs";
    let job = format!("{{\"url\":\"{URL}\",\"body\":\"{}\"}}", body());
    let bare = bare(redis);
    let consoles = BUILDS.map(|(build, _)| console(build, redis));
    let measured = [bare.0.0.id(), consoles[0].0.pid(), consoles[1].0.pid()];
    let _apart = Apart::new(&measured, &[process::of_server(&mut redis.connect())]);
    let mut singles = [
        Single::new("bare handler", bare.1, "/"),
        Single::new(BUILDS[0].1, consoles[0].1, JOBS),
        Single::new(BUILDS[1].1, consoles[1].1, JOBS),
    ];
    for round in 0..arguments.rounds {
        for index in in_turn(round, singles.len()) {
            command(&mut redis.connect(), &["FLUSHALL"]);
            let single = &mut singles[index];
            let request = post(single.path, "application/json", &job);
            let answered = load(single.address, &request, connections, TIME);
            eprintln!("{connections} connections, {}: {answered:?}", single.name);
            single.answered.push(answered);
        }
    }
    let rate = |answered: &Answered| answered.per_second;
    let p99 = |answered: &Answered| answered.latency.p99.as_secs_f64() * 1e3;
    for single in &singles {
        let reference = &singles[0];
        let p50 = single.of(|answered| answered.latency.p50.as_secs_f64() * 1e3);
        rows.rows.push(vec![
            format!("{}, {connections} connections", single.name),
            Summary::of(single.of(rate)).text(0),
            ratios(&single.of(rate), &reference.of(rate)).text(2),
            Summary::of(p50).text(2),
            Summary::of(single.of(p99)).text(2),
            ratios(&single.of(p99), &reference.of(p99)).text(2),
        ]);
    }
    command(&mut redis.connect(), &["FLUSHALL"]);
}

/// The bare handler. It is killed and reaped when dropped.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        // These fail if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bare(redis: &RedisServer) -> (Bare, SocketAddr) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut command = Command::new(path_in("POSTRIDER_BARE_POST_BIN"));
    command.args([&redis.url(), &address.to_string()]).stdin(Stdio::null());
    let child = Bare(command.spawn().expect("the bare handler can be started"));
    wait::eventually("the bare handler listens", PATIENCE, || std::net::TcpStream::connect(address).ok());
    (child, address)
}

/// The order of a round: every other one is reversed.
pub(crate) fn in_turn(round: usize, variants: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..variants).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Each value to that of the reference in the same round.
pub(crate) fn ratios(values: &[f64], references: &[f64]) -> Summary {
    Summary::of(values.iter().zip(references).map(|(value, reference)| value / reference))
}
