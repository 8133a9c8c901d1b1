//! Nodes that accept connections and do not answer.

use std::time::Duration;

use e2e::cluster;
use e2e::process::{Build, Postrider, Signal};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::DEADLINE;

use super::flow_with_state;

const SHARDS: usize = 8;

/// A cluster with a queue of several shards, and a node that has some of them, but not the number of shards.
struct Stage {
    nodes: Vec<RedisServer>,
    silent: usize,
    /// The node of each shard.
    homes: Vec<usize>,
    /// A flow whose state is on a node that answers.
    flow: String,
    sink: Sink,
}

impl Stage {
    fn new() -> Self {
        let (nodes, sink) = (cluster::start(3), Sink::start());
        let meta = "postrider:{default}:meta";
        let home = cluster::index_of(&nodes, meta);
        let count = SHARDS.to_string();
        nodes[home].command(&["HSET", meta, "shards", &count, "shards_before", &count]);
        let key = |shard| format!("postrider:{{{}}}:jobs", name(shard));
        let homes: Vec<usize> = (0..SHARDS).map(|shard| cluster::index_of(&nodes, &key(shard))).collect();
        // That of the lowest shard that it can be: the others come after it.
        let silent = homes.iter().copied().find(|node| *node != home).expect("a node has some of the shards");
        let flow = flow_with_state(&nodes, silent, false);
        Self { nodes, silent, homes, flow, sink }
    }

    fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.nodes[(self.silent + 1) % 3].port)
    }

    fn start_worker(&self) -> Postrider {
        let environment = [("POSTRIDER_REDIS_URL", self.url())];
        let environment = environment.each_ref().map(|(name, url)| (*name, url.as_str()));
        Postrider::ready_worker(Build::Lean, &self.nodes[0], &["--concurrency", "4"], &environment)
    }

    fn enqueue(&self, shard: usize, path: &str) {
        let (home, name) = (&self.nodes[self.homes[shard]], name(shard));
        Queue::new(home, &name).enqueue(&[("url", self.sink.url(path).as_str()), ("flow", &self.flow)]);
    }

    /// The shards whose nodes answer, and those of the silent node.
    fn shards(&self) -> (Vec<usize>, Vec<usize>) {
        (0..SHARDS).partition(|shard| self.homes[*shard] != self.silent)
    }
}

fn name(shard: usize) -> String {
    if shard == 0 { "default".to_owned() } else { format!("default/{shard}") }
}

#[test]
fn a_node_that_is_silent_at_the_start_keeps_no_other_shard_waiting() {
    let mut stage = Stage::new();
    let (others, own) = stage.shards();
    stage.nodes[stage.silent].signal(Signal::SIGSTOP);
    let mut worker = stage.start_worker();
    for shard in &others {
        let path = format!("/ok?{shard}");
        stage.enqueue(*shard, &path);
        stage.sink.wait_for_path(&path, 1, DEADLINE);
    }
    worker.wait_for_log("cannot read a shard of this queue", DEADLINE);
    stage.nodes[stage.silent].signal(Signal::SIGCONT);
    for shard in &own {
        let path = format!("/ok?{shard}");
        stage.enqueue(*shard, &path);
        stage.sink.wait_for_path(&path, 1, DEADLINE);
    }
    assert!(worker.stop().success());
}

#[test]
fn a_node_that_falls_silent_delays_the_first_reads_of_others_little() {
    let mut stage = Stage::new();
    let mut worker = stage.start_worker();
    let (others, own) = stage.shards();
    for shard in others.iter().chain(&own) {
        stage.enqueue(*shard, &format!("/ok?{shard}"));
        stage.sink.wait_for_path(&format!("/ok?{shard}"), 1, DEADLINE);
    }
    stage.nodes[stage.silent].signal(Signal::SIGSTOP);
    for job in 0..10 {
        let path = format!("/ok?late-{job}");
        stage.enqueue(others[job % others.len()], &path);
        // A command that is not answered times out after 5 s.
        stage.sink.wait_for_path(&path, 1, Duration::from_secs(3));
    }
    stage.nodes[stage.silent].signal(Signal::SIGCONT);
    stage.enqueue(own[0], "/ok?again");
    stage.sink.wait_for_path("/ok?again", 1, DEADLINE);
    assert!(worker.stop().success());
}
