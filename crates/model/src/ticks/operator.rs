//! An operator, who reads the definition and then changes it (`queue/src/admin/crons.rs`): others may come between.

use e2e::resp::Reply;
use postrider_queue::cron::{CatchUp, Definition, Overlap};
use postrider_queue::job::ENTRY_BYTES_MAX;

use super::{NAME, OPERATORS, SHAPES, SHARD, Step, Ticks};
use crate::calls::Call;
use crate::faults::{Fate, Kind};
use crate::scripts::Sources;

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Intent {
    /// Sets the first definition, also if it is there.
    Create,
    /// Sets one with another job.
    Change,
    /// Sets one with another time.
    Retime,
    Remove,
    Pause,
    Resume,
}

impl Intent {
    pub(super) const ALL: [Intent; 6] =
        [Self::Create, Self::Change, Self::Retime, Self::Remove, Self::Pause, Self::Resume];
}

/// The call that an operator is about to make, by what was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    intent: Intent,
    before: String,
    next: Option<u64>,
}

/// The text of a definition.
pub(super) fn text(shape: usize, intent: Intent) -> String {
    let (catch_up, overlap) = SHAPES[shape];
    let catch_up = match catch_up {
        CatchUp::One => "one",
        CatchUp::All => "all",
        CatchUp::None => "none",
    };
    let overlap = if overlap == Overlap::Skip { "skip" } else { "allow" };
    let every = if intent == Intent::Retime { "20s" } else { "10s" };
    let url = if intent == Intent::Change { "http://h.example/b" } else { "http://h.example/a" };
    let job = format!(r#"{{"url":"{url}"}}"#);
    let json = format!(r#"{{"every":"{every}","catch_up":"{catch_up}","overlap":"{overlap}","job":{job}}}"#);
    definition(&json).text().to_owned()
}

/// A definition that is right.
pub(super) fn definition(text: &str) -> Definition {
    Definition::parse(text, ENTRY_BYTES_MAX).expect("the definition is right")
}

/// The interval of a definition, ms.
pub(super) fn interval(text: &str) -> u64 {
    definition(text).timing.after(0).unwrap_or(1)
}

impl Ticks {
    /// What operators may do. The second one comes only between the two steps of the first one.
    pub(super) fn add_operators(&self, fates: &[Fate], steps: &mut Vec<Step>) {
        for operator in 0..OPERATORS {
            if self.pending[operator].is_some() {
                steps.extend(fates.iter().map(|fate| Step::Do(operator, *fate)));
            }
        }
        let busy = self.pending.iter().flatten().count();
        let next = self.pending.iter().position(Option::is_none);
        if let Some(operator) = next.filter(|_| usize::from(self.redis.left.of(Kind::ByHand)) > busy) {
            steps.extend(Intent::ALL.map(|intent| Step::Read(operator, intent)));
        }
    }

    /// An operator reads what is there. Whatever is done follows later.
    pub(super) fn read(&mut self, operator: usize, intent: Intent) {
        let (before, now) = (self.field("d").unwrap_or_default(), self.redis.db.now);
        let after = |text: &str| definition(text).timing.after(now);
        let next = match intent {
            Intent::Create | Intent::Change | Intent::Retime => {
                let next = after(&text(self.shape, intent));
                let is_same = !before.is_empty() && interval(&before) == interval(&text(self.shape, intent));
                let known = self.field("n").and_then(|known| known.parse::<u64>().ok());
                next.filter(|next| !(is_same && known.is_some_and(|known| known <= *next)))
            }
            Intent::Resume if before.is_empty() => None,
            Intent::Resume => after(&before),
            Intent::Remove | Intent::Pause => None,
        };
        self.pending[operator] = Some(Pending { intent, before, next });
    }

    fn intended(&self, pending: &Pending) -> Option<Call> {
        let Pending { intent, before, next } = pending;
        Some(match intent {
            Intent::Create | Intent::Change | Intent::Retime => {
                SHARD.cron_apply(Some((NAME, before, &text(self.shape, *intent))), *next, &[])
            }
            Intent::Remove => SHARD.cron_apply(None, None, &[NAME]),
            Intent::Pause => SHARD.cron_pause(NAME, None),
            Intent::Resume => SHARD.cron_pause(NAME, Some((*next)?)),
        })
    }

    /// Does what an operator wants.
    pub(super) fn carry_out(&mut self, sources: &Sources, operator: usize, fate: Fate) {
        self.redis.left.spend(Kind::ByHand);
        let Some(pending) = self.pending[operator].take() else { return };
        let Some(call) = self.intended(&pending) else { return };
        let [text_before, next_before, job_before] = ["d", "n", "j"].map(|kind| self.field(kind));
        let was_paused = self.field("p").is_some();
        let reply = self.redis.call(sources, &call, fate);
        let is_paused = self.field("p").is_some();
        match pending.intent {
            // It must be paused now, whatever it was, unless there is none or Redis has refused.
            Intent::Pause if !is_paused && text_before.is_some() && !matches!(reply, Reply::Error(_)) => {
                self.broken = Some("pause: a definition that is paused stays paused");
            }
            Intent::Create | Intent::Change | Intent::Retime if was_paused && !is_paused => {
                self.broken = Some("pause: a definition that is paused stays paused");
            }
            // Another operator was first.
            Intent::Create | Intent::Change | Intent::Retime
                if text_before.clone().unwrap_or_default() != pending.before
                    && text_before != self.field("d") =>
            {
                self.broken = Some("change: what somebody else has changed is not overwritten");
            }
            _ => {}
        }
        if text_before != self.field("d") || next_before != self.field("n") {
            self.may_overlap |= job_before.is_some() && self.field("j").is_none();
            self.account_from_now(pending.next.is_some());
        }
    }

    /// Every tick from the next one on is accounted for.
    fn account_from_now(&mut self, is_set: bool) {
        let next = self.field("n").and_then(|next| next.parse().ok());
        let Some(next) =
            next.filter(|next| is_set || self.redis.truth.since == 0 || self.redis.truth.since > *next)
        else {
            return;
        };
        self.redis.truth.since = next;
        self.redis.truth.counted = self.counts();
        self.may_repeat |= self.made().last_key_value().is_some_and(|(last, _)| *last >= next);
    }
}
