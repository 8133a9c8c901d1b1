//! What must be true of a flow, and its steps in words.

use super::{Limits, Step, Verdict};
use crate::faults::with_fate;

/// The tokens that the bucket holds at first.
const BURST: i32 = 2;

impl Limits {
    /// By how many attempts a limit is exceeded.
    pub(super) fn exceeded_by(&self) -> u64 {
        let made: u64 = self.workers.iter().map(|worker| u64::from(worker.attempts)).sum();
        made.saturating_sub(self.limits.most)
    }

    pub(super) fn exceeded(&self) -> Option<&'static str> {
        if !self.is_excused && self.exceeded_by() > 0 {
            return Some("limit: no more attempts at once than the flow allows, over all workers");
        }
        let is_limited = self.limits.rate != "0" && !self.is_filled;
        let is_over = is_limited && self.redis.truth.taken > BURST + i32::from(self.redis.time);
        is_over.then_some("rate: no more tokens than the bucket has held and got")
    }
}

fn worker(index: usize) -> &'static str {
    ["worker A", "worker B"][index]
}

pub(super) fn sentence(step: Step) -> String {
    match step {
        Step::Pass => "five seconds pass; workers that run report their attempts".to_owned(),
        Step::Begin(own, fate) => with_fate(format!("{} asks for an attempt", worker(own)), fate),
        Step::Admit(own, fate) => {
            with_fate(format!("{} asks for an attempt of a held job", worker(own)), fate)
        }
        Step::BeginAdmitted(own, fate) => with_fate(format!("{} begins the admitted job", worker(own)), fate),
        Step::Decline(own, fate) => {
            with_fate(format!("{} does not send the admitted job", worker(own)), fate)
        }
        Step::End(own, is_trial, verdict, fate) => {
            let verdict = match verdict {
                Verdict::Works => "works",
                Verdict::Fails => "fails",
                Verdict::NotSent => "was not sent",
            };
            let what = if is_trial { "a trial" } else { "an attempt" };
            with_fate(format!("{what} of {} ends: it {verdict}", worker(own)), fate)
        }
        Step::Count(own, fate) => with_fate(format!("{} reports its attempts", worker(own)), fate),
        Step::Kill(own) => format!("{} is killed", worker(own)),
        Step::Pause(own) => format!("{} stands still", worker(own)),
        Step::Start(own) => format!("{} starts again, as a new process", worker(own)),
        Step::Continue(own) => format!("{} goes on", worker(own)),
        Step::Happen(event) => event.sentence("five minutes"),
        Step::DeleteKey => "somebody deletes the key of the flow".to_owned(),
    }
}
