//! Whether the machine keeps up. A worker that gets no processor for as long as a lease, or a Redis that waits so
//! long for its disk, is as good as paused, though nobody has paused it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::LEASE;
use super::faults::{Fault, Window};
use crate::resp::Connection;

const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Fault>>,
}

impl Watch {
    pub(super) fn start(redis: u16) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || watch(redis, &stop)
        });
        Watch { stop, thread }
    }

    /// When it did not keep up.
    pub(super) fn stop(self) -> Vec<Fault> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the watch does not panic")
    }
}

/// Leases are extended three times: it takes two thirds of one to lose it.
fn watch(redis: u16, stop: &AtomicBool) -> Vec<Fault> {
    let (mut faults, mut connection) = (Vec::new(), None);
    while !stop.load(Ordering::SeqCst) {
        let from = Instant::now();
        std::thread::sleep(PAUSE);
        if from.elapsed() > LEASE / 3 {
            faults.push(fault(Window::MachineBusy, from));
        }
        let from = Instant::now();
        let open = connection.take().or_else(|| Connection::open(redis).ok());
        // Killed or stopped, it has a fault of its own.
        connection = open.and_then(|mut open| open.command(&["PING"]).ok().map(|_| open));
        if from.elapsed() > LEASE / 3 {
            faults.push(fault(Window::RedisSlow, from));
        }
    }
    faults
}

fn fault(window: Window, from: Instant) -> Fault {
    Fault { window, pid: None, from, to: Some(Instant::now()) }
}
