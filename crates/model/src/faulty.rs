//! A Redis to which faults happen: what the small worlds have in common.

use std::sync::Arc;

use e2e::resp::Reply;

use crate::calls::Call;
use crate::faults::{Fate, Kind, Left};
use crate::redis::{Bytes, Db};
use crate::scripts::Sources;

/// The time at which a world begins, Unix ms.
pub(crate) const START_MS: u64 = 1_800_000_000_000;

/// What happens to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    FillMemory,
    FreeMemory,
    SetClock { is_ahead: bool },
    Failover,
}

impl Event {
    /// In words. `jump` is how far the clock is set.
    pub(crate) fn sentence(self, jump: &str) -> String {
        match self {
            Self::FillMemory => "the memory of Redis is full".to_owned(),
            Self::FreeMemory => "Redis has memory again".to_owned(),
            Self::SetClock { is_ahead } => {
                let way = if is_ahead { "ahead" } else { "back" };
                format!("the clock of Redis is set {way} by {jump}")
            }
            Self::Failover => "a failover of Redis loses the last write".to_owned(),
        }
    }
}

/// Redis, and what is true of what it has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FaultyRedis<T> {
    pub(crate) db: Db,
    /// It goes back together with Redis.
    pub(crate) truth: T,
    /// Both before the last write, if Redis may lose it.
    past: Option<Arc<(Db, T)>>,
    /// In steps of `step_ms`.
    pub(crate) time: u8,
    time_max: u8,
    step_ms: u64,
    /// How far the clock of Redis is set, in steps.
    jump: i64,
    /// How far it is ahead, in steps.
    offset: i64,
    /// How often it was set.
    pub(crate) jumps: u8,
    /// The faults that may still happen.
    pub(crate) left: Left,
}

impl<T: Clone> FaultyRedis<T> {
    /// Time goes on for that number of steps. `jump`: how far the clock is set, in steps.
    pub(crate) fn new(truth: T, left: Left, step_ms: u64, time_max: u8, jump: i64) -> Self {
        let (db, past) = (Db::default(), None);
        let mut new = Self { db, truth, past, time: 0, time_max, step_ms, jump, offset: 0, jumps: 0, left };
        new.set_clock();
        new
    }

    fn set_clock(&mut self) {
        let steps = i64::from(self.time) + self.offset;
        self.db.now = START_MS.saturating_add_signed(steps * self.step_ms.cast_signed());
    }

    /// A step of time.
    pub(crate) fn pass(&mut self) {
        self.time += 1;
        self.set_clock();
    }

    /// Takes a step of time back.
    pub(crate) fn pass_back(&mut self) {
        self.time -= 1;
        self.set_clock();
    }

    /// Runs a script. A right that it does not need is not missing: so that state is not another one.
    pub(crate) fn call(&mut self, sources: &Sources, call: &Call, fate: Fate) -> Reply {
        let denied = if let Fate::Denied(command) = fate { Some(command) } else { None };
        let (reply, lacks_right) = self.remembering(|db| sources.call_without(db, call, denied));
        if lacks_right {
            self.left.spend(Kind::Rights);
        }
        reply
    }

    /// Runs a command.
    pub(crate) fn command(&mut self, words: &[&[u8]]) -> Reply {
        let words: Vec<Bytes> = words.iter().map(|word| word.to_vec()).collect();
        self.remembering(|db| db.command(&words, None))
    }

    fn remembering<R>(&mut self, run: impl FnOnce(&mut Db) -> R) -> R {
        let before = self.left.has(Kind::Failover).then(|| Arc::new((self.db.clone(), self.truth.clone())));
        let reply = run(&mut self.db);
        if before.as_ref().is_some_and(|before| before.0.keys != self.db.keys) {
            self.past = before;
        }
        reply
    }

    /// The last write is not lost.
    pub(crate) fn forget_past(&mut self) {
        self.past = None;
    }

    /// The fates that a call may have, if its user may lack the right to one of these commands.
    pub(crate) fn fates(&self, rights: &'static [&'static str]) -> Vec<Fate> {
        let mut fates = vec![Fate::Answered];
        fates.extend(self.left.has(Kind::Reply).then_some(Fate::Lost));
        if self.left.has(Kind::Rights) {
            fates.extend(rights.iter().copied().map(Fate::Denied));
        }
        fates
    }

    /// A call has this fate. Whether a right is missing shows in the call.
    pub(crate) fn spend(&mut self, fate: Fate) {
        if fate == Fate::Lost {
            self.left.spend(Kind::Reply);
        }
    }

    /// What may happen now.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = vec![];
        if self.db.is_full {
            events.push(Event::FreeMemory);
        } else if self.left.has(Kind::Memory) {
            events.push(Event::FillMemory);
        }
        if self.left.has(Kind::Clock) {
            events.extend([true, false].map(|is_ahead| Event::SetClock { is_ahead }));
        }
        if self.left.has(Kind::Failover) && self.past.is_some() {
            events.push(Event::Failover);
        }
        events
    }

    /// Adds what may happen to Redis now: to its memory and its clock, that somebody deletes one of these keys, and that time
    /// passes.
    pub(crate) fn add_steps<S>(
        &self,
        steps: &mut Vec<S>,
        happen: fn(Event) -> S,
        deletes: impl IntoIterator<Item = S>,
        pass: Option<S>,
    ) {
        steps.extend(self.events().into_iter().map(happen));
        if self.left.has(Kind::Key) {
            steps.extend(deletes);
        }
        steps.extend(pass.filter(|_| self.time < self.time_max));
    }

    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::FillMemory => {
                self.left.spend(Kind::Memory);
                self.db.is_full = true;
            }
            Event::FreeMemory => self.db.is_full = false,
            Event::SetClock { is_ahead } => {
                self.left.spend(Kind::Clock);
                self.offset += if is_ahead { self.jump } else { -self.jump };
                self.jumps += 1;
                self.set_clock();
            }
            Event::Failover => {
                self.left.spend(Kind::Failover);
                if let Some(past) = self.past.take() {
                    let now = (self.db.now, self.db.is_full);
                    (self.db, self.truth) = Arc::unwrap_or_clone(past);
                    (self.db.now, self.db.is_full) = now;
                }
            }
        }
        if !self.left.has(Kind::Failover) {
            self.past = None;
        }
    }

    /// No fault happens from now on.
    pub(crate) fn calm_down(&mut self) {
        (self.left, self.past, self.db.is_full) = (Left::default(), None, false);
    }
}
