//! What a thread that stands still costs the jobs of the process' other threads.

use e2e::drain::command;
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::arguments::Arguments;
use crate::enqueue::in_turn;
use crate::latency::latency_cells;
use crate::measure::{self, LATENCY_RATE, Latency};
use crate::process::threads;
use crate::running::Running;
use crate::summary::Rows;
use crate::variant::Variant;

const JOBS: u32 = 10 * LATENCY_RATE;
/// A worker.
#[derive(Clone, Copy)]
enum Threads {
    Two,
    /// Two, of which one stands still.
    OneOfTwo,
    One,
}

const VARIANTS: [(Threads, &str); 3] = [
    (Threads::Two, "2 threads"),
    (Threads::OneOfTwo, "2 threads, one stands still"),
    (Threads::One, "1 thread"),
];

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let mut runs = VARIANTS.map(|_| vec![]);
    for round in 0..arguments.rounds {
        for index in in_turn(round, VARIANTS.len()) {
            let (threads, name) = VARIANTS[index];
            let latency = measure(threads, redis, sink);
            eprintln!("round {} of {}: {name}: {latency:?}", round + 1, arguments.rounds);
            runs[index].push(latency);
        }
    }
    let mut rows = Rows::new(&["", "p50 ms", "p99 ms", "p99 to 2 threads", "p99 to 1 thread"]);
    for ((_, name), own) in VARIANTS.iter().zip(&runs) {
        let to_one = latency_cells(own, &runs[2]).pop();
        rows.rows
            .push([vec![(*name).to_owned()], latency_cells(own, &runs[0]), Vec::from_iter(to_one)].concat());
    }
    rows
}

fn measure(threads: Threads, redis: &RedisServer, sink: &QuickSink) -> Latency {
    let mut connection = redis.connect();
    command(&mut connection, &["FLUSHALL"]);
    let count = if matches!(threads, Threads::One) { 1 } else { 2 };
    // Jobs that the thread has taken are taken over after a lease.
    let arguments = ["--threads", &count.to_string(), "--lease", "5s"];
    let mut running = Variant::Lean.start_with(&redis.url(), 64, &arguments);
    running.wait_until_ready(count);
    let mut enqueue = || measure::enqueue(&mut connection, sink);
    measure::paced_latency(&running, sink, LATENCY_RATE, [LATENCY_RATE, 1], &mut enqueue);
    let blocked = matches!(threads, Threads::OneOfTwo).then(|| Blocked::new(second_thread(&running)));
    let latency = measure::paced_latency(&running, sink, LATENCY_RATE, [0, JOBS], &mut enqueue);
    drop(blocked);
    running.stop();
    latency
}

/// # Panics
///
/// If the process has none.
fn second_thread(running: &Running) -> u32 {
    let is_engine = |thread: &u32| {
        let path = format!("/proc/{}/task/{thread}/comm", running.process());
        std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "engine-1")
    };
    threads(running.process()).into_iter().find(is_engine).expect("the second engine has a thread")
}

/// A thread of a child that stands still until this is dropped, while the others go on.
struct Blocked(Pid);

impl Blocked {
    fn new(thread: u32) -> Blocked {
        let thread = Pid::from_raw(i32::try_from(thread).expect("the id of a thread is a positive i32"));
        ptrace::seize(thread, Options::empty()).expect("a child can be traced");
        ptrace::interrupt(thread).expect("a traced thread can be stopped");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("the thread stops");
        Blocked(thread)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = ptrace::detach(self.0, None);
    }
}
