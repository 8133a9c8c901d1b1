//! A worker: its jobs in flight, and how it settles them.

use std::collections::BTreeMap;
use std::sync::Arc;

use e2e::resp::Reply;
use postrider_queue::job::Job;

use super::control::Pausable;
use super::job;
use super::{Invariant, Rules, Slip, TICK_MS, World};
use crate::calls::Held;
use crate::faults::Fate;
use crate::redis::{Bytes, Id};

/// Whether a worker's process exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Absent,
    Up,
    Paused,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Conclusion {
    Complete,
    Retry,
    Dead,
    Delay,
    Hold,
    HandBack,
    Expire,
}

impl Conclusion {
    /// Whether a request was sent.
    pub(super) fn is_of_attempt(self) -> bool {
        matches!(self, Self::Complete | Self::Retry | Self::Dead)
    }

    /// Whether the job ends.
    fn is_last(self) -> bool {
        matches!(self, Self::Complete | Self::Dead | Self::Expire)
    }
}

/// A job in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) count: u64,
    pub(crate) epoch: u8,
    /// The tick at which its lease was last confirmed.
    pub(crate) confirmed: u8,
    pub(crate) fields: Arc<[Bytes]>,
    /// Whether Redis kept the large fields.
    pub(crate) is_partial: bool,
    /// What is to be settled.
    pub(crate) ending: Option<Conclusion>,
    /// Whether an earlier call may have settled it.
    pub(crate) in_doubt: bool,
    /// Whether Redis has found its delay to be over.
    pub(crate) is_due: bool,
}

impl Flight {
    /// Whether its flow may hold the job.
    pub(super) fn is_limited(&self) -> bool {
        self.fields.iter().any(|part| part == b"mine")
    }
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) life: Life,
    /// The number of its process: each has another name.
    pub(crate) process: u8,
    pub(crate) epoch: u8,
    pub(crate) flights: BTreeMap<Id, Flight>,
    /// How far it believes that the clock of Redis is ahead, in ticks.
    pub(crate) offset: i64,
    /// The tick from which it may take over jobs.
    pub(crate) reclaims_from: u8,
    /// Redis has just answered, so it takes over next.
    pub(crate) is_asked: bool,
    /// The flow's check is due.
    pub(crate) wakes: bool,
    /// What a sweep has found: the next call requeues it.
    pub(crate) swept: Vec<(Bytes, Option<String>)>,
    /// The held jobs that have expired: the next call admits them.
    pub(crate) expired: Vec<Bytes>,
    /// Until when queue and flow are paused, as it has read: Unix ms, 0 for no end.
    pub(crate) paused: [Option<u64>; 2],
}

impl Worker {
    pub(crate) fn absent(index: usize) -> Self {
        Self {
            index,
            life: Life::Absent,
            process: 0,
            epoch: 0,
            flights: BTreeMap::new(),
            offset: 0,
            reclaims_from: 0,
            is_asked: false,
            wakes: false,
            swept: vec![],
            expired: vec![],
            paused: [None; 2],
        }
    }

    /// The name of its consumer.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", ["a", "b"][self.index], self.process)
    }
}

/// The letter that a settlement returns.
fn letter(reply: &Reply) -> Option<u8> {
    match reply {
        Reply::Bulk(letters) => letters.first().copied(),
        Reply::Array(parts) => parts.first().and_then(letter),
        _ => None,
    }
}

impl World {
    /// Puts a delivery among those in flight.
    pub(super) fn take(&mut self, worker: usize, id: Id, count: u64, fields: &[Bytes], is_partial: bool) {
        let tick = self.tick;
        let own = &mut self.workers[worker];
        if let Some(flight) = own.flights.get_mut(&id) {
            if flight.fields[..] == *fields && flight.epoch == own.epoch {
                (flight.count, flight.confirmed) = (count, tick);
                return;
            }
            self.give_up(worker, id);
        }
        let own = &mut self.workers[worker];
        let epoch = own.epoch;
        let flight = Flight {
            count,
            epoch,
            confirmed: tick,
            fields: fields.into(),
            is_partial,
            ending: None,
            in_doubt: false,
            is_due: false,
        };
        own.flights.insert(id, flight);
    }

    /// A job is no longer in flight. If its outcome is not written, the next attempt is one more.
    pub(super) fn give_up(&mut self, worker: usize, id: Id) {
        let Some(flight) = self.workers[worker].flights.remove(&id) else { return };
        let job = flight.fields.iter().find_map(|part| job::number_of(part));
        if let Some(job) = job.filter(|_| flight.ending.is_some_and(Conclusion::is_of_attempt)) {
            self.accounts[job].unwritten += 1;
        }
    }

    /// Works on a job until its outcome is known.
    pub(super) fn try_job(&mut self, rules: &Rules, worker: usize, id: Id, answer: Answer) -> Option<()> {
        let own = &self.workers[worker];
        let flight = own.flights.get(&id)?.clone();
        let decoded = Job::decode(&job::delivery(id, flight.count, &flight.fields));
        let ending = match (&decoded, answer) {
            _ if flight.is_partial => Conclusion::Dead,
            (Err(_), _) => Conclusion::Dead,
            (Ok(job), _) if job.must_wait().is_some() && !flight.is_due => Conclusion::Delay,
            (Ok(job), _) if self.has_expired_for(worker, job) && rules.slip != Some(Slip::Expiry) => {
                Conclusion::Expire
            }
            (Ok(job), _) if job.flow.is_some() && self.pauses(worker, Pausable::Flow) => Conclusion::Hold,
            (Ok(_), Answer::Held) => Conclusion::Hold,
            (Ok(_), Answer::Open) => return Some(()),
            (Ok(job), Answer::Failure | Answer::Success) => {
                let was_fresh = flight.confirmed >= self.tick;
                match self.confirm(rules, worker, id) {
                    Some(true) => {}
                    Some(false) => return self.end(worker, id, Conclusion::HandBack),
                    // Its lease is lost.
                    None => return Some(()),
                }
                let own = &self.workers[worker];
                let held =
                    Held { consumer: own.name(), id: id.to_string(), count: own.flights.get(&id)?.count };
                if !was_fresh && !self.is_held(&held, id) {
                    self.broken = Some(Invariant::Send);
                }
                let number = job::number_of(job.uri.to_string().as_bytes())?;
                if self.has_expired_for(worker, job) {
                    self.broken = Some(Invariant::Expiry);
                }
                self.accounts[number].sends += 1;
                match answer {
                    Answer::Success => Conclusion::Complete,
                    // The judgement of the worker.
                    _ if job.trail.attempts + 1 >= job.max_attempts.unwrap_or(10) => Conclusion::Dead,
                    _ if job.expires_at.is_some_and(|expires| expires < self.clock_of(worker) + TICK_MS) => {
                        Conclusion::Dead
                    }
                    _ => Conclusion::Retry,
                }
            }
        };
        self.end(worker, id, ending)
    }

    /// Whether a job has expired, by the time that the worker knows.
    fn has_expired_for(&self, worker: usize, job: &Job) -> bool {
        job.expires_at.is_some_and(|expires| expires <= self.clock_of(worker))
    }

    /// The delivery ends so.
    fn end(&mut self, worker: usize, id: Id, ending: Conclusion) -> Option<()> {
        self.workers[worker].flights.get_mut(&id)?.ending = Some(ending);
        Some(())
    }

    /// Settles a job. `None` if that is not possible.
    pub(super) fn settle(&mut self, rules: &Rules, worker: usize, id: Id, fate: Fate) -> Option<()> {
        let own = &self.workers[worker];
        let flight = own.flights.get(&id)?.clone();
        let ending = flight.ending?;
        let held = Held { consumer: own.name(), id: id.to_string(), count: flight.count };
        let call = self.settlement(rules, &held, id, &flight, ending)?;
        // A success ends a job under a lost lease, too.
        let is_ours = self.is_held(&held, id) || call.script == "complete" && self.is_ready_or_pending(id);
        let before = self.server.db.clone();
        let (reply, is_recorded) = self.run(rules, &call, fate);
        if !is_ours && self.server.db.keys != before.keys {
            self.broken = Some(Invariant::Fence);
        }
        let is_removed = self.jobs().is_none_or(|stream| !stream.entries.contains_key(&id));
        if is_ours && is_removed && ending == Conclusion::Complete {
            let job = flight.fields.iter().find_map(|part| job::number_of(part))?;
            self.server.is_over[job] = true;
        }
        if is_ours && is_removed && ending.is_last() && !flight.is_partial {
            self.check_result(&held, id, &flight.fields);
        }
        let is_refused = before.is_full || [Fate::Denied("xadd"), Fate::Denied("set")].contains(&fate);
        if is_ours && is_removed && ending.is_last() && !is_recorded && !is_refused {
            self.broken = Some(Invariant::Record);
        }
        self.settled(rules, worker, id, &reply, fate);
        Some(())
    }

    fn settled(&mut self, rules: &Rules, worker: usize, id: Id, reply: &Reply, fate: Fate) {
        let is_done = letter(reply) == Some(b'o');
        let own = &mut self.workers[worker];
        let Some(flight) = own.flights.get_mut(&id) else { return };
        match reply {
            _ if fate == Fate::Lost => flight.in_doubt = true,
            Reply::Error(error) if error.starts_with("NOGROUP") => self.join(rules, worker),
            Reply::Error(_) => {}
            _ if is_done || flight.in_doubt && letter(reply) == Some(b'g') => drop(own.flights.remove(&id)),
            _ if letter(reply) == Some(b'd') => (flight.ending, flight.is_due) = (None, true),
            _ => self.refused(worker, id),
        }
    }
}

/// What happens to a job that a worker works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Success,
    Failure,
    Held,
    /// It has not come yet.
    Open,
}
