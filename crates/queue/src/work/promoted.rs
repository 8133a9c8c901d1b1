//! What a promotion has moved.

use fred::types::Value;

use crate::job::FlowId;
use crate::redis::Error;

/// The result of [`QueueShard::promote`](super::QueueShard::promote).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// How many jobs it moved to the stream.
    pub moved: u64,
    /// The time until the next job or flow is due, milliseconds; `None` if none waits.
    pub next_in: Option<u64>,
    /// Redis' time, Unix milliseconds.
    pub now: u64,
    /// How many jobs are in the stream now.
    pub ready: u64,
    /// The flows that hold jobs, or the first 100 of them.
    pub held: Vec<FlowId>,
    /// The flows among them whose check is due.
    pub due: Vec<FlowId>,
    /// Held jobs that have expired, by their flow: up to 100.
    pub expired: Vec<(FlowId, Vec<String>)>,
}

impl Promoted {
    /// Whether `held` contains all flows that hold jobs.
    pub fn has_all_held(&self) -> bool {
        self.held.len() < 100
    }
}

/// Parses the reply of promote.lua.
pub(super) fn promoted(reply: Value) -> Result<Promoted, Error> {
    type Reply = (u64, u64, u64, u64, Vec<String>, Vec<String>, Vec<String>);
    let (moved, next, now, ready, held, due, expired): Reply = reply.convert()?;
    // Foreign members are ignored.
    let flows = |names: Vec<String>| names.iter().filter_map(|name| FlowId::parse(name)).collect();
    let next_in = (next > 0).then(|| next.saturating_sub(now));
    let expired = by_flow(expired);
    Ok(Promoted { moved, next_in, now, ready, held: flows(held), due: flows(due), expired })
}

/// Job ids by their flow, whose id is before each. Foreign members are ignored.
fn by_flow(members: Vec<String>) -> Vec<(FlowId, Vec<String>)> {
    let mut all: Vec<(FlowId, Vec<String>)> = vec![];
    for member in members {
        let Some((flow, job_id)) = member.split_at_checked(16) else { continue };
        let Some(flow) = FlowId::parse(flow) else { continue };
        match all.iter_mut().find(|(own, _)| *own == flow) {
            Some((_, jobs)) => jobs.push(job_id.to_owned()),
            None => all.push((flow, vec![job_id.to_owned()])),
        }
    }
    all
}
