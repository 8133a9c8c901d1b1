//! Admits held jobs.

use std::sync::Arc;

use postrider_queue::Error;
use postrider_queue::job::{Admitted, FlowId};
use postrider_queue::work::{Admission, FlowLimit, FlowRequest};

use super::flow_gate::Gate;
use super::hold::CHECK_INTERVAL;
use crate::shard::alarm::Alarm;
use crate::shard::settings::{CurrentSettings, Settings};

/// How many jobs one script call moves at most: it blocks Redis.
const ADMIT_JOBS_MAX: usize = 100;

/// Admits the held jobs of one shard.
#[derive(Debug)]
pub(crate) struct Waker {
    /// The flows.
    pub gate: Gate,
    /// Rings for the next check of a flow.
    pub alarm: Arc<Alarm>,
    /// Limits and maximum ages.
    pub settings: CurrentSettings,
}

impl Waker {
    /// Admits held jobs up to the limits of the flow, the oldest first.
    ///
    /// # Errors
    /// fred's.
    pub(crate) async fn wake(&self, id: FlowId) -> Result<(), Error> {
        let settings = self.settings.get();
        let limits = settings.flows.get(id);
        let Gate { queue, flows, held, .. } = &self.gate;
        let mut room = flows.room(id).min(ADMIT_JOBS_MAX);
        let older_than = self.oldest(&settings);
        let mut admission =
            Admission { count: 0, admitted: Admitted::Yes, again: CHECK_INTERVAL, older_than };
        if room > 0 && limits.rate.is_some() {
            // Counts the held jobs first: a token that no job uses is lost.
            let (_, waiting) = queue.admit(id, &admission).await?;
            room = room.min(waiting as usize);
        }
        if room > 0 {
            let request = FlowRequest {
                making: flows.counted(id),
                more: room,
                is_made: false,
                is_paid: false,
                is_past_breaker: false,
            };
            let taken = self.gate.acquire_once(id, limits, request).await?;
            admission.count = taken.granted;
            if taken.why.is_some() {
                admission.again = taken.wait;
            }
            match taken.why {
                Some(FlowLimit::Open) => flows.set_open(id, Some(taken.wait)),
                Some(FlowLimit::Trial) => admission.admitted = Admitted::Trial,
                // Another worker has closed the breaker.
                _ if flows.is_open(id) => flows.set_open(id, None),
                _ => {}
            }
        }
        let again = admission.again;
        // Before the call: a job may arrive before the reply.
        flows.expect(id, admission.count);
        let (moved, left) = queue.admit(id, &admission).await?;
        flows.expect_fewer(id, admission.count.saturating_sub(moved));
        if left > 0 {
            held.insert(id);
            self.alarm.due_in(again);
        } else {
            held.remove(id);
        }
        if moved == 0 {
            // The place in the share, if it got one, is for the next flow that waits.
            flows.want_waiting();
        }
        Ok(())
    }

    /// Jobs that were enqueued before this time are too old by some policy. Unix milliseconds, 0 for none.
    fn oldest(&self, settings: &Settings) -> u64 {
        let shortest = settings.retry.shortest_age();
        let now = self.gate.queue.clock().now();
        shortest.map_or(0, |age| now.saturating_sub(age.as_millis() as u64))
    }
}
