//! The producer: a plain XADD for each job, at a steady rate, on its own connection. It never retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::hanging::Hanging;
use super::job;
use crate::resp::{Connection, Reply};

/// The producer's record of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enqueued {
    /// Whether Redis has acknowledged the job. If not, it may or may not be in the queue.
    pub(super) acknowledged: bool,
    pub(super) at: Instant,
}

pub(super) struct Producer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Enqueued>>,
}

impl Producer {
    pub(super) fn start(
        redis: u16,
        keys: Vec<String>,
        destination: String,
        hanging: Hanging,
        rate: u32,
    ) -> Producer {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || produce(redis, &keys, &destination, &hanging, Duration::from_secs(1) / rate, &stop)
        });
        Producer { stop, thread }
    }

    /// Stops and returns the jobs, indexed by number.
    pub(super) fn stop(self) -> Vec<Enqueued> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the producer does not panic")
    }
}

fn produce(
    redis: u16,
    keys: &[String],
    destination: &str,
    hanging: &Hanging,
    pause: Duration,
    stop: &AtomicBool,
) -> Vec<Enqueued> {
    let (mut jobs, mut connection, start) = (Vec::new(), None, Instant::now());
    while !stop.load(Ordering::SeqCst) {
        let number = jobs.len() as u64;
        let fields = job::fields(number, destination, hanging);
        let mut command = vec!["XADD", &keys[jobs.len() % keys.len()], "*"];
        command.extend(fields.iter().flat_map(|(name, value)| [*name, value.as_str()]));
        let at = Instant::now();
        let reply = send(&mut connection, redis, &command);
        jobs.push(Enqueued { acknowledged: matches!(reply, Some(Reply::Bulk(_))), at });
        // Relative to the start, so that the average rate is kept after a time without Redis.
        let due = start + pause * u32::try_from(jobs.len()).expect("a run has few jobs");
        std::thread::sleep(due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    }
    jobs
}

/// Sends a command once, on the existing connection or a new one.
fn send(connection: &mut Option<Connection>, redis: u16, command: &[&str]) -> Option<Reply> {
    if connection.is_none() {
        *connection = Connection::open(redis).ok();
    }
    let reply = connection.as_mut()?.command(command).ok();
    if reply.is_none() {
        *connection = None;
    }
    reply
}
