//! Faults that nobody planned, or somebody else caused: a machine or a disk under load delays Redis, or every process, for
//! longer than a lease; Redis is restarted, or fails over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postrider_queue::admin::Inspector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::faults::{Fault, Window};
use super::options::LEASE;

const INTERVAL: Duration = LEASE.checked_div(20).expect("20 is not 0");
/// What lasts longer than this may cost a lease, if a renewal was due in that time.
const STALL_MIN: Duration = LEASE.checked_div(2).expect("2 is not 0");
/// How often the servers are looked at, apart from failures.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The faults so far.
type Seen = Arc<Mutex<Vec<Fault>>>;

/// Watches Redis and this process until it is stopped or dropped.
pub(crate) struct Watch {
    stop: CancellationToken,
    seen: Seen,
    tasks: [AbortOnDropHandle<()>; 2],
}

impl Watch {
    /// With two connections: one looks whether Redis answers, the other one which servers there are.
    pub(crate) fn start(pinging: Inspector, looking: Inspector, is_cluster: bool) -> Watch {
        let (stop, seen) = (CancellationToken::new(), Seen::default());
        let tasks = [
            tokio::spawn(ping(pinging, seen.clone(), stop.clone())),
            tokio::spawn(look(looking, seen.clone(), stop.clone(), is_cluster)),
        ];
        Watch { stop, seen, tasks: tasks.map(AbortOnDropHandle::new) }
    }

    /// Stops, and returns what it saw.
    pub(crate) async fn end(self) -> Vec<Fault> {
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn push(seen: &Seen, window: Window, from: Instant) {
    let fault = Fault { window, pid: None, from, to: Some(Instant::now()) };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
}

async fn ping(inspector: Inspector, seen: Seen, stop: CancellationToken) {
    // When it began not to answer.
    let mut silent: Option<Instant> = None;
    while !stop.is_cancelled() {
        let start = Instant::now();
        tokio::time::sleep(INTERVAL).await;
        if start.elapsed() >= INTERVAL + STALL_MIN {
            push(&seen, Window::MachineStalled, start + INTERVAL);
        }
        let start = Instant::now();
        match inspector.now().await {
            Ok(_) => {
                let from = silent.take().unwrap_or(start);
                if from.elapsed() >= STALL_MIN {
                    push(&seen, Window::RedisStalled, from);
                }
            }
            Err(_) => drop(silent.get_or_insert(start)),
        }
    }
    if let Some(from) = silent {
        push(&seen, Window::RedisStalled, from);
    }
    inspector.close().await;
}

async fn look(inspector: Inspector, seen: Seen, stop: CancellationToken, is_cluster: bool) {
    let (mut known, mut last) = (None, Instant::now());
    while !stop.is_cancelled() {
        let start = Instant::now();
        if let Ok(now) = servers(&inspector).await {
            let before = known.replace(now.clone());
            if let Some(before) = before.filter(|before| *before != now) {
                let has_moved =
                    is_cluster || before.iter().any(|own| own.0 != now.first().map_or("", |now| &now.0));
                push(&seen, if has_moved { Window::FailedOver } else { Window::RedisRestarted }, last);
            }
            last = start;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
    inspector.close().await;
}

/// The port, the role and the run of each server, which changes when it restarts.
async fn servers(inspector: &Inspector) -> Result<Vec<(String, String)>, postrider_queue::Error> {
    let infos = inspector.node_infos().await?;
    let text = |info: &std::collections::HashMap<String, String>, name: &str| {
        info.get(name).cloned().unwrap_or_default()
    };
    let mut servers: Vec<_> = infos
        .iter()
        .map(|info| (text(info, "tcp_port") + &text(info, "role"), text(info, "run_id")))
        .collect();
    servers.sort();
    Ok(servers)
}
