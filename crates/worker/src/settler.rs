//! The settler: takes out jobs that are done, at once while it is idle and in groups under load.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::lane::{Done, Lane};
use crate::trace::ack;

/// As many as one script call takes.
const MOST: usize = 256;

/// Settles until no further job will be done.
pub async fn run(lane: Arc<Lane>, mut done: mpsc::Receiver<Done>) {
    let mut group = Vec::with_capacity(MOST);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            count = done.recv_many(&mut group, MOST) => {
                if count == 0 {
                    return;
                }
                settle(&lane, &mut group).await;
                group.clear();
            }
            () = lane.drained.cancelled(), if open => {
                done.close();
                open = false;
            }
        }
    }
}

async fn settle(lane: &Lane, group: &mut [Done]) {
    group.sort_unstable_by_key(|done| done.lease.entry);
    let mut leases: Vec<_> = group.iter().filter_map(|done| lane.hand.current(done.lease)).collect();
    let contexts: Vec<_> = group.iter().map(|done| &done.context).collect();
    let span = ack(lane, &contexts);
    for failed in 0.. {
        if leases.is_empty() {
            return;
        }
        match lane.queue.finish(&leases, &span.context()).await {
            Ok(settled) => {
                lane.queue.link().up();
                let settled = settled.into_iter().map(|settled| settled.after(failed));
                lane.settled(leases.iter().copied().zip(settled));
                return;
            }
            Err(error) => {
                span.fail(&redis_telemetry::error_type(&error));
                let pause = lane.queue.link().down(&error, failed);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = lane.cut.cancelled() => return,
                }
                // Leases may have been lost, and their delivery counts changed, in the meantime.
                leases = leases.iter().filter_map(|lease| lane.hand.current(*lease)).collect();
            }
        }
    }
}
