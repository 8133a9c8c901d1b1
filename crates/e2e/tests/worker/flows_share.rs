//! Slots are shared over all flows: any number of destinations that hang leaves slots to those that answer, on one thread of
//! a worker and on two.

use std::time::Duration;

use e2e::drain;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait;

e2e::on_one_thread_and_on_two!(
    a_flow_that_answers_keeps_its_slots_beside_many_that_hang,
    flows_that_stop_answering_together_do_not_stop_another,
    a_slow_destination_alone_gets_all_slots_but_an_eighth_and_delays_no_other,
);

const TIMEOUT: Duration = Duration::from_secs(6);
const TEST_TIMEOUT: Duration = Duration::from_secs(2);
const HANGING: usize = 80;

/// Delivers `jobs` jobs of a flow, one after the other.
fn deliver(queue: &Queue, sink: &Sink, flow: &str, jobs: usize, deadline: Duration) {
    for number in 0..jobs {
        let path = format!("/ok?{flow}-{number}");
        queue.enqueue(&[("url", sink.url(&path).as_str()), ("flow", flow)]);
        sink.wait_for_path(&path, 1, deadline);
    }
}

/// Three jobs for each of many flows that hang.
fn hang(queue: &Queue, dead: &Sink, flows: std::ops::Range<usize>) {
    for number in flows.clone().chain(flows.clone()).chain(flows) {
        queue.enqueue(&[("url", dead.url("/hang").as_str()), ("flow", &format!("hanging-{number}"))]);
    }
}

/// The destinations hang when they are tried for the first time.
fn a_flow_that_answers_keeps_its_slots_beside_many_that_hang(threads: &str) {
    let (redis, good, dead) = (RedisServer::start(), Sink::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(
        Build::Lean,
        &redis,
        &["--threads", threads, "--concurrency", "16", "--timeout", "6s", "--shutdown-timeout", "0s"],
        &[],
    );
    deliver(&queue, &good, "proven", 1, TEST_TIMEOUT);
    hang(&queue, &dead, 0..HANGING);
    dead.wait_for(8, TEST_TIMEOUT);
    deliver(&queue, &good, "proven", 40, TEST_TIMEOUT);
    // A flow that was never tried gets the next place, and keeps its rate from then on.
    deliver(&queue, &good, "untried", 1, TIMEOUT + TEST_TIMEOUT);
    deliver(&queue, &good, "untried", 40, TEST_TIMEOUT);
}

/// The destinations have answered before, and hang together.
fn flows_that_stop_answering_together_do_not_stop_another(threads: &str) {
    const FLOWS: usize = 24;
    let (redis, good, dead) = (RedisServer::start(), Sink::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(
        Build::Lean,
        &redis,
        &["--threads", threads, "--concurrency", "16", "--timeout", "20s", "--shutdown-timeout", "0s"],
        &[],
    );
    for number in 0..FLOWS {
        deliver(&queue, &good, &format!("hanging-{number}"), 1, TEST_TIMEOUT);
    }
    deliver(&queue, &good, "proven", 1, TEST_TIMEOUT);
    hang(&queue, &dead, 0..FLOWS);
    deliver(&queue, &good, "proven", 40, TEST_TIMEOUT);
}

/// The stream is read faster than the window of the slow destination opens, so most of its jobs are held for a while.
fn a_slow_destination_alone_gets_all_slots_but_an_eighth_and_delays_no_other(threads: &str) {
    const SLOTS: usize = 640;
    let (redis, good) = (RedisServer::start(), Sink::start());
    let slow = QuickSink::start(Duration::from_millis(600));
    drain::preload(&mut redis.connect(), drain::STREAM, &[slow.url()], 20 * SLOTS);
    let _worker = Postrider::ready_worker(
        Build::Lean,
        &redis,
        &["--threads", threads, "--concurrency", &SLOTS.to_string(), "--shutdown-timeout", "0s"],
        &[],
    );
    let all_but_an_eighth = SLOTS - SLOTS / 8;
    wait::eventually_or("a full window", wait::DEADLINE, || match slow.under_way() {
        under_way if under_way > all_but_an_eighth * 15 / 16 => Ok(()),
        under_way => Err(format!("{under_way} requests under way")),
    });
    deliver(&Queue::new(&redis, "default"), &good, "other", 20, TEST_TIMEOUT);
    let under_way = slow.under_way();
    assert!(under_way <= all_but_an_eighth, "{under_way}");
}
