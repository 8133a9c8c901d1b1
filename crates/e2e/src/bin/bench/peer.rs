//! Other systems that take jobs out of Redis, as `crates/e2e/peers` uses them, and how their programs are called.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use e2e::wait;

use crate::running::{PATIENCE, path_in, without_settings};

/// A system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// It does the number of jobs of a run divided by this, which take some seconds.
    pub(crate) share: usize,
    /// Its jobs are added while its worker runs, which ends if it finds more than about 8,000 of them.
    pub(crate) is_filled_late: bool,
    /// The value of `OTEL_EXPORTER_OTLP_PROTOCOL` that its exporter knows.
    pub(crate) protocol: &'static str,
    program: Program,
}

/// How its programs are started.
#[derive(Debug, PartialEq, Eq)]
enum Program {
    Apalis,
    BullMq,
    /// This file of `peers/asyncio`.
    Asyncio(&'static str),
    Celery,
}

const fn peer(name: &'static str, share: usize, protocol: &'static str, program: Program) -> Peer {
    Peer { name, share, is_filled_late: matches!(program, Program::Apalis), protocol, program }
}

static ALL: [Peer; 5] = [
    peer("apalis", 1, "grpc", Program::Apalis),
    peer("bullmq", 5, "http/protobuf", Program::BullMq),
    peer("asyncio-tuned", 5, "http/protobuf", Program::Asyncio("tuned.py")),
    peer("asyncio-httpx", 50, "http/protobuf", Program::Asyncio("with_httpx.py")),
    peer("celery", 50, "http/protobuf", Program::Celery),
];

/// The peers of a list of names, separated by commas, or all of an empty list. `None` if a name is unknown.
pub(crate) fn named(names: &str) -> Option<Vec<&'static Peer>> {
    if names.is_empty() {
        return Some(ALL.iter().collect());
    }
    names.split(',').map(|name| ALL.iter().find(|peer| peer.name == name)).collect()
}

impl Peer {
    /// The command of its worker.
    pub(crate) fn worker(&self, redis_url: &str, in_flight: usize) -> Command {
        let in_flight = in_flight.to_string();
        match &self.program {
            Program::Apalis => called(apalis(), &["work", redis_url, &in_flight]),
            Program::BullMq => called(bullmq(), &["work", redis_url, &in_flight]),
            Program::Asyncio(file) => called(python("asyncio", file), &[redis_url, &in_flight]),
            Program::Celery => called(python("celery", "worker.py"), &[redis_url, &in_flight]),
        }
    }

    /// Starts the program that makes a job for this URL of each line that it is sent.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub(crate) fn enqueuer(&self, redis_url: &str, url: &str) -> Enqueuer {
        let mut command = match self.program {
            Program::Apalis => called(apalis(), &["enqueue", redis_url, url]),
            Program::BullMq => called(bullmq(), &["enqueue", redis_url, url]),
            Program::Asyncio(_) => called(python("asyncio", "enqueue.py"), &[redis_url, url]),
            Program::Celery => called(python("celery", "enqueue.py"), &[redis_url, url]),
        };
        without_settings(&mut command);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut child =
            child.unwrap_or_else(|error| panic!("cannot start the producer of {}: {error}", self.name));
        let input = BufWriter::new(child.stdin.take().expect("standard input is a pipe"));
        Enqueuer { name: self.name, child, input: Some(input) }
    }
}

/// The folder into which `cargo xtask bench --peers` has installed a peer.
fn folder(name: &str) -> PathBuf {
    path_in("POSTRIDER_PEERS").join(name)
}

fn apalis() -> Command {
    Command::new(folder("apalis").join("release/peer-apalis"))
}

fn bullmq() -> Command {
    let mut command = Command::new(path_in("POSTRIDER_PEERS_NODE"));
    command.arg(folder("bullmq").join("worker.js"));
    command
}

fn python(name: &str, file: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(folder(name).join(file)).env("PYTHONPATH", folder(name).join("packages"));
    command
}

fn called(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// A program that makes a job of each line. It is killed and reaped when dropped.
pub(crate) struct Enqueuer {
    name: &'static str,
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
}

impl Enqueuer {
    /// Enqueues jobs with these bodies, and waits until all are.
    ///
    /// # Panics
    ///
    /// If the program fails.
    pub(crate) fn fill(mut self, body: &str, jobs: usize) {
        for _ in 0..jobs {
            self.write(body);
        }
        // Closes the pipe, which is the end of the jobs.
        drop(self.input.take());
        let status = wait::eventually("the producer has enqueued all jobs", PATIENCE, || {
            self.child.try_wait().expect("an own child can be waited for")
        });
        assert!(status.success(), "the producer of {} ended with {status}", self.name);
    }

    /// Enqueues one job now.
    ///
    /// # Panics
    ///
    /// If the program has ended.
    pub(crate) fn enqueue(&mut self, body: &str) {
        self.write(body);
        let flushed = self.input.as_mut().map_or(Ok(()), Write::flush);
        flushed.unwrap_or_else(|error| panic!("the producer of {} has ended: {error}", self.name));
    }

    fn write(&mut self, body: &str) {
        let written = self.input.as_mut().map_or(Ok(()), |input| writeln!(input, "{body}"));
        written.unwrap_or_else(|error| panic!("the producer of {} has ended: {error}", self.name));
    }
}

impl Drop for Enqueuer {
    fn drop(&mut self) {
        // These fail if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
