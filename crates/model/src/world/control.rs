//! Pauses by hand: what operators set for all workers, and what each worker has read of it.

use e2e::resp::Reply;

use super::job::FLOW_ID;
use super::replies::{bytes, number, parts};
use super::{Invariant, Rules, World};
use crate::calls::{CONTROL, Call};
use crate::faults::Fate;
use crate::redis::Value;

/// What can be paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pausable {
    Queue,
    Flow,
}

impl Pausable {
    pub(super) const ALL: [Pausable; 2] = [Self::Queue, Self::Flow];

    /// Its field in the hash.
    pub(crate) fn field(self) -> String {
        match self {
            Self::Queue => "q:m".to_owned(),
            Self::Flow => format!("f:{}", *FLOW_ID),
        }
    }
}

/// A pause: when it began, and when it ends, or 0. Unix ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SetPause {
    since: u64,
    ends: u64,
}

impl SetPause {
    pub(super) fn is_endless(&self) -> bool {
        self.ends == 0
    }

    fn lasts(&self, now: u64) -> bool {
        self.is_endless() || self.ends > now
    }
}

impl World {
    /// Whether a worker believes that this is paused.
    pub(super) fn pauses(&self, worker: usize, what: Pausable) -> bool {
        let ends = self.workers[worker].paused[what as usize];
        ends.is_some_and(|ends| ends == 0 || ends > self.clock_of(worker))
    }

    /// An operator pauses it, for a time, ms, or 0 for no end.
    pub(super) fn pause_jobs(&mut self, rules: &Rules, what: Pausable, for_ms: u64, fate: Fate) {
        let now = self.server.db.now;
        let reply = self.call(rules, &Call::pause(&what.field(), 0, for_ms), fate);
        self.forget_ended();
        if parts(&reply).get(2).map(bytes).as_deref() == Some(b"paused") {
            let before = self.server.pauses[what as usize].filter(|before| before.lasts(now));
            let since = before.map_or(now, |before| before.since);
            let ends = if for_ms == 0 { 0 } else { now + for_ms };
            self.server.pauses[what as usize] = Some(SetPause { since, ends });
        }
    }

    /// An operator ends a pause.
    pub(super) fn resume_jobs(&mut self, rules: &Rules, what: Pausable) {
        let reply = self.call(rules, &Call::resume(&what.field()), Fate::Answered);
        if !matches!(reply, Reply::Error(_)) {
            self.server.pauses[what as usize] = None;
        }
    }

    /// What has ended and is removed does not come back when the clock is set back.
    fn forget_ended(&mut self) {
        let now = self.server.db.now;
        for what in Pausable::ALL {
            let has_ended = self.server.pauses[what as usize].is_some_and(|pause| !pause.lasts(now));
            if has_ended && self.in_hash(what).is_none() {
                self.server.pauses[what as usize] = None;
            }
        }
    }

    /// The pause in Redis.
    fn in_hash(&self, what: Pausable) -> Option<&[u8]> {
        match &*self.server.db.keys.get(CONTROL.as_bytes())?.value {
            Value::Hash(hash) => hash.get(what.field().as_bytes()).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Whether a worker has not read what applies now.
    pub(super) fn has_news(&self, worker: usize) -> bool {
        self.server.db.keys.contains_key(CONTROL.as_bytes()) != (self.workers[worker].paused != [None; 2])
            || self.ends_of_pauses() != self.workers[worker].paused
    }

    /// When what operators have set ends, of all that lasts.
    fn ends_of_pauses(&self) -> [Option<u64>; 2] {
        let now = self.server.db.now;
        self.server.pauses.map(|pause| pause.filter(|pause| pause.lasts(now)).map(|pause| pause.ends))
    }

    /// A worker reads what is paused.
    pub(super) fn read_control(&mut self, rules: &Rules, worker: usize) {
        let reply = self.call(rules, &Call::read_control(), Fate::Answered);
        self.forget_ended();
        let [now, fields] = parts(&reply) else { return };
        let mut known = [None; 2];
        for pair in parts(fields).chunks_exact(2) {
            let field = bytes(&pair[0]);
            let what = Pausable::ALL.into_iter().find(|what| what.field().as_bytes() == field);
            let ends = String::from_utf8_lossy(&bytes(&pair[1])).parse().ok();
            if let Some(what) = what {
                known[what as usize] = ends;
            }
        }
        if known != self.ends_of_pauses() {
            self.broken = Some(Invariant::Pause);
        }
        self.workers[worker].paused = known;
        if number(Some(now)) > 0 {
            self.saw_time(worker, now);
        }
    }

    /// Whether every pause that lasts is in the hash, with its end and its beginning.
    pub(super) fn has_all_pauses(&self) -> bool {
        let is_there = |what: Pausable, pause: SetPause| {
            let begin = format!("{} {} ", pause.ends, pause.since);
            self.in_hash(what).is_some_and(|text| text.starts_with(begin.as_bytes()))
        };
        let set = Pausable::ALL.into_iter().zip(self.server.pauses);
        set.filter_map(|(what, pause)| Some((what, pause?)))
            .all(|(what, pause)| !pause.lasts(self.server.db.now) || is_there(what, pause))
    }

    /// Whether nothing is paused, and nothing is left of what was.
    pub(super) fn is_resumed(&self) -> bool {
        !self.server.db.keys.contains_key(CONTROL.as_bytes())
            && self.workers.iter().all(|worker| worker.paused == [None; 2])
    }
}
