//! What a worker does between two calls.

use e2e::resp::Reply;
use postrider_queue::cron::{Definition, Overlap};

use super::operator::definition;
use super::{Claim, NAME, SHAPES, SHARD, Step, Tick, Ticks};
use crate::faults::{Fate, Kind};
use crate::redis::{Bytes, Id};
use crate::scripts::Sources;

/// How long the result of a job is kept, if the next tick reads it, ms.
const RESULT_TTL_MS: &[u8] = b"604800000";

fn parts(reply: &Reply) -> &[Reply] {
    if let Reply::Array(parts) = reply { parts } else { &[] }
}

fn text(reply: &Reply) -> String {
    if let Reply::Bulk(bytes) = reply { String::from_utf8_lossy(bytes).into_owned() } else { String::new() }
}

/// The fields of the job of a tick, names and values alternating.
pub(super) fn job_of(definition: &Definition, tick: u64) -> Vec<Bytes> {
    let name = NAME.parse().expect("it is a name");
    let fields = definition.job_at(&name, tick);
    fields.iter().flat_map(|(name, value)| [name.to_vec(), value.to_vec()]).collect()
}

impl Ticks {
    pub(super) fn is_skipping(&self) -> bool {
        SHAPES[self.shape].1 == Overlap::Skip
    }

    /// A worker looks for what is due.
    fn look(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        let reply = self.redis.call(sources, &SHARD.cron_due(self.is_damaged), fate);
        let (Some(Reply::Integer(now)), Fate::Answered) = (parts(&reply).first(), fate) else { return };
        let found = parts(&reply).get(2).map(parts).unwrap_or_default();
        let [name, own, tick, last_job, ..] = found else { return };
        let due = Tick { name: text(name), text: text(own), tick: text(tick), last_job: text(last_job) };
        self.claims[worker] = Some(Claim { due, now: now.unsigned_abs(), plan: None });
    }

    /// Which ticks make a job, the next tick, and how many ticks make none.
    fn plan(&self, due: &Tick, now: u64) -> (Vec<u64>, Option<u64>, [u64; 2]) {
        let definition = definition(&due.text);
        let Ok(tick) = due.tick.parse() else {
            return (vec![], definition.timing.after(now), [0, 0]);
        };
        let plan = definition.plan(tick, now);
        let (mut ticks, mut skipped) = (plan.ticks, 0);
        if definition.overlap == Overlap::Skip && !ticks.is_empty() {
            let is_live = Id::parse(due.last_job.as_bytes(), 0).is_some()
                && !self.redis.db.keys.contains_key(&SHARD.key(&format!("result:{}", due.last_job)));
            skipped = ticks.len() - usize::from(!is_live);
            ticks.drain(..skipped);
        }
        (ticks, plan.next, [plan.missed, skipped as u64])
    }

    /// A worker makes the next job of what it has found.
    fn make(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        let Some(Claim { due, now, plan }) = self.claims[worker].take() else { return };
        let (mut ticks, last, counts) = plan.unwrap_or_else(|| self.plan(&due, now));
        let own: Vec<u64> = ticks.drain(..ticks.len().min(1)).collect();
        let next = ticks.first().copied().or(last);
        let definition = definition(&due.text);
        let jobs: Vec<_> = own.iter().map(|tick| job_of(&definition, *tick)).collect();
        let mut call = SHARD.cron_tick(&due, next, counts, &jobs);
        if self.is_skipping() && !jobs.is_empty() && !due.last_job.is_empty() {
            call.keys.push(SHARD.key(&format!("result:{}", due.last_job)));
        }
        let (paused, before, made) = (self.field("p").is_some(), self.field("d"), self.jobs().len());
        let reply = self.redis.call(sources, &call, fate);
        if self.jobs().len() > made {
            if paused {
                self.broken = Some("pause: a definition that is paused makes no job");
            } else if before.as_ref() != Some(&due.text) {
                self.broken = Some("change: a definition that was replaced makes no job");
            }
        }
        let letters: Vec<String> = parts(&reply).iter().map(text).collect();
        let [letter, ids @ ..] = letters.as_slice() else { return };
        if letter == "o" && fate == Fate::Answered && !ticks.is_empty() {
            let tick = next.map_or_else(String::new, |next| next.to_string());
            let last_job = ids.last().cloned().unwrap_or(due.last_job.clone());
            let due = Tick { tick, last_job, ..due };
            self.claims[worker] = Some(Claim { due, now, plan: Some((ticks, last, [0, 0])) });
        }
    }

    /// A job of the definition that has not ended.
    pub(super) fn last_running(&self) -> Option<Id> {
        self.jobs().into_iter().map(|(id, _)| id).find(|id| !self.redis.truth.ended.contains(id))
    }

    fn end_job(&mut self) {
        let Some(id) = self.last_running() else { return };
        let key = SHARD.key(&format!("result:{id}"));
        let words = [b"SET".to_vec(), key, b"{}".to_vec(), b"PX".to_vec(), RESULT_TTL_MS.to_vec()];
        let is_full = std::mem::take(&mut self.redis.db.is_full);
        self.redis.db.command(&words, None);
        self.redis.db.is_full = is_full;
        self.redis.truth.ended.insert(id);
        self.redis.forget_past();
    }

    pub(super) fn do_step(&mut self, sources: &Sources, step: Step) {
        match step {
            Step::Look(_, fate) | Step::Make(_, fate) | Step::Do(_, fate) => self.redis.spend(fate),
            _ => {}
        }
        match step {
            Step::Pass => self.redis.pass(),
            Step::Look(worker, fate) => self.look(sources, worker, fate),
            Step::Make(worker, fate) => self.make(sources, worker, fate),
            Step::EndJob => self.end_job(),
            Step::Read(operator, intent) => self.read(operator, intent),
            Step::Do(operator, fate) => self.carry_out(sources, operator, fate),
            Step::Start(worker) => self.is_up[worker] = true,
            Step::Happen(event) => self.redis.happen(event),
            fault => self.happen(fault),
        }
    }

    fn happen(&mut self, fault: Step) {
        match fault {
            Step::Kill(worker) => {
                self.redis.left.spend(Kind::Kill);
                (self.is_up[worker], self.claims[worker]) = (false, None);
            }
            Step::DeleteDue => {
                self.redis.left.spend(Kind::Key);
                self.redis.db.keys.remove(&SHARD.key("cron_due"));
                self.is_damaged = true;
            }
            _ => {}
        }
    }
}
