//! `postrider worker --console`.

use std::net::TcpListener;

use e2e::wait::{self, DEADLINE};
use e2e::world::World;
use serde_json::Value;

use super::{BUILD, Console};

#[test]
fn a_worker_serves_a_console_beside_its_work() {
    let world = World::new(BUILD);
    // The console shows each thread as a worker.
    let mut worker = world.worker(&["--console", "127.0.0.1:0", "--threads", "1"]);
    let line = worker.wait_for_log("serves the console", DEADLINE);
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    let address = line["address"].as_str().and_then(|address| address.parse().ok());
    let mut console = Console { process: worker, address: address.expect("an address") };
    world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
    world.sink.wait_for(1, DEADLINE);
    let alive = || (console.get("/v1/queues/default").1[0]["workers_alive"] == 1).then_some(());
    wait::eventually("the worker of the queue", DEADLINE, alive);
    // A connection that sends nothing delays the end of neither.
    let _idle = std::net::TcpStream::connect(console.address).expect("a connection");
    assert_eq!(console.process.stop().code(), Some(0));
}

#[test]
fn a_console_that_cannot_start_ends_the_worker() {
    let world = World::new(BUILD);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = world.run(&["worker", "--console", &address]);
    assert!(output.code() == 4 && output.stderr.contains("cannot listen on"), "{output:?}");
    let output = world.run(&["worker", "--console", "0.0.0.0:0"]);
    assert!(output.code() != 0 && output.stderr.contains("no tokens are set"), "{output:?}");
}
