//! Stalls that nobody planned: a machine or a disk under load can delay Redis, or every process, for longer than a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::LEASE;
use super::faults::{Fault, Window};
use crate::resp::Connection;

const INTERVAL: Duration = LEASE.checked_div(20).unwrap();

/// What lasts longer than this may cost a lease, if a renewal was due in that time.
const STALL_MIN: Duration = LEASE.checked_div(2).unwrap();

/// Watches Redis and its own thread until it is stopped.
pub(super) struct Stalls {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Fault>>,
}

impl Stalls {
    pub(super) fn watch(port: u16) -> Stalls {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut stalls = Vec::new();
            let mut connection = None;
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                thread::sleep(INTERVAL);
                stalls.extend(stall(Window::MachineStalled, start + INTERVAL));
                let start = Instant::now();
                let mut open = connection.take().or_else(|| Connection::open(port).ok());
                if open.as_mut().is_some_and(|open| open.command(&["PING"]).is_ok()) {
                    connection = open;
                }
                stalls.extend(stall(Window::RedisStalled, start));
            }
            stalls
        });
        Stalls { stop, thread }
    }

    /// Stops, and returns what it saw.
    pub(super) fn end(self) -> Vec<Fault> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread only collects times")
    }
}

/// The stall since `from`, if it was one.
fn stall(window: Window, from: Instant) -> Option<Fault> {
    let to = Instant::now();
    (to.saturating_duration_since(from) >= STALL_MIN).then_some(Fault {
        window,
        pid: None,
        from,
        to: Some(to),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Signal;
    use crate::redis::RedisServer;

    #[test]
    fn a_redis_that_does_not_reply_for_a_lease_is_a_stall() {
        let mut redis = RedisServer::start();
        let stalls = Stalls::watch(redis.port);
        redis.signal(Signal::SIGSTOP);
        thread::sleep(LEASE);
        redis.signal(Signal::SIGCONT);
        redis.command(&["PING"]);
        let seen = stalls.end();
        assert!(seen.iter().any(|fault| fault.window == Window::RedisStalled), "{seen:?}");
    }
}
