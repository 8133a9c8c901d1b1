//! What a worker does between two calls.

use std::sync::Arc;

use e2e::resp::Reply;

use super::view::{number_of, place_of};
use super::{Conclusion, Fate, Flight, LEASE_MS, Life, Lines, SHARD, STEP_MS, Stage, Step, WORKERS};
use crate::calls::{Asking, GROUP};
use crate::faulty::START_MS;
use crate::redis::{Bytes, Id};
use crate::scripts::Sources;
use crate::world::job;
use crate::world::replies::{bytes, number, parts};

impl Lines {
    /// Starts a process.
    pub(super) fn start_worker(&mut self, sources: &Sources, worker: usize) {
        let (own, time) = (&mut self.workers[worker], self.redis.time);
        (own.life, own.process, own.reclaims_from) = (Life::Up, own.process + 1, time + 2);
        own.missing.clear();
        self.call(sources, &SHARD.join(), Fate::Answered);
        self.heartbeat(sources, worker);
        self.workers[worker].reclaims_from = time + 2;
    }

    /// A worker sees a time of Redis: a jump of its clock makes all leases look expired.
    fn saw_time(&mut self, worker: usize, now: &Reply) {
        let steps = (number(Some(now)).cast_signed() - START_MS.cast_signed()) / STEP_MS.cast_signed();
        let time = self.redis.time;
        let (own, offset) = (&mut self.workers[worker], steps - i64::from(time));
        if (offset - own.offset).abs() > 1 {
            own.reclaims_from = time + 2;
        }
        own.offset = offset;
    }

    /// Renews leases, and gives up those that are lost.
    fn heartbeat(&mut self, sources: &Sources, worker: usize) {
        let flights = &self.workers[worker].flights;
        let leases: Vec<_> = flights.iter().map(|(id, flight)| (id.to_string(), flight.count)).collect();
        let ids: Vec<Id> = flights.keys().copied().collect();
        let call = SHARD.extend(&self.name(worker), LEASE_MS, &leases);
        let reply = self.call(sources, &call, Fate::Answered);
        let [now, letters, ..] = parts(&reply) else { return };
        self.saw_time(worker, now);
        let time = self.redis.time;
        for (id, letter) in ids.into_iter().zip(bytes(letters)) {
            let flights = &mut self.workers[worker].flights;
            if letter != b'o' {
                flights.remove(&id);
            } else if let Some(flight) = flights.get_mut(&id) {
                flight.confirmed = time;
            }
        }
    }

    fn fetch(&mut self, worker: usize, fate: Fate) {
        let (name, jobs) = (self.name(worker), SHARD.key("jobs"));
        let words = ["XREADGROUP", "GROUP", GROUP, &name, "COUNT", "1", "STREAMS"].map(str::as_bytes);
        let reply = self.redis.command(&[&words[..], &[&jobs, b">"]].concat());
        if fate != Fate::Answered {
            return;
        }
        for row in parts(&reply).iter().flat_map(|stream| parts(&parts(stream)[1])) {
            self.take(worker, 1, &parts(row)[0], &parts(row)[1]);
        }
    }

    fn take(&mut self, worker: usize, count: u64, id: &Reply, fields: &Reply) {
        let Some(id) = Id::parse(&bytes(id), 0) else { return };
        let fields: Arc<[Bytes]> = parts(fields).iter().map(bytes).collect();
        let confirmed = self.redis.time;
        if let Some(flight) = self.workers[worker].flights.get_mut(&id).filter(|own| own.fields == fields) {
            (flight.count, flight.confirmed) = (count, confirmed);
            return;
        }
        let is_ordered = place_of(&job::delivery(id, count, &fields)).is_some();
        let stage = if is_ordered { Stage::New } else { Stage::Sending };
        self.workers[worker].flights.insert(id, Flight { count, confirmed, fields, stage, in_doubt: false });
    }

    /// Asks for the turn of a job, or of all that have not asked.
    fn ask(&mut self, sources: &Sources, worker: usize, only: Option<Id>, fate: Fate) {
        let is_asking = |(id, flight): &(&Id, &Flight)| {
            flight.stage == Stage::New && only.is_none_or(|only| only == **id)
        };
        let asking = |(id, flight): (&Id, &Flight)| {
            let place = place_of(&job::delivery(*id, flight.count, &flight.fields))?;
            let asking = Asking { id: id.to_string(), count: flight.count, place: place.as_str().to_owned() };
            Some((*id, asking))
        };
        let flights = self.workers[worker].flights.iter();
        let (ids, jobs): (Vec<Id>, Vec<Asking>) = flights.filter(is_asking).filter_map(asking).unzip();
        let has =
            |world: &Self, id: &Id| world.stream("jobs").is_some_and(|jobs| jobs.entries.contains_key(id));
        let is_lost = |(id, job): &(&Id, &Asking)| has(self, id) && !self.is_held(worker, **id, job.count);
        let lost: Vec<Id> = ids.iter().zip(&jobs).filter(is_lost).map(|(id, _)| *id).collect();
        let reply = self.call(sources, &SHARD.take_turns(&self.name(worker), &jobs), fate);
        if lost.iter().any(|id| !has(self, id)) {
            self.broken = Some("fence: a question under a lost lease moves nothing");
        }
        let answer = match (&reply, fate) {
            (Reply::Array(parts), Fate::Answered | Fate::Denied(_)) => Some(bytes(&parts[0])),
            _ => None,
        };
        for (index, id) in ids.into_iter().enumerate() {
            let letter = answer.as_ref().and_then(|letters| letters.get(index));
            let Some(flight) = self.workers[worker].flights.get_mut(&id) else { continue };
            match letter {
                Some(b't') => flight.stage = Stage::HasTurn,
                Some(_) => drop(self.workers[worker].flights.remove(&id)),
                None => {
                    (flight.stage, flight.in_doubt) = (Stage::Ends(Conclusion::HandBack), fate == Fate::Lost)
                }
            }
        }
    }

    /// Sends the request of a job.
    fn begin(&mut self, sources: &Sources, worker: usize, id: Id) {
        let is_confirmed = |own: &Flight, time| own.confirmed >= time;
        let Some(flight) = self.workers[worker].flights.get(&id) else { return };
        if !is_confirmed(flight, self.redis.time) {
            self.heartbeat(sources, worker);
        }
        let Some(flight) = self.workers[worker].flights.get_mut(&id) else { return };
        flight.stage = Stage::Sending;
        if let Some(job) = number_of(&flight.fields.clone()) {
            self.judge(worker, id, job);
        }
    }

    /// Judges an attempt that begins.
    fn judge(&mut self, worker: usize, id: Id, job: usize) {
        if self.is_disordered {
            return;
        }
        let truth = &self.redis.truth;
        let is_before = |other: &&super::Account| {
            other.position > 0 && other.position < truth[job].position && (!other.is_over || other.stops)
        };
        match truth.iter().find(is_before) {
            Some(other) if other.is_over => {
                self.broken = Some("stop: behind a dead letter that stops its line, nothing is attempted");
            }
            Some(_) => {
                self.broken = Some("order: an attempt begins when all earlier jobs of its key have ended")
            }
            None => {}
        }
        let is_beside = |own: usize, other: &Id, flight: &Flight| {
            let is_attempt = flight.stage == Stage::Sending && number_of(&flight.fields).is_some();
            is_attempt && (own, *other) != (worker, id) && self.is_held(own, *other, flight.count)
        };
        let all =
            (0..WORKERS).flat_map(|own| self.workers[own].flights.iter().map(move |flight| (own, flight)));
        // Of a job that was cancelled, or that another worker has by now, the request is late.
        let count = self.workers[worker].flights.get(&id).map_or(0, |flight| flight.count);
        let has_lease = self.is_held(worker, id, count);
        if has_lease && !self.is_torn && all.into_iter().any(|(own, (id, flight))| is_beside(own, id, flight))
        {
            self.broken = Some("alone: one attempt of a key at a time");
        }
    }

    fn promote(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        let reply = self.call(sources, &SHARD.promote(1000, None), fate);
        if let ([_, _, now, ..], Fate::Answered) = (parts(&reply), fate) {
            self.saw_time(worker, now);
        }
    }

    /// Takes over jobs, after Redis has answered.
    fn reclaim(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        self.heartbeat(sources, worker);
        let own = &self.workers[worker];
        if own.reclaims_from > self.redis.time {
            return;
        }
        let steps = i64::from(self.redis.time) + own.offset;
        let expected = START_MS.saturating_add_signed(steps * STEP_MS.cast_signed());
        let call = SHARD.reclaim(&self.name(worker), LEASE_MS, 1, false, expected);
        let reply = self.call(sources, &call, fate);
        let ([_, taken, now], Fate::Answered) = (parts(&reply), fate) else { return };
        for row in parts(taken) {
            let row = parts(row);
            self.take(worker, number(row.get(1)), &row[0], &row[2]);
        }
        self.saw_time(worker, now);
    }

    /// Time passes. Each worker that runs renews its leases.
    pub(super) fn pass(&mut self, sources: &Sources) {
        self.redis.pass();
        for worker in 0..WORKERS {
            if self.workers[worker].life == Life::Up {
                self.heartbeat(sources, worker);
            }
        }
    }

    /// A worker ends in order: it hands back what it has not ended, settles the rest, and leaves.
    pub(super) fn stop(&mut self, sources: &Sources, worker: usize) {
        let ids: Vec<Id> = self.workers[worker].flights.keys().copied().collect();
        for id in ids {
            if let Some(flight) = self.workers[worker].flights.get_mut(&id)
                && !matches!(flight.stage, Stage::Ends(_))
            {
                flight.stage = Stage::Ends(Conclusion::HandBack);
            }
            self.settle(sources, worker, id, Fate::Answered);
        }
        self.call(sources, &SHARD.leave(&self.name(worker)), Fate::Answered);
        (self.workers[worker].life, self.workers[worker].flights) = (Life::Absent, Default::default());
    }

    pub(super) fn do_step(&mut self, sources: &Sources, step: Step) {
        if let Some(fate) = fate_of(step) {
            self.redis.spend(fate);
        }
        match step {
            Step::Pass => self.pass(sources),
            Step::Fetch(worker, fate) => self.fetch(worker, fate),
            Step::Ask(worker, only, fate) => self.ask(sources, worker, only, fate),
            Step::Begin(worker, id) => self.begin(sources, worker, id),
            Step::Finish(worker, id, verdict, fate) => self.finish(sources, worker, id, verdict, fate),
            Step::Settle(worker, id, fate) => self.settle(sources, worker, id, fate),
            Step::Promote(worker, fate) => self.promote(sources, worker, fate),
            Step::Reclaim(worker, fate) => self.reclaim(sources, worker, fate),
            Step::SweepWaiting(_, fate) => self.sweep_waiting(sources, fate),
            Step::SweepLines(worker, fate) => self.sweep_lines(sources, worker, fate),
            Step::DropPlaces(worker, fate) => self.drop_places(sources, worker, fate),
            Step::Start(worker) => self.start_worker(sources, worker),
            Step::Continue(worker) => self.workers[worker].life = Life::Up,
            Step::Cancel(job, fate) => self.cancel(sources, job, fate),
            Step::Replay(job, fate) => self.replay(sources, job, fate),
            Step::Purge(job, fate) => self.purge(sources, job, fate),
            Step::Resume(fate) => self.resume(sources, fate),
            fault => self.happen(sources, fault),
        }
    }

    /// The position of the last job of the line.
    pub(super) fn last_position(&self) -> u8 {
        self.redis.truth.iter().map(|account| account.position).max().unwrap_or(0)
    }
}

fn fate_of(step: Step) -> Option<Fate> {
    match step {
        Step::Fetch(_, fate) | Step::Ask(_, _, fate) => Some(fate),
        Step::Finish(_, _, _, fate) | Step::Settle(_, _, fate) | Step::Promote(_, fate) => Some(fate),
        Step::Reclaim(_, fate) | Step::SweepWaiting(_, fate) | Step::SweepLines(_, fate) => Some(fate),
        Step::DropPlaces(_, fate) | Step::Cancel(_, fate) | Step::Replay(_, fate) => Some(fate),
        Step::Purge(_, fate) | Step::Resume(fate) => Some(fate),
        _ => None,
    }
}
