//! The scheduler: moves due jobs back to the stream, and held jobs whose flow admits them.

use std::time::Duration;

use futures_util::StreamExt;
use postrider_queue::job::FlowId;
use tokio_util::sync::CancellationToken;

use crate::delivery::flow_gate::Gate;
use crate::delivery::flow_wake::Waker;

/// How many jobs one script call moves at most: it blocks Redis.
const PROMOTE_JOBS_MAX: usize = 100;
/// With more jobs than this in the stream, one batch is moved each [`CROWDED_PAUSE`].
const CROWDED_JOBS_MIN: u64 = 1000;
const CROWDED_PAUSE: Duration = Duration::from_millis(100);
/// How many flows are checked at once.
const FLOWS_AT_ONCE: usize = 16;
/// The longest time between two polls: another worker may have scheduled a job and died before it was due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Promotes until stopped.
pub(crate) async fn run(waker: Waker, stop: CancellationToken) {
    let Waker { gate: Gate { queue, held, control, .. }, alarm, .. } = &waker;
    let mut control = control.clone();
    held.set_paused(control.pauses_queue(queue.name()));
    let mut failed = 0;
    loop {
        tokio::select! {
            () = alarm.ring() => {}
            wanted = held.next_notified() => {
                wake(&waker, &wanted).await;
                continue;
            }
            () = control.changed() => {
                held.set_paused(control.pauses_queue(queue.name()));
                alarm.due_in(Duration::ZERO);
                continue;
            }
            () = stop.cancelled() => return,
        }
        // Set before the call, so that a job scheduled during the call wakes the scheduler in time.
        alarm.set(POLL_INTERVAL);
        match queue.promote(PROMOTE_JOBS_MAX, POLL_INTERVAL).await {
            Ok(promoted) => {
                failed = 0;
                queue.link().up();
                if let Some(millis) = promoted.next_in {
                    // Due jobs and new jobs must not starve each other.
                    let crowded = promoted.moved > 0 && promoted.ready > CROWDED_JOBS_MIN;
                    let pause = if crowded { CROWDED_PAUSE } else { Duration::ZERO };
                    alarm.due_in(Duration::from_millis(millis).max(pause));
                }
                for id in held.replace(&promoted.held, promoted.has_all_held()) {
                    // Another worker holds its jobs: Redis knows why.
                    waker.gate.flows.ask(id);
                }
                wake(&waker, &promoted.due).await;
                expire(&waker, &promoted.expired).await;
                waker.gate.flows.notify_waiting();
            }
            Err(error) => {
                alarm.set(queue.link().down(&error, failed));
                failed += 1;
            }
        }
    }
}

/// Admits held jobs that have expired.
async fn expire(waker: &Waker, expired: &[(FlowId, Vec<String>)]) {
    for (id, job_ids) in expired {
        if let Err(error) = waker.expire(*id, job_ids).await {
            waker.gate.queue.link().down(&error, 0);
            return;
        }
    }
    if !expired.is_empty() {
        // There may be more.
        waker.alarm.due_in(Duration::ZERO);
    }
}

/// Admits held jobs of these flows, unless the queue is paused: what a flow grants to a job that nobody fetches would be
/// lost for its other jobs. In a cluster, the state of a flow may be on a node that does not answer: it
/// delays the others by one deadline of a command.
async fn wake(waker: &Waker, flows: &[FlowId]) {
    if waker.gate.held.is_paused() {
        return;
    }
    let flows = futures_util::stream::iter(flows);
    flows
        .for_each_concurrent(FLOWS_AT_ONCE, async |id| {
            if let Err(error) = waker.wake(*id).await {
                // The flow is checked again when it is due.
                waker.gate.queue.link().down(&error, 0);
            }
        })
        .await;
}
