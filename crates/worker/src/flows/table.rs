//! The state of all flows that a worker knows. Pure.

mod turns;

use std::time::{Duration, Instant};

use foldhash::HashMap;
use postrider_queue::job::FlowId;

use super::candidate::{Candidate, Line};
use super::flow::{AttemptEnd, Flow};
use super::share::Share;
use super::shared::SharedFlows;
use super::silence::{AttemptKey, Attempts, SILENT_AFTER};
use super::waiting_flows::WaitingFlows;
use super::window::{Verdict, WorkerLoad};

/// All flows, and the attempts under way.
#[derive(Debug)]
pub(super) struct FlowTable {
    slots: usize,
    flows: HashMap<FlowId, Flow>,
    attempts: Attempts,
    share: Share,
    waiting: WaitingFlows,
    /// What other threads of the process know, if there are any.
    shared: Option<SharedFlows>,
    /// Attempts of slow flows under way that are not on probation.
    slow: usize,
    /// Since when more attempts are silent than their share allows: flows may be stopping together, so each
    /// must answer again before it gets more than one attempt at once.
    suspicious_since: Option<Instant>,
    /// Number of flows at which stale ones are removed.
    sweep_at: usize,
}

/// Whether the worker's own view of a flow allows an attempt.
#[derive(Debug)]
pub(super) enum Decision {
    /// The attempt has begun.
    Go(AttemptKey),
    /// The flow's own limit is reached.
    Full { is_brisk: bool },
    /// Attempts on probation hold their whole share of the slots.
    Crowded,
}

impl FlowTable {
    /// Number of flows below which none is removed.
    const CLEANUP_FLOWS_MIN: usize = 1024;
    /// Number of flows above which idle ones are removed at once.
    const FLOWS_MAX: usize = 65_536;
    /// How long an idle flow is remembered.
    const IDLE_FLOW_TTL: Duration = Duration::from_secs(60);

    pub(super) fn new(slots: usize, shared: Option<SharedFlows>, now: Instant) -> Self {
        Self {
            slots,
            flows: HashMap::default(),
            attempts: Attempts::default(),
            share: Share::new(slots, now),
            waiting: WaitingFlows::default(),
            shared,
            slow: 0,
            suspicious_since: None,
            sweep_at: Self::CLEANUP_FLOWS_MIN,
        }
    }

    /// Begins an attempt if there is room.
    ///
    /// Other jobs leave room for admitted jobs that have not arrived yet, but at most half of the limit:
    /// admitted jobs return at the end of the stream, which takes long if the stream is long. A brisk flow
    /// reserves no room, since it soon has room again, and one whose admitted jobs return late reserves none, since its
    /// destination would idle until then.
    pub(super) fn enter(&mut self, job: &Candidate, now: Instant) -> Decision {
        let Candidate { flow: id, line, is_shared, .. } = *job;
        self.find_silent(now);
        let load = self.load();
        let crowded = self.share.room(self.slow) == 0;
        let has_place = line == Line::Admitted && self.share.has_room_for_admitted(self.slow);
        let flow = self.flow(id, now);
        let on_probation = flow.window.is_on_probation(job.has_failed, now);
        let (room, is_brisk) = (flow.window.room(load, now), flow.window.is_brisk(now));
        let reserved = match line {
            Line::Admitted => 0,
            _ if is_shared => flow.expected.count(now),
            _ if is_brisk || flow.expected.is_late(now) => 0,
            Line::Free => flow.expected.count(now).min(flow.window.half()),
            Line::Behind => flow.window.half(),
        };
        let must_queue = load.others_wait && flow.is_tried && line != Line::Admitted;
        let crowded = crowded && (!has_place || flow.window.is_proven(now));
        if on_probation && (crowded || must_queue) {
            return Decision::Crowded;
        }
        if room <= reserved {
            return Decision::Full { is_brisk };
        }
        Decision::Go(self.begin(job, on_probation, now))
    }

    /// Begins an attempt that was granted before.
    pub(super) fn begin(&mut self, job: &Candidate, on_probation: bool, now: Instant) -> AttemptKey {
        let flow = self.flow(job.flow, now);
        let was = flow.slow();
        flow.window.begin(now);
        flow.on_probation += usize::from(on_probation);
        flow.is_tried = true;
        let is = flow.slow();
        self.slow = self.slow + is - was;
        self.share.held += usize::from(on_probation);
        self.attempts.begin(job, on_probation, now)
    }

    /// Ends an attempt. `end` is `None` if it was cut short. Returns what it shows about the destination.
    pub(super) fn leave(
        &mut self,
        key: AttemptKey,
        end: Option<AttemptEnd>,
        now: Instant,
    ) -> Option<Verdict> {
        self.find_silent(now);
        let ended = self.attempts.end(key);
        self.share.held -= usize::from(ended.on_probation);
        if ended.on_probation && end.is_some_and(|end| end.verdict != Verdict::Fails) {
            self.share.answered(ended.is_silent);
        }
        let flow = self.flows.get_mut(&ended.flow)?;
        let (was, was_stuck) = (flow.slow(), flow.window.is_stuck());
        let took = now.saturating_duration_since(ended.began);
        let verdict = end.and_then(|end| flow.judge(end, &ended, took, now));
        flow.window.end(verdict, ended.is_silent, took, self.slots, now);
        flow.on_probation -= usize::from(ended.on_probation);
        if let Some(shared) = self.shared.as_ref().filter(|_| flow.has_news(was_stuck, now)) {
            shared.answered(ended.flow, now, flow.window.usual());
        }
        let is = flow.slow();
        if let Some(room) = &flow.room {
            // A response may raise the limit by one, which makes room for two.
            room.notify_one();
            room.notify_one();
        }
        self.slow = self.slow + is - was;
        verdict
    }

    /// The job of an attempt could be a second opinion, unless it has failed before.
    pub(super) fn offer(&mut self, key: AttemptKey, now: Instant) {
        let Some(attempt) = self.attempts.get(key).filter(|attempt| !attempt.has_failed).copied() else {
            return;
        };
        self.flow(attempt.flow, now).evidence.offer(attempt.kind, now);
    }

    /// Redis counts one attempt of the flow less.
    pub(super) fn uncount(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.counted = flow.counted.saturating_sub(1);
        }
    }

    /// Puts attempts that have been silent for long on probation.
    fn find_silent(&mut self, now: Instant) {
        let flows = &mut self.flows;
        let patience = |flows: &HashMap<FlowId, Flow>, id| {
            flows.get(&id).map_or(SILENT_AFTER, |flow| flow.window.patience(now))
        };
        while let Some(key) = self.attempts.next_silent(now, |id| patience(flows, id)) {
            let attempt = self.attempts.get_mut(key);
            attempt.is_silent = true;
            let was_on_probation = std::mem::replace(&mut attempt.on_probation, true);
            self.share.held += usize::from(!was_on_probation);
            self.share.fell_silent();
            if let Some(flow) = flows.get_mut(&attempt.flow) {
                let was = flow.slow();
                flow.on_probation += usize::from(!was_on_probation);
                flow.window.fell_silent(now);
                self.slow = self.slow + flow.slow() - was;
            }
            if let Some(shared) = &self.shared {
                shared.fell_silent(attempt.flow, now);
            }
        }
        self.suspicious_since = (self.share.excess() > 0).then(|| self.suspicious_since.unwrap_or(now));
    }

    /// How many held jobs of a flow there is room for. A flow that needs the share of attempts on probation
    /// waits for its turn.
    pub(super) fn room(&mut self, id: FlowId, now: Instant) -> usize {
        self.find_silent(now);
        let load = self.load();
        let has_turn = std::mem::take(&mut self.flow(id, now).has_turn);
        self.share.expected.remove(usize::from(has_turn));
        // The place was kept, whatever other workers have admitted since.
        let share = self.share.room_for_held(self.slow, now).max(usize::from(has_turn));
        let flow = self.flow(id, now);
        let expected = flow.expected.count(now);
        let room = flow.window.room(load, now).max(flow.window.returning(now)).saturating_sub(expected);
        if !flow.needs_share(now) {
            return room;
        }
        if room > 0 && (share == 0 || load.others_wait && !has_turn) {
            let came = self.shared.as_ref().and_then(|shared| shared.get(id)?.came);
            self.push_waiting(id, came.unwrap_or(now), now);
            return 0;
        }
        room.min(share)
    }

    /// Whether only jobs that have not failed before may be admitted: an attempt of the flow is silent, and
    /// attempts on probation hold their whole share.
    pub(super) fn admits_untried_only(&mut self, id: FlowId, now: Instant) -> bool {
        self.find_silent(now);
        self.share.room(self.slow) == 0 && self.flow(id, now).window.has_silent()
    }

    /// Whether attempts on probation leave no slot for this flow, which needs one of theirs.
    pub(super) fn is_crowded(&mut self, id: FlowId, now: Instant) -> bool {
        self.find_silent(now);
        let is_full = self.share.room_for_held(self.slow, now) == 0;
        is_full && self.flow(id, now).needs_share(now)
    }

    /// How many attempts fell silent beyond the share of attempts on probation: others get slots in their
    /// place.
    pub(super) fn excess(&mut self, now: Instant) -> usize {
        self.find_silent(now);
        self.share.excess()
    }

    /// Expects this number of admitted jobs.
    pub(super) fn expect(&mut self, id: FlowId, jobs: usize, now: Instant) {
        let flow = self.flow(id, now);
        flow.expected.add(jobs, now);
        if flow.needs_share(now) {
            self.share.expected.add(jobs, now);
        }
    }

    /// Fewer jobs than expected were admitted, by `jobs`.
    pub(super) fn expect_fewer(&mut self, id: FlowId, jobs: usize, now: Instant) {
        self.flow(id, now).expected.remove(jobs);
        self.share.expected.remove(jobs);
    }

    /// An admitted job has arrived, `after` its admission.
    pub(super) fn record_arrival(&mut self, id: FlowId, after: Duration, now: Instant) {
        self.flow(id, now).expected.record_arrival(after);
        self.share.expected.record_arrival(after);
    }

    pub(super) fn flow(&mut self, id: FlowId, now: Instant) -> &mut Flow {
        if self.flows.len() >= self.sweep_at {
            self.flows.retain(|_, flow| !flow.is_stale(Self::IDLE_FLOW_TTL, now));
            if self.flows.len() >= Self::FLOWS_MAX {
                self.flows.retain(|_, flow| !flow.is_stale(Duration::ZERO, now));
            }
            self.sweep_at = (2 * self.flows.len()).clamp(
                Self::CLEANUP_FLOWS_MIN,
                Self::FLOWS_MAX.max(self.flows.len() + Self::CLEANUP_FLOWS_MIN),
            );
        }
        let flow = self.flows.entry(id).or_insert_with(|| Flow::new(now));
        if let Some(shared) = &self.shared {
            flow.learn(id, shared, now);
        }
        flow
    }

    pub(super) fn known(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&FlowId, &Flow)> {
        self.flows.iter()
    }

    fn load(&self) -> WorkerLoad {
        let busy = self.slow + self.share.held;
        let free = (self.slots + self.share.excess()).saturating_sub(busy);
        let others_wait = !self.waiting.is_empty();
        WorkerLoad { slots: self.slots, free, busy, others_wait, suspicious_since: self.suspicious_since }
    }
}
