//! A producer that enqueues a job under a key.

use e2e::resp::Reply;

use crate::calls::Shard;
use crate::redis::{Bytes, Db, Id};
use crate::scripts::Sources;

/// How often an enqueue follows a number of shards that changes.
const MOVES_MAX: u8 = 5;
/// The home of the key by one, two and three shards.
const HOMES: [u32; 3] = [0, 1, 2];
const TTL_MS: u64 = 3_600_000;

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    GoesOn,
    /// The number of shards has changed too often.
    Refused,
}

/// A producer, and what it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Producer {
    round: u8,
    /// How often the number of shards has changed, and the numbers, as it has read them: the present one first; empty before.
    numbers: Vec<u64>,
    /// Those of the round before.
    seen: Vec<u64>,
    /// How many homes of the key it has claimed.
    claimed: usize,
    job: Option<(u32, Id)>,
    is_refused: bool,
}

fn texts(reply: &Reply) -> Vec<Bytes> {
    let text = |part: &Reply| match part {
        Reply::Bulk(bytes) => bytes.clone(),
        Reply::Integer(number) => number.to_string().into_bytes(),
        _ => vec![],
    };
    if let Reply::Array(parts) = reply { parts.iter().map(text).collect() } else { vec![] }
}

impl Producer {
    pub(super) fn is_done(&self) -> bool {
        self.job.is_some() || self.is_refused
    }

    /// The job of its key, as it has learned.
    pub(super) fn job(&self) -> Option<(u32, Id)> {
        self.job
    }

    /// The shards in which the key may be, beginning with its present one.
    fn homes(&self) -> Vec<u32> {
        let mut homes = vec![];
        for number in &self.numbers[1..] {
            let home = HOMES[*number as usize - 1];
            if !homes.contains(&home) {
                homes.push(home);
            }
        }
        homes
    }

    /// Makes its next call. `in_batch` is whether it enqueues many jobs at once.
    pub(super) fn call(&mut self, sources: &Sources, db: &mut Db, in_batch: bool) -> Turn {
        if self.is_done() {
            return Turn::GoesOn;
        }
        if self.numbers.is_empty() {
            let reply = texts(&sources.call(db, &Shard(0).key_homes(TTL_MS)));
            let number = |text: &Bytes| String::from_utf8_lossy(text).parse().unwrap_or(0);
            (self.numbers, self.claimed) = (reply.iter().map(number).collect(), 0);
            return Turn::GoesOn;
        }
        let homes = self.homes();
        if let Some(home) = homes.get(1 + self.claimed) {
            let reply = texts(&sources.call(db, &Shard(*home).claim_keys("k", self.numbers[0], TTL_MS)));
            self.claimed += 1;
            self.job = reply.first().and_then(|text| Id::parse(text, 0)).map(|id| (*home, id));
            return Turn::GoesOn;
        }
        self.enqueue(sources, db, homes[0], in_batch)
    }

    fn enqueue(&mut self, sources: &Sources, db: &mut Db, home: u32, in_batch: bool) -> Turn {
        let fields = [b"url".to_vec(), b"http://h.example/job0".to_vec()];
        let changes = if self.numbers == self.seen { u64::MAX } else { self.numbers[0] };
        let key = Some(("k", TTL_MS));
        let call = if in_batch {
            Shard(home).enqueue_all(&[key], changes, &fields)
        } else {
            Shard(home).enqueue(key, 0, changes, &fields)
        };
        let reply = texts(&sources.call(db, &call));
        if reply.first().is_some_and(|letter| letter == b"m") {
            self.round += 1;
            self.seen = std::mem::take(&mut self.numbers);
            self.is_refused = self.round == MOVES_MAX;
            return if self.is_refused { Turn::Refused } else { Turn::GoesOn };
        }
        self.job = reply.get(1).and_then(|text| Id::parse(text, 0)).map(|id| (home, id));
        Turn::GoesOn
    }
}
