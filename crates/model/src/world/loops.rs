//! The loops of a worker, each a step or two.

use e2e::resp::Reply;

use super::control::Pausable;
use super::job::{self, FLOW_ID};
use super::replies::{bytes, number, parts};
use super::worker::{Conclusion, Flight, Life, Worker};
use super::{LEASE_MS, Rules, SHARD, Slip, TICK_MS, World};
use crate::calls::GROUP;
use crate::faults::Fate;
use crate::faulty::START_MS;
use crate::redis::{Bytes, Id, Value};

/// An entry of a reply: its id and its fields.
fn entry(id: &Reply, fields: &Reply) -> Option<(Id, Vec<Bytes>)> {
    Some((Id::parse(&bytes(id), 0)?, parts(fields).iter().map(bytes).collect()))
}

impl World {
    /// Starts a process.
    pub(super) fn start_worker(&mut self, worker: usize, rules: &Rules) {
        let old = &self.workers[worker];
        let new = Worker { life: Life::Up, process: old.process + 1, ..Worker::absent(worker) };
        self.workers[worker] = Worker { offset: self.offset, reclaims_from: self.tick + 2, ..new };
        self.join(rules, worker);
        self.heartbeat(rules, worker);
        self.read_control(rules, worker);
    }

    /// Creates the group if it is missing: then a new epoch begins.
    pub(super) fn join(&mut self, rules: &Rules, worker: usize) {
        if rules.slip == Some(Slip::Join) && self.workers[worker].epoch > 0 {
            return;
        }
        let reply = self.call(rules, &SHARD.join(), Fate::Answered);
        if number(parts(&reply).first()) == 1 {
            self.workers[worker].epoch += 1;
        }
    }

    /// A worker ends in order: it hands back what it has not begun, settles the rest, and leaves.
    pub(super) fn stop_worker(&mut self, rules: &Rules, worker: usize) {
        let ids: Vec<Id> = self.workers[worker].flights.keys().copied().collect();
        for id in ids {
            if let Some(flight) = self.workers[worker].flights.get_mut(&id) {
                flight.ending = flight.ending.or(Some(Conclusion::HandBack));
            }
            self.settle(rules, worker, id, Fate::Answered);
            // Its delay was over: it is handed back as well.
            self.give_up(worker, id);
        }
        self.call(rules, &SHARD.leave(&self.workers[worker].name()), Fate::Answered);
        self.workers[worker].life = Life::Absent;
    }

    /// A worker sees a time of Redis: a jump of its clock makes all leases look expired.
    pub(super) fn saw_time(&mut self, worker: usize, now: &Reply) {
        let offset = self.ticks_ahead(number(Some(now)));
        let tick = self.tick;
        let own = &mut self.workers[worker];
        if (offset - own.offset).abs() > 1 {
            own.reclaims_from = tick + 2;
            own.is_asked = false;
        }
        own.offset = offset;
    }

    /// Fetches one job.
    pub(super) fn fetch(&mut self, rules: &Rules, worker: usize, fate: Fate) {
        let (name, jobs) = (self.workers[worker].name(), SHARD.key("jobs"));
        let words = ["XREADGROUP", "GROUP", GROUP, &name, "COUNT", "1", "STREAMS"].map(str::as_bytes);
        let reply = self.command(&[&words[..], &[&jobs, b">"]].concat());
        if matches!(&reply, Reply::Error(error) if error.starts_with("NOGROUP")) {
            return self.join(rules, worker);
        }
        for row in parts(&reply).iter().flat_map(|stream| parts(&parts(stream)[1])) {
            let Some((id, fields)) = entry(&parts(row)[0], &parts(row)[1]).filter(|_| fate == Fate::Answered)
            else {
                continue;
            };
            self.take(worker, id, 1, &fields, false);
        }
    }

    /// Moves due jobs to the stream.
    pub(super) fn promote(&mut self, rules: &Rules, worker: usize, fate: Fate) {
        let reply = self.call(rules, &SHARD.promote(1000, None), fate);
        if let (Reply::Array(parts), Fate::Answered) = (&reply, fate) {
            self.saw_time(worker, &parts[2]);
            self.workers[worker].wakes |= matches!(&parts[5], Reply::Array(due) if !due.is_empty());
            let Reply::Array(expired) = &parts[6] else { return };
            let ids = expired.iter().map(|member| bytes(member)[FLOW_ID.len()..].to_vec());
            self.workers[worker].expired = ids.collect();
        }
    }

    /// Admits a held job, whose flow is due, unless it is paused: then the flow is checked again.
    pub(super) fn admit(&mut self, rules: &Rules, worker: usize, fate: Fate) {
        if Pausable::ALL.into_iter().any(|what| self.pauses(worker, what)) {
            self.workers[worker].wakes = false;
            return;
        }
        let reply = self.call(rules, &SHARD.admit(&FLOW_ID, 1, 0, 1000, &[], None), fate);
        self.workers[worker].wakes = false;
        if let (Reply::Array(parts), Fate::Answered) = (&reply, fate) {
            self.saw_time(worker, &parts[2]);
        }
    }

    /// Reads the waiting jobs that have no due time.
    pub(super) fn sweep(&mut self, rules: &Rules, worker: usize) {
        let reply = self.call(rules, &SHARD.sweep(), Fate::Answered);
        let rows = parts(&reply).get(1).map(parts).unwrap_or_default();
        let row = |row: &Reply| {
            let row: Vec<Bytes> = parts(row).iter().map(bytes).collect();
            (row[0].clone(), job::flow_of(&row[1], &row[2]))
        };
        self.workers[worker].swept = rows.iter().map(row).collect();
    }

    /// Makes due what the sweep has found and nothing points to.
    pub(super) fn requeue(&mut self, rules: &Rules, worker: usize) {
        let swept = std::mem::take(&mut self.workers[worker].swept);
        let swept: Vec<_> = swept.iter().map(|(job_id, flow)| (job_id.clone(), flow.as_deref())).collect();
        self.call(rules, &SHARD.requeue(&swept), Fate::Answered);
    }

    /// Claims entries that are pending for no consumer.
    pub(super) fn claim_lost(&mut self, rules: &Rules, worker: usize) {
        let name = self.workers[worker].name();
        self.call(rules, &SHARD.claim_lost(&name, "-", LEASE_MS), Fate::Answered);
    }

    /// Redis must answer before jobs are taken over: so it has the heartbeats that others sent before.
    pub(super) fn ask(&mut self, rules: &Rules, worker: usize) {
        let name = self.workers[worker].name();
        let reply = self.call(rules, &SHARD.extend(&name, LEASE_MS, &[]), Fate::Answered);
        let Reply::Array(parts) = &reply else { return };
        self.saw_time(worker, &parts[0]);
        self.workers[worker].is_asked = self.may_reclaim(rules, worker);
    }

    pub(super) fn may_reclaim(&self, rules: &Rules, worker: usize) -> bool {
        self.workers[worker].reclaims_from <= self.tick || rules.slip == Some(Slip::SteadyClock)
    }

    /// Takes over jobs.
    pub(super) fn reclaim(&mut self, rules: &Rules, worker: usize, fate: Fate) {
        let own = &self.workers[worker];
        let is_suspect = |flight: &Flight| flight.count > 2 && flight.ending.is_none();
        let suspects = u64::from(!own.flights.values().any(is_suspect));
        let ahead = if rules.slip == Some(Slip::SteadyClock) { self.offset } else { own.offset };
        let expected = START_MS.saturating_add_signed((i64::from(self.tick) + ahead) * TICK_MS.cast_signed());
        let call = SHARD.reclaim(&own.name(), LEASE_MS, suspects, false, expected);
        let reply = self.call(rules, &call, fate);
        self.workers[worker].is_asked = false;
        if matches!(&reply, Reply::Error(error) if error.starts_with("NOGROUP")) {
            return self.join(rules, worker);
        }
        let (Reply::Array(found), Fate::Answered) = (&reply, fate) else { return };
        for row in parts(&found[1]) {
            let row = parts(row);
            if let Some((id, fields)) = entry(&row[0], &row[2]) {
                self.take(worker, id, number(row.get(1)), &fields, number(row.get(3)) > 0);
            }
        }
        self.saw_time(worker, &found[2]);
    }

    /// Time passes. Each worker that runs renews its leases.
    pub(super) fn pass(&mut self, rules: &Rules) {
        self.tick += 1;
        self.set_clock();
        for worker in 0..self.workers.len() {
            self.workers[worker].is_asked = false;
            if self.workers[worker].life == Life::Up && rules.slip != Some(Slip::Heartbeat) {
                self.heartbeat(rules, worker);
                if self.has_news(worker) {
                    self.read_control(rules, worker);
                }
            }
        }
    }

    /// Whether there are jobs that no worker has fetched, or no group.
    pub(super) fn has_new(&self) -> bool {
        let Some(stream) = self.jobs() else { return true };
        let group = stream.groups.get(GROUP.as_bytes());
        group.is_none_or(|group| {
            stream.last > group.delivered && stream.entries.keys().any(|id| *id > group.delivered)
        })
    }

    /// Whether there are entries that were delivered and are pending for no consumer.
    pub(super) fn has_lost(&self) -> bool {
        let Some((stream, group)) =
            self.jobs().and_then(|stream| Some((stream, stream.groups.get(GROUP.as_bytes())?)))
        else {
            return false;
        };
        stream.entries.keys().any(|id| *id <= group.delivered && !group.pending.contains_key(id))
    }

    /// Whether another consumer has had an entry for a whole lease, or this one has one that is not in flight.
    pub(super) fn has_expired(&self, worker: usize) -> bool {
        let own = &self.workers[worker];
        let group = self.jobs().and_then(|stream| stream.groups.get(GROUP.as_bytes()));
        group.into_iter().flat_map(|group| &group.pending).any(|(id, pending)| {
            let is_idle = self.server.db.now.saturating_sub(pending.delivered_at) >= LEASE_MS;
            is_idle && !(pending.consumer == own.name().as_bytes() && own.flights.contains_key(id))
        })
    }

    /// Whether a sorted set has a member.
    pub(super) fn has_members(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Sorted(set)) if !set.is_empty())
    }

    pub(super) fn has_due(&self, name: &str) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let now = self.server.db.now as f64;
        matches!(self.value(name), Some(Value::Sorted(set)) if set.values().any(|score| score.0 <= now))
    }

    /// Whether a promotion finds something.
    pub(super) fn has_due_jobs(&self) -> bool {
        ["scheduled", "flows", "expiring"].into_iter().any(|name| self.has_due(name))
    }
}
