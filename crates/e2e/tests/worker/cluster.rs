//! A Redis Cluster: its slots move, its nodes die.

mod silent_nodes;

use std::time::Duration;

use e2e::cluster;
use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually, eventually_or};

const BUILD: Build = Build::Otel;

fn send(url: &str, arguments: &[&str]) -> Output {
    let arguments = [&["send", "--redis-url", url], arguments].concat();
    Postrider::run(BUILD, &arguments, &[], DEADLINE)
}

#[test]
fn the_shards_of_a_queue_spread_over_a_cluster() {
    let (nodes, sink) = (cluster::start(3), Sink::start());
    let url = format!("redis-cluster://127.0.0.1:{}", nodes[0].port);
    let meta = "postrider:{default}:meta";
    let home = &nodes[cluster::index_of(&nodes, meta)];
    home.command(&["HSET", meta, "shards", "8", "shards_before", "8"]);
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let mut worker = Postrider::ready_worker(BUILD, &nodes[0], &["--retry-base", "20ms"], &environment);
    for job in 0..40 {
        let output = send(&url, &[&sink.url(&format!("/flaky/1/{job}"))]);
        assert_eq!(output.code(), 0, "{output:?}");
    }
    sink.wait_for(80, DEADLINE);
    let held = || nodes.iter().map(jobs_on).sum::<i64>();
    eventually("nothing left on any node", DEADLINE, || (held() == 0).then_some(()));
    let used = nodes.iter().filter(|node| streams_on(node) > 0).count();
    assert!(used >= 2, "the shards lie on {used} of 3 nodes");
    assert!(worker.stop().success());
}

/// The shared state of a flow is in its own slot, not in the queue's.
#[test]
fn a_flow_is_limited_and_its_jobs_held_in_a_cluster() {
    const JOBS: usize = 30;
    let (nodes, sink) = (cluster::start(3), Sink::start());
    let url = format!("redis-cluster://127.0.0.1:{}", nodes[0].port);
    let config = TextFile::new("[flows.default]\nconcurrency = 2\nrate = \"20/s\"\nburst = 5\n");
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let arguments = ["--config", config.path()];
    let mut workers = [(); 2].map(|()| Postrider::ready_worker(BUILD, &nodes[0], &arguments, &environment));
    let queue = Queue::new(&nodes[cluster::index_of(&nodes, "postrider:{default}:jobs")], "default");
    // Flows of several names, so that some lie on other nodes than the queue.
    for job in 0..JOBS {
        let flow = ["a", "b", "c"][job % 3];
        queue.enqueue(&[("url", sink.url(&format!("/slow/20?{flow}")).as_str()), ("flow", flow)]);
    }
    let table = Postrider::run(BUILD, &["flows", "--json"], &environment, DEADLINE);
    assert_eq!(table.code(), 0, "{table:?}");
    let requests = sink.wait_for(JOBS, DEADLINE);
    let of = |path: &str| requests.iter().filter(|request| request.path == path).collect::<Vec<_>>();
    for path in ["/slow/20?a", "/slow/20?b", "/slow/20?c"] {
        let of = of(path);
        // 5 at once, and the other 5 at 20 a second.
        let took = of[of.len() - 1].arrived - of[0].arrived;
        assert!(took >= Duration::from_millis(200), "{path}: {took:?}");
    }
    queue.wait_until_drained(DEADLINE);
    let shared = |node: &RedisServer| node.command(&["KEYS", "postrider:flow:*"]).array().len();
    assert_eq!(nodes.iter().map(shared).sum::<usize>(), 3);
    for worker in &mut workers {
        assert!(worker.stop().success());
        assert!(!worker.log().join("\n").contains("CROSSSLOT"), "{}", worker.log().join("\n"));
    }
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
}

fn streams(node: &RedisServer) -> Vec<String> {
    node.command(&["KEYS", "postrider:*:jobs"]).array().iter().map(|key| key.text()).collect()
}

fn streams_on(node: &RedisServer) -> usize {
    streams(node).len()
}

fn jobs_on(node: &RedisServer) -> i64 {
    streams(node).iter().map(|stream| node.command(&["XLEN", stream]).integer()).sum()
}

#[test]
fn jobs_in_flight_survive_the_migration_of_their_slot() {
    let (nodes, sink) = (cluster::start(3), Sink::start());
    let url = format!("redis-cluster://127.0.0.1:{}", nodes[0].port);
    let jobs = "postrider:{default}:jobs";
    let slot = nodes[0].command(&["CLUSTER", "KEYSLOT", jobs]).integer();
    let home = cluster::index_of(&nodes, jobs);
    let (from, to) = (&nodes[home], &nodes[(home + 1) % 3]);
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let arguments = ["--retry-base", "20ms", "--lease", "2s"];
    let mut worker = Postrider::ready_worker(BUILD, &nodes[0], &arguments, &environment);
    // Some that end, some that are tried again, some that die: while their keys are half here and half there.
    for path in ["/slow/1500", "/flaky/3/moved", "/status/410"] {
        (0..5).for_each(|job| {
            drop(Queue::new(from, "default").enqueue(&[("url", sink.url(&format!("{path}?{job}")))]))
        });
    }
    sink.wait_for(10, DEADLINE);
    let slot = slot.to_string();
    let id = |node: &RedisServer| node.command(&["CLUSTER", "MYID"]).text();
    to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
    from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    let port = to.port.to_string();
    from.command(&["MIGRATE", "127.0.0.1", &port, jobs, "0", "5000"]);
    sink.wait_for_path("/slow/1500?4", 1, DEADLINE);
    eventually("a slot without keys", DEADLINE, || {
        let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
        let keys: Vec<String> = keys.array().iter().map(|key| key.text()).collect();
        for key in &keys {
            from.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        }
        keys.is_empty().then_some(())
    });
    for node in [to, from] {
        node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]);
    }
    let queue = Queue::new(to, "default");
    eventually_or("an empty queue", DEADLINE, || {
        queue.drained().map_err(|left| format!("{left}\n{}", worker.log().join("\n")))
    });
    eventually("the dead letters", DEADLINE, || (queue.dead().len() == 5).then_some(()));
    for job in 0..5 {
        assert!(!sink.requests_to(&format!("/slow/1500?{job}")).is_empty());
        assert!(!sink.requests_to(&format!("/flaky/3/moved?{job}")).is_empty());
    }
    assert!(worker.stop().success());
}

/// Waits until a replica has all writes. Writes that it does not have are lost with the node, though Redis has
/// acknowledged them.
fn replicated(node: &RedisServer) {
    let mut connection = node.connect();
    connection.command(&["SET", "postrider:{default}:marker", "x"]).expect("the node answers");
    let got = connection.command(&["WAIT", "1", "5000"]).expect("the node answers");
    assert_eq!(got.integer(), 1);
}

/// The node of the queue dies while scripts run on it, and its replica takes its place.
#[test]
fn jobs_survive_the_death_of_their_node() {
    const JOBS: usize = 40;
    let (mut nodes, sink) = (cluster::start(3), Sink::start());
    let home = cluster::index_of(&nodes, "postrider:{default}:jobs");
    let replica = cluster::replica_of(&nodes, home);
    let others: Vec<String> = (0..3).filter(|node| *node != home).map(|node| nodes[node].url()).collect();
    let url = others[0].replace("redis://", "redis-cluster://");
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let arguments = ["--retry-base", "20ms", "--lease", "2s"];
    let mut worker = Postrider::ready_worker(BUILD, &nodes[0], &arguments, &environment);
    let queue = Queue::new(&nodes[home], "default");
    for job in 0..JOBS {
        let path = ["/flaky/2/x", "/slow/300", "/ok", "/status/410"][job % 4];
        queue.enqueue(&[("url", sink.url(&format!("{path}?{job}")))]);
    }
    replicated(&nodes[home]);
    sink.wait_for(5, DEADLINE);
    nodes[home].kill();
    replica.command(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
    eventually("the replica is the primary", DEADLINE, || {
        replica.command(&["INFO", "replication"]).text().contains("role:master").then_some(())
    });
    let queue = Queue::new(&replica, "default");
    eventually_or("an empty queue", DEADLINE, || {
        queue.drained().map_err(|left| format!("{left}\n{}", worker.log().join("\n")))
    });
    let paths: Vec<String> = sink.requests().into_iter().map(|request| request.path).collect();
    for job in 0..JOBS {
        let end = format!("?{job}");
        assert!(paths.iter().any(|path| path.ends_with(&end)), "{job} was never sent");
    }
    let dead: std::collections::BTreeSet<_> =
        queue.dead().iter().filter_map(|letter| letter.field("url")).collect();
    assert_eq!(dead.len(), JOBS / 4);
    assert!(worker.stop().success());
}

/// A flow whose shared state lies on that node, or on another one.
fn flow_with_state(nodes: &[RedisServer], node: usize, is_there: bool) -> String {
    const ID: &str = "return string.sub(redis.sha1hex(ARGV[1]), 1, 16)";
    let names = (0..).map(|number| format!("flow-{number}"));
    let lies_there = |name: &String| {
        let id = nodes[node].command(&["EVAL", ID, "0", name]).text();
        cluster::index_of(nodes, &format!("postrider:flow:{{{id}}}")) == node
    };
    names.into_iter().find(|name| lies_there(name) == is_there).expect("each node has many flows")
}

/// A node that has no key of a queue dies: the jobs of that queue are delivered, all commands work that need only its
/// keys, and the jobs whose flow has its state there wait.
#[test]
fn a_dead_node_holds_up_only_its_own_keys() {
    let (mut nodes, sink) = (cluster::start(3), Sink::start());
    // Else the whole cluster is down once its nodes agree that one has failed, after 15 s.
    for node in &nodes {
        node.command(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let home = cluster::index_of(&nodes, "postrider:{default}:jobs");
    let (dead, seed) = ((home + 1) % 3, (home + 2) % 3);
    let url = format!("redis-cluster://127.0.0.1:{}", nodes[seed].port);
    let config = TextFile::new("[flows.default]\nrate = \"100/s\"\n");
    let (there, elsewhere) = (flow_with_state(&nodes, dead, true), flow_with_state(&nodes, dead, false));
    let arguments = ["--config", config.path(), "--concurrency", "4"];
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let start = |redis: &RedisServer| Postrider::ready_worker(Build::Lean, redis, &arguments, &environment);
    let mut worker = start(&nodes[home]);
    nodes[dead].kill();
    let queue = Queue::new(&nodes[home], "default");
    queue.enqueue(&[("url", sink.url("/ok?there").as_str()), ("flow", &there)]);
    for job in 0..30 {
        let path = format!("/ok?{job}");
        queue.enqueue(&[("url", sink.url(&path).as_str()), ("flow", &elsewhere)]);
        sink.wait_for_path(&path, 1, Duration::from_secs(3));
    }
    worker.wait_for_log("a node of the cluster does not answer", DEADLINE);
    assert!(worker.stop().success());
    // What starts now needs that node as little.
    let mut worker = start(&nodes[home]);
    // The flow of the destination itself may have its state on the dead node.
    let sent = send(&url, &[&sink.url("/ok?sent"), "--flow", &elsewhere, "--wait"]);
    assert_eq!(sent.code(), 0, "{sent:?}");
    // A list of all queues would lack those that lie there.
    let queues = Postrider::run(Build::Lean, &["queues"], &environment, DEADLINE);
    assert!(queues.code() == 4 && queues.stderr.contains(&nodes[dead].port.to_string()), "{queues:?}");
    assert_eq!(sink.requests_to("/ok?there").len(), 0);
    nodes[dead].restart();
    sink.wait_for_path("/ok?there", 1, DEADLINE);
    assert!(worker.stop().success());
}
