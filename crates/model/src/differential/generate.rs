//! Makes random steps, most of which are possible on the present state.

mod commands;
mod lines;
mod scripts;

use fastrand::Rng;

use super::Step;
use crate::calls::Shard;
use crate::redis::{Bytes, Db, Stream, Value};

/// The keys of the shard that steps use.
pub(super) const KEYS: [&str; 22] = [
    "jobs",
    "waiting",
    "scheduled",
    "dead",
    "rejected",
    "sizes",
    "stats",
    "log",
    "flows",
    "expiring",
    "mark",
    "workers",
    "flow:0123456789abcdef",
    "key:k",
    "result:1-0",
    "meta",
    "cron",
    "cron_due",
    "order",
    "order_waiting",
    "order_stopped",
    "notices",
];

/// The commands that a user may lack the right to.
const RIGHTS: [&str; 8] = ["xadd", "xdel", "xack", "zadd", "hset", "set", "hdel", "zrem"];

/// The workers.
const CONSUMERS: [&str; 3] = ["a", "b", "c"];

/// Makes steps.
pub(super) struct Generator {
    rng: Rng,
    is_full: bool,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), is_full: false }
    }

    /// A step, and a command that its user has no right to.
    pub(super) fn next(&mut self, db: &Db) -> (Step, Option<&'static str>) {
        let chance = self.rng.u32(..100);
        let denied = (self.rng.u32(..12) == 0).then(|| self.one(&RIGHTS));
        match chance {
            0..3 => {
                // Full for a short time only: little happens while it is.
                self.is_full = !db.is_full;
                (Step::SetFull(self.is_full), None)
            }
            3..7 if db.is_full => (Step::SetFull(false), None),
            3..9 => (Step::Wait(self.rng.u64(1..8)), None),
            9..35 => (Step::Command(self.command(db)), denied),
            _ => (Step::Script(self.script(db)), denied),
        }
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(..all.len())]
    }

    fn chance(&mut self, of: u32) -> bool {
        self.rng.u32(..of) == 0
    }

    fn consumer(&mut self) -> &'static str {
        self.one(&CONSUMERS)
    }

    fn stream<'a>(&self, db: &'a Db, name: &str) -> Option<&'a Stream> {
        match &*db.keys.get(&Shard(0).key(name))?.value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// An entry of a stream, or one that does not exist.
    fn entry(&mut self, db: &Db, name: &str) -> String {
        let ids: Vec<String> = self
            .stream(db, name)
            .into_iter()
            .flat_map(|stream| stream.entries.keys())
            .map(ToString::to_string)
            .collect();
        if ids.is_empty() || self.chance(8) {
            "1-0".to_owned()
        } else {
            ids[self.rng.usize(..ids.len())].clone()
        }
    }

    /// A waiting job, or one that does not exist.
    fn waiting(&mut self, db: &Db) -> Bytes {
        let mut ids: Vec<Bytes> = vec![];
        for name in ["waiting", "scheduled", "flow:0123456789abcdef"] {
            match db.keys.get(&Shard(0).key(name)).map(|entry| &*entry.value) {
                Some(Value::Hash(hash)) => ids.extend(hash.keys().cloned()),
                Some(Value::Sorted(set)) => ids.extend(set.keys().cloned()),
                _ => {}
            }
        }
        if ids.is_empty() || self.chance(8) {
            b"1-0".to_vec()
        } else {
            ids[self.rng.usize(..ids.len())].clone()
        }
    }

    /// The fields of a job.
    fn fields(&mut self) -> Vec<Bytes> {
        let mut fields = vec!["url", "http://a.example/x"];
        if self.chance(3) {
            fields.extend(["flow", "mine"]);
        }
        if self.chance(3) {
            fields.extend(["_attempt", "2"]);
        }
        if self.chance(2) {
            fields.extend(["order", "k"]);
        }
        if self.chance(4) {
            fields.extend(["expires_at", "5", "body", "a body of some length, to have a long field"]);
        }
        fields.into_iter().map(|part| part.as_bytes().to_vec()).collect()
    }
}
