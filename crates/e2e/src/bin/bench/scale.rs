//! The cost of a job with more workers or threads, and with more nodes of a cluster.

use std::time::Instant;

use e2e::cluster;
use e2e::drain;
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::wait;

use crate::arguments::Arguments;
use crate::process;
use crate::running::{PATIENCE, Running};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// A deployment: the nodes with the jobs, and the workers.
struct Setup<'a> {
    name: &'static str,
    nodes: &'a [RedisServer],
    url: String,
    shards: usize,
    workers: usize,
    /// Of each worker.
    threads: &'static str,
}

/// The result of one run.
struct Run {
    jobs_per_second: f64,
    cpu: f64,
    redis_cpu: f64,
}

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let (alone, three) = (cluster::start(1), cluster::start(3));
    let single = std::slice::from_ref(redis);
    let in_cluster = |nodes: &[RedisServer]| format!("redis-cluster://127.0.0.1:{}", nodes[0].port);
    let setup = |name, nodes, url, shards, workers| Setup { name, nodes, url, shards, workers, threads: "1" };
    let setups = [
        setup("1 worker", single, redis.url(), 1, 1),
        Setup { threads: "2", ..setup("1 worker with 2 threads", single, redis.url(), 1, 1) },
        setup("2 workers", single, redis.url(), 1, 2),
        setup("cluster of 1 node, 1 shard", &alone, in_cluster(&alone), 1, 1),
        setup("cluster of 3 nodes, 3 shards", &three, in_cluster(&three), 3, 1),
        setup("cluster of 3 nodes, 3 shards, 2 workers", &three, in_cluster(&three), 3, 2),
    ];
    let mut measured: Vec<Vec<Run>> = setups.iter().map(|_| Vec::new()).collect();
    for round in 0..arguments.rounds {
        for (setup, runs) in setups.iter().zip(&mut measured) {
            let run = setup.measure(sink, arguments.jobs, arguments.in_flight.unwrap_or(64));
            let speed = run.jobs_per_second;
            eprintln!(
                "round {} of {}: {}: {speed:.0} jobs/s, {:.1} µs/job",
                round + 1,
                arguments.rounds,
                setup.name,
                run.cpu
            );
            runs.push(run);
        }
    }
    let mut rows = Rows::new(&["", "jobs/s", "CPU µs/job", "Redis µs/job"]);
    for (setup, runs) in setups.iter().zip(measured) {
        let of = |value: fn(&Run) -> f64| Summary::of(runs.iter().map(value));
        let cells = [
            of(|run| run.jobs_per_second).text(0),
            of(|run| run.cpu).text(1),
            of(|run| run.redis_cpu).text(1),
        ];
        rows.rows.push([vec![setup.name.to_owned()], cells.to_vec()].concat());
    }
    rows
}

impl Setup<'_> {
    fn node(&self, key: &str) -> &RedisServer {
        &self.nodes[cluster::index_of(self.nodes, key)]
    }

    fn streams(&self) -> Vec<String> {
        let tag = |shard: usize| if shard == 0 { "default".to_owned() } else { format!("default/{shard}") };
        (0..self.shards).map(|shard| format!("postrider:{{{}}}:jobs", tag(shard))).collect()
    }

    fn measure(&self, sink: &QuickSink, jobs: usize, in_flight: usize) -> Run {
        for node in self.nodes {
            node.command(&["FLUSHALL"]);
        }
        let meta = "postrider:{default}:meta";
        let shards = self.shards.to_string();
        self.node(meta).command(&["HSET", meta, "shards", &shards, "shards_before", &shards]);
        let mut connections = Vec::new();
        for stream in self.streams() {
            let mut connection = self.node(&stream).connect();
            drain::add(&mut connection, &stream, &[sink.url()], jobs / self.shards);
            connections.push((connection, stream));
        }
        let servers: Vec<u32> =
            self.nodes.iter().map(|node| process::of_server(&mut node.connect())).collect();
        let threads = ["--threads", self.threads];
        let workers: Vec<Running> =
            (0..self.workers).map(|_| Variant::Lean.start_with(&self.url, in_flight, &threads)).collect();
        let programs: Vec<u32> = workers.iter().map(Running::process).collect();
        let mut until = |left: usize| {
            wait::eventually("a drained queue", PATIENCE, || {
                let length = |(connection, stream): &mut (_, String)| {
                    drain::command(connection, &["XLEN", stream]).integer() as usize
                };
                let now: usize = connections.iter_mut().map(length).sum();
                for worker in &workers {
                    let ended = process::usage(worker.process()).ended;
                    assert!(!ended, "a worker of {} ended:\n{}", self.name, worker.log());
                }
                let used = |all: &[u32]| all.iter().map(|one| process::usage(*one).time).sum();
                (now <= left).then(|| (now, Instant::now(), used(&programs), used(&servers)))
            })
        };
        // By then all workers have started.
        let first = until(jobs * 9 / 10);
        let last = until(0);
        let done = first.0 as f64;
        let micros =
            |from: std::time::Duration, to: std::time::Duration| (to - from).as_secs_f64() * 1e6 / done;
        Run {
            jobs_per_second: done / (last.1 - first.1).as_secs_f64(),
            cpu: micros(first.2, last.2),
            redis_cpu: micros(first.3, last.3),
        }
    }
}
