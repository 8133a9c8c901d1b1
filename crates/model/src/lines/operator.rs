//! What operators do: they cancel, replay, purge, and let stopped lines go.

use postrider_queue::Fields;
use postrider_queue::job::LinePlace;

use super::settlement::{callback, job_id_of};
use super::view::place_of;
use super::{Fate, JOBS, Lines, SHARD, Step};
use crate::calls::LineMode;
use crate::faults::Kind;
use crate::lua::texts;
use crate::redis::{Bytes, Id};
use crate::scripts::Sources;
use crate::world::job;

/// The fields of a dead letter, as its place is computed.
fn place_of_letter(fields: &[Bytes]) -> Option<LinePlace> {
    let pairs = fields.chunks_exact(2).map(|pair| (pair[0].clone().into(), pair[1].clone().into()));
    let fields: Fields = pairs.collect();
    let job_id = fields.iter().find(|(name, _)| name == "_job_id").map(|(_, value)| value.clone())?;
    LinePlace::of(&fields, &job_id)
}

impl Lines {
    /// The changes that are possible.
    pub(super) fn add_changes(&self, fates: &[Fate], steps: &mut Vec<Step>) {
        for job in 0..JOBS {
            let is_dead = !self.entries_of("dead", job).is_empty();
            let is_live = self.live(job) > 0;
            steps.extend(fates.iter().filter(|_| is_live).map(|fate| Step::Cancel(job, *fate)));
            let dead = fates.iter().filter(|_| is_dead);
            steps.extend(dead.flat_map(|fate| [Step::Replay(job, *fate), Step::Purge(job, *fate)]));
        }
        if self.hash("order_stopped").is_some() {
            steps.extend(fates.iter().map(|fate| Step::Resume(*fate)));
        }
    }

    /// Cancels a job, wherever it is.
    pub(super) fn cancel(&mut self, sources: &Sources, job: usize, fate: Fate) {
        self.redis.left.spend(Kind::ByHand);
        let (live, dead) = (self.live(job), self.entries_of("dead", job).len());
        let now = self.redis.db.now;
        let packed = |hash: &str| {
            let job_id = self.waiting_of(hash, job).into_iter().next()?;
            let fields = texts(self.hash(hash)?.get(&job_id)?)?;
            Some((String::from_utf8_lossy(&job_id).into_owned(), fields))
        };
        let (call, delivery) = if let Some((id, fields)) = self.entries_of("jobs", job).into_iter().next() {
            let delivery = job::delivery(id, 1, &fields);
            (SHARD.cancel_ready(&id.to_string(), &job_id_of(&delivery), None, None), delivery)
        } else if let Some((job_id, fields)) = packed("waiting") {
            (SHARD.cancel_waiting(&job_id, None, None, None), job::delivery(Id(0, 0), 1, &fields))
        } else if let Some((job_id, fields)) = packed("order_waiting") {
            (SHARD.cancel_in_line(&job_id, "cancelled by hand"), job::delivery(Id(0, 0), 1, &fields))
        } else {
            return;
        };
        let Some(place) = place_of(&delivery) else { return };
        let call = call.with_callback_of(callback(&delivery, false, now, false));
        let call = call.in_line(SHARD, &[place.as_str().to_owned()], LineMode::Pass);
        self.call(sources, &call, fate);
        if self.live(job) < live && self.entries_of("dead", job).len() > dead {
            let account = &mut self.redis.truth[job];
            account.is_over = true;
            account.ends[1] += 1;
        }
    }

    /// Replaces a dead letter by a new job.
    pub(super) fn replay(&mut self, sources: &Sources, job: usize, fate: Fate) {
        self.redis.left.spend(Kind::ByHand);
        let Some((id, fields)) = self.entries_of("dead", job).into_iter().next() else { return };
        let Some(place) = place_of_letter(&fields) else { return };
        let position = place.position().unwrap_or_default();
        let live = self.live(job);
        self.call(sources, &SHARD.replay_in_line(&id.to_string(), place.as_str(), &position), fate);
        if self.live(job) > live {
            let next = self.last_position() + 1;
            let account = &mut self.redis.truth[job];
            account.is_over = false;
            if !std::mem::take(&mut account.stops) {
                account.position = next;
            }
        }
    }

    /// Deletes a dead letter, and lets its line go.
    pub(super) fn purge(&mut self, sources: &Sources, job: usize, fate: Fate) {
        self.redis.left.spend(Kind::ByHand);
        let Some((id, fields)) = self.entries_of("dead", job).into_iter().next() else { return };
        let Some(place) = place_of_letter(&fields) else { return };
        self.redis.command(&[b"XDEL", &SHARD.key("dead"), id.to_string().as_bytes()]);
        let account = &mut self.redis.truth[job];
        (account.is_nowhere, account.stops) = (true, false);
        self.call(sources, &SHARD.resume_line(&[place.as_str().to_owned()]), fate);
    }

    /// Lets the jobs behind dead letters go.
    pub(super) fn resume(&mut self, sources: &Sources, fate: Fate) {
        self.redis.left.spend(Kind::ByHand);
        self.redis.truth.iter_mut().for_each(|account| account.stops = false);
        let stopped = self.stopped();
        self.call(sources, &SHARD.resume_line(&stopped), fate);
    }
}
