//! The world that is explored: Redis, two workers, two jobs, and what is known of them. A state is a value; time is ticks,
//! and a lease is two.
//!
//! Every call of a script is one step, since Redis runs it as a whole. What a worker does between two calls is restated here
//! (`worker.rs`), as are the conditions of its loops; what a job's fields mean, and which fields a worker writes, is the code of
//! `crates/queue`. The counters (`stats`) are dropped after each call: they decide nothing.

mod calm;
mod control;
mod expiry;
mod fault;
mod invariant;
mod invariants;
pub(crate) mod job;
mod leases;
mod loops;
pub(crate) mod replies;
mod settlement;
mod steps;
mod track;
mod worker;

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use e2e::resp::Reply;

use crate::calls::{Call, Shard};
use crate::faults::{Fate, Kind, Left};
use crate::faulty::START_MS;
use crate::redis::{Db, Stream, Value};
use crate::scripts::Sources;

pub(crate) use control::Pausable;
pub(crate) use fault::Fault;
pub(crate) use invariant::Invariant;
pub(crate) use job::{FLOW_ID, RESULT_MS, Shape, attempts};
pub(crate) use steps::Action;
pub(crate) use track::{Event, Place, Seen, Track};
pub(crate) use worker::{Answer, Worker};

/// A tick, ms. A lease is two.
pub(crate) const TICK_MS: u64 = 30_000;
pub(crate) const LEASE_MS: u64 = 2 * TICK_MS;
/// How far the clock of Redis is set, in ticks.
pub(crate) const CLOCK_TICKS: i64 = 3;
/// How many attempts a job has.
pub(crate) const ATTEMPTS_MAX: u8 = 2;
pub(crate) const JOBS: usize = 2;
pub(crate) const WORKERS: usize = 2;
/// The only shard.
pub(crate) const SHARD: Shard = Shard(0);

/// Redis, and what is true of the jobs in it: it goes back together with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) db: Db,
    /// Whether it has acknowledged a job.
    pub(crate) is_enqueued: [bool; JOBS],
    /// Whether a job has succeeded, or was deleted by hand.
    pub(crate) is_over: [bool; JOBS],
    /// What operators have paused.
    pub(crate) pauses: [Option<control::SetPause>; 2],
}

/// What explains copies and attempts of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Account {
    /// How many requests were sent.
    pub(crate) sends: u8,
    /// How many of these have an outcome that no settlement could write.
    pub(crate) unwritten: u8,
    /// How many copies there may be in addition to one.
    pub(crate) copies: u8,
    /// How often it was replayed: each time it has all attempts again.
    pub(crate) replays: u8,
}

/// What the worker leaves out, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slip {
    Heartbeat,
    Confirmation,
    Sweep,
    SearchForLost,
    Join,
    Takeover,
    SteadyClock,
    AttemptCount,
    Promotion,
    Expiry,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) server: Server,
    /// Before the last write, if Redis may lose it.
    pub(crate) past: Option<Arc<Server>>,
    pub(crate) tick: u8,
    /// How far the clock of Redis is ahead, in ticks.
    pub(crate) offset: i64,
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) accounts: [Account; JOBS],
    /// The faults that may still happen.
    pub(crate) left: Left,
    /// Whether somebody has deleted a key: then only a sweep finds some jobs.
    pub(crate) is_damaged: bool,
    /// Whether something has happened that costs a worker its lease: a pause, a failover, or somebody's hand.
    pub(crate) is_disturbed: bool,
    /// An invariant that does not hold.
    pub(crate) broken: Option<Invariant>,
}

/// What all states have in common.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) sources: Arc<Sources>,
    pub(crate) slip: Option<Slip>,
    pub(crate) ticks_max: u8,
    /// How many jobs are enqueued.
    pub(crate) jobs: usize,
    /// States from which every job ends, if nothing goes wrong any more.
    pub(crate) calm: Rc<RefCell<HashSet<u64>>>,
}

/// A hash of a state. Two different states are taken for one with a chance of about 1 in 10^8 among a million.
pub(crate) fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

impl World {
    /// Both workers run, and nothing is enqueued.
    pub(crate) fn start(rules: &Rules, faults: &[Kind], each: u8) -> Self {
        let mut world = Self {
            server: Server::default(),
            past: None,
            tick: 0,
            offset: 0,
            workers: [Worker::absent(0), Worker::absent(1)],
            accounts: Default::default(),
            left: Left::new(faults, each),
            is_damaged: false,
            is_disturbed: false,
            broken: None,
        };
        world.set_clock();
        for index in 0..WORKERS {
            world.start_worker(index, rules);
            // They have run for a while.
            world.workers[index].reclaims_from = 0;
        }
        world
    }

    fn set_clock(&mut self) {
        let ticks = i64::from(self.tick) + self.offset;
        self.server.db.now = START_MS.saturating_add_signed(ticks * TICK_MS.cast_signed());
    }

    /// Redis' time, as a worker believes, Unix ms.
    fn clock_of(&self, worker: usize) -> u64 {
        let ticks = i64::from(self.tick) + self.workers[worker].offset;
        START_MS.saturating_add_signed(ticks * TICK_MS.cast_signed())
    }

    /// How many ticks a time of Redis is ahead of the true time.
    fn ticks_ahead(&self, now: u64) -> i64 {
        (now.cast_signed() - START_MS.cast_signed()) / TICK_MS.cast_signed() - i64::from(self.tick)
    }

    /// Redis runs a script.
    fn call(&mut self, rules: &Rules, call: &Call, fate: Fate) -> Reply {
        self.run(rules, call, fate).0
    }

    /// Redis runs a script. Also returns whether it has written to the delivery log, which is dropped like the counters.
    fn run(&mut self, rules: &Rules, call: &Call, fate: Fate) -> (Reply, bool) {
        let denied = if let Fate::Denied(command) = fate { Some(command) } else { None };
        let before = self.server.clone();
        let (reply, lacks_right) = rules.sources.call_without(&mut self.server.db, call, denied);
        if lacks_right {
            self.left.spend(Kind::Rights);
        }
        self.server.db.keys.remove(&SHARD.key("stats"));
        let is_recorded = self.server.db.keys.remove(&SHARD.key("log")).is_some();
        if self.server.db.keys != before.db.keys {
            if matches!(reply, Reply::Error(_)) {
                // It stopped in the middle. Then a job may be in two places.
                self.accounts.iter_mut().for_each(|account| account.copies += 1);
            }
            self.remember(before);
        }
        (reply, is_recorded)
    }

    /// Redis runs a command.
    fn command(&mut self, words: &[&[u8]]) -> Reply {
        let before = self.server.clone();
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        let reply = self.server.db.command(&words, None);
        if self.server.db.keys != before.db.keys {
            self.remember(before);
        }
        reply
    }

    fn remember(&mut self, before: Server) {
        if self.left.has(Kind::Failover) {
            self.past = Some(Arc::new(before));
        }
    }

    /// The value of a key of the shard.
    fn value(&self, name: &str) -> Option<&Value> {
        Some(&*self.server.db.keys.get(&SHARD.key(name))?.value)
    }

    pub(crate) fn jobs(&self) -> Option<&Stream> {
        match self.value("jobs") {
            Some(Value::Stream(stream)) => Some(stream),
            _ => None,
        }
    }
}
