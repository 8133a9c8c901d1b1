//! What goes wrong, and what operators do.

use e2e::resp::Reply;
use postrider_queue::work::fields;

use super::control::Pausable;
use super::job::{self, FLOW_ID, RESULT_MS};
use super::worker::Life;
use super::{CLOCK_TICKS, Invariant, Rules, SHARD, TICK_MS, World};
use crate::calls::GROUP;
use crate::faults::{Fate, Kind};
use crate::redis::{Id, Stream, Value};

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill(usize),
    Pause(usize),
    Stop(usize),
    FillMemory,
    SetClock(i64),
    Failover,
    Cancel(usize),
    RunNow(usize),
    Replay(usize),
    Purge(usize),
    Acknowledge(Id),
    DeleteConsumer(usize),
    DeleteKey(&'static str),
    DestroyGroup,
    /// For this time, ms, or until it is resumed.
    PauseJobs(Pausable, u64),
}

/// The keys whose loss must cost no job.
const KEYS: [&str; 6] = ["scheduled", "flow", "flows", "expiring", "workers", "mark"];
/// How long a pause lasts that ends by itself, ms.
const PAUSE_MS: u64 = TICK_MS;

impl Fault {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Kill(_) => Kind::Kill,
            Self::Pause(_) => Kind::Pause,
            Self::Stop(_) => Kind::Stop,
            Self::FillMemory => Kind::Memory,
            Self::SetClock(_) => Kind::Clock,
            Self::Failover => Kind::Failover,
            Self::Cancel(_) | Self::RunNow(_) | Self::Replay(_) | Self::Purge(_) => Kind::ByHand,
            Self::Acknowledge(_) => Kind::Acknowledge,
            Self::DeleteConsumer(_) => Kind::Consumer,
            Self::DeleteKey(_) => Kind::Key,
            Self::DestroyGroup => Kind::Group,
            Self::PauseJobs(..) => Kind::Control,
        }
    }

    /// Those that are possible, except the choice of the kinds that are left.
    pub(super) fn possible(world: &World) -> Vec<Fault> {
        let mut faults = vec![];
        for worker in &world.workers {
            if worker.life == Life::Up {
                faults.extend([
                    Self::Kill(worker.index),
                    Self::Pause(worker.index),
                    Self::Stop(worker.index),
                ]);
            }
            if worker.life != Life::Absent {
                faults.push(Self::DeleteConsumer(worker.index));
            }
        }
        if !world.server.db.is_full {
            faults.push(Self::FillMemory);
        }
        faults.extend([Self::SetClock(CLOCK_TICKS), Self::SetClock(-CLOCK_TICKS)]);
        faults.extend(world.past.as_ref().map(|_| Self::Failover));
        for job in 0..super::JOBS {
            if !world.server.is_enqueued[job] {
                continue;
            }
            if world.entry_of("dead", job).is_some() {
                faults.extend([Self::Replay(job), Self::Purge(job)]);
            }
            if world.entry_of("jobs", job).is_some() || world.waiting_of(job).is_some() {
                faults.push(Self::Cancel(job));
            }
            if world.waiting_of(job).is_some() {
                faults.push(Self::RunNow(job));
            }
        }
        if let Some(group) = world.jobs().and_then(|stream| stream.groups.get(GROUP.as_bytes())) {
            faults.push(Self::DestroyGroup);
            faults.extend(group.pending.keys().copied().map(Self::Acknowledge));
        }
        faults.extend(
            Pausable::ALL.iter().flat_map(|what| [0, PAUSE_MS].map(|time| Self::PauseJobs(*what, time))),
        );
        let exists = |name: &&str| world.value(&key_of(name)).is_some();
        faults.extend(KEYS.into_iter().filter(exists).map(Self::DeleteKey));
        faults
    }
}

fn key_of(name: &str) -> String {
    if name == "flow" { format!("flow:{}", *FLOW_ID) } else { name.to_owned() }
}

impl World {
    /// The first entry of a job in a stream.
    pub(super) fn entry_of(&self, stream: &str, job: usize) -> Option<Id> {
        let Some(Value::Stream(Stream { entries, .. })) = self.value(stream) else { return None };
        let is_it = |fields: &[Vec<u8>]| fields.iter().any(|part| job::number_of(part) == Some(job));
        entries.iter().find(|(_, fields)| is_it(fields)).map(|(id, _)| *id)
    }

    /// The id of a waiting job, and its flow if that holds it.
    pub(super) fn waiting_of(&self, job: usize) -> Option<(String, Option<&'static str>)> {
        let Some(Value::Hash(waiting)) = self.value("waiting") else { return None };
        let (job_id, _) = waiting.iter().find(|(_, packed)| job::number_of(packed) == Some(job))?;
        let is_held =
            matches!(self.value(&key_of("flow")), Some(Value::Sorted(set)) if set.contains_key(job_id));
        Some((String::from_utf8_lossy(job_id).into_owned(), is_held.then_some(FLOW_ID.as_str())))
    }

    /// A fault happens. `fate` is that of its call.
    pub(super) fn happen(&mut self, rules: &Rules, fault: Fault, fate: Fate) -> Option<()> {
        use Kind::{Acknowledge, ByHand, Consumer, Failover, Group, Pause};
        self.is_disturbed |= [Acknowledge, ByHand, Consumer, Failover, Group, Pause].contains(&fault.kind());
        match fault {
            Fault::Kill(worker) => {
                for id in self.workers[worker].flights.keys().copied().collect::<Vec<_>>() {
                    self.give_up(worker, id);
                }
                self.workers[worker].life = Life::Absent;
            }
            Fault::Pause(worker) => self.workers[worker].life = Life::Paused,
            Fault::Stop(worker) => self.stop_worker(rules, worker),
            Fault::FillMemory => self.server.db.is_full = true,
            Fault::SetClock(ticks) => {
                self.offset += ticks;
                self.set_clock();
            }
            Fault::Failover => {
                let now = (self.server.db.now, self.server.db.is_full);
                self.server = (*self.past.take()?).clone();
                (self.server.db.now, self.server.db.is_full) = now;
                // Redis forgets a settlement: the job is there again.
                for account in &mut self.accounts {
                    account.copies += 1;
                    account.unwritten += 1;
                }
            }
            Fault::Acknowledge(id) => {
                let (jobs, id) = (SHARD.key("jobs"), id.to_string());
                self.command(&[b"XACK", &jobs, GROUP.as_bytes(), id.as_bytes()]);
            }
            Fault::DeleteConsumer(worker) => {
                let (jobs, name) = (SHARD.key("jobs"), self.workers[worker].name());
                self.command(&[b"XGROUP", b"DELCONSUMER", &jobs, GROUP.as_bytes(), name.as_bytes()]);
            }
            Fault::DeleteKey(name) => {
                self.is_damaged = true;
                self.command(&[b"DEL", &SHARD.key(&key_of(name))]);
            }
            Fault::PauseJobs(what, for_ms) => self.pause_jobs(rules, what, for_ms, fate),
            Fault::DestroyGroup => {
                self.command(&[b"XGROUP", b"DESTROY", &SHARD.key("jobs"), GROUP.as_bytes()]);
            }
            Fault::Cancel(_) | Fault::RunNow(_) | Fault::Replay(_) | Fault::Purge(_) => {
                self.change_by_hand(rules, fault, fate)?;
            }
        }
        Some(())
    }

    /// Cancels a job, and stores its result if it asks for one.
    fn cancel(&mut self, rules: &Rules, job: usize, fate: Fate) -> Option<()> {
        let wants = |fields: &[Vec<u8>]| fields.iter().any(|part| part == b"result_ttl_ms");
        let kept = |wants: bool| wants.then_some(RESULT_MS);
        let (job_id, kept, call) = if let Some((job_id, flow)) = self.waiting_of(job) {
            let Some(Value::Hash(waiting)) = self.value("waiting") else { return None };
            let packed = waiting.get(job_id.as_bytes())?;
            let name = b"result_ttl_ms";
            let kept = kept(packed.windows(name.len()).any(|part| part == name));
            let call = SHARD.cancel_waiting(&job_id, flow, kept, None);
            (job_id, kept, call)
        } else {
            let id = self.entry_of("jobs", job)?;
            let fields = self.jobs()?.entries.get(&id)?.clone();
            let job_id = fields::job_id(&job::delivery(id, 1, &fields));
            let job_id = String::from_utf8_lossy(&job_id).into_owned();
            let kept = kept(wants(&fields));
            let call = SHARD.cancel_ready(&id.to_string(), &job_id, kept, None);
            (job_id, kept, call)
        };
        let [live, _] = self.copies(job);
        self.call(rules, &call, fate);
        if kept.is_some() && self.copies(job)[0] < live && !self.has_result(&job_id) {
            self.broken = Some(Invariant::Result);
        }
        Some(())
    }

    fn change_by_hand(&mut self, rules: &Rules, fault: Fault, fate: Fate) -> Option<()> {
        match fault {
            Fault::Cancel(job) => self.cancel(rules, job, fate)?,
            Fault::RunNow(job) => {
                let (job_id, flow) = self.waiting_of(job)?;
                self.call(rules, &SHARD.run_now(&job_id, flow), fate);
            }
            Fault::Replay(job) => {
                let id = self.entry_of("dead", job)?.to_string();
                let reply = self.call(rules, &SHARD.replay("dead", &id, 0), fate);
                // A new job, whose attempts begin again.
                if matches!(reply, Reply::Bulk(_)) {
                    self.accounts[job].replays += 1;
                }
            }
            Fault::Purge(job) => {
                let id = self.entry_of("dead", job)?.to_string();
                self.command(&[b"XDEL", &SHARD.key("dead"), id.as_bytes()]);
                self.server.is_over[job] = true;
            }
            _ => return None,
        }
        Some(())
    }
}
