//! A Redis Cluster whose masters die.

use std::time::{Duration, Instant};

use e2e::cluster;
use e2e::process::Postrider;
use e2e::queue::Queue;
use e2e::sink::Sink;
use e2e::wait;
use nix::sys::signal::Signal;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[Case {
    name: "a_master_that_has_no_key_of_the_queue",
    does: "one of 3 masters, which has no key of the queue, is stopped for 60 s, then killed for 60 s",
    expects: "each of 10 jobs a second is delivered within 3 s",
    run: foreign_master,
}];

fn foreign_master() -> String {
    let (mut nodes, sink) = (cluster::start(3), Sink::start());
    for node in &nodes {
        node.command(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
        node.command(&["CONFIG", "SET", "cluster-node-timeout", "2000"]);
    }
    let home = cluster::index_of(&nodes, "postrider:{default}:jobs");
    let (dead, seed) = ((home + 1) % 3, (home + 2) % 3);
    let url = format!("redis-cluster://127.0.0.1:{}", nodes[seed].port);
    let _worker = Postrider::ready_worker(BUILD, &nodes[home], &[], &[("POSTRIDER_REDIS_URL", &url)]);
    for is_killed in [false, true] {
        match is_killed {
            false => nodes[dead].signal(Signal::SIGSTOP),
            true => nodes[dead].kill(),
        }
        let (queue, end) = (Queue::new(&nodes[home], "default"), Instant::now() + Duration::from_secs(60));
        for job in 0.. {
            if Instant::now() >= end {
                break;
            }
            let path = format!("/ok?{is_killed}-{job}");
            queue.enqueue(&[("url", sink.url(&path))]);
            sink.wait_for_path(&path, 1, Duration::from_secs(3));
            wait::unless_interrupted(Duration::from_millis(100));
        }
        if !is_killed {
            nodes[dead].signal(Signal::SIGCONT);
        }
    }
    format!("{} jobs were delivered, each within 3 s", sink.requests().len())
}
