//! Idempotency keys while the number of shards changes: what several producers of one key and an operator can do to each other,
//! in every order of their calls. Nothing removes a job here, so that two jobs of the key are seen.
//!
//! A producer is restated: it reads where the key may be, claims it in all former homes, and enqueues in the present one
//! (`queue/src/produce/shard.rs`). One that dies is one that makes no further call.

mod producer;

use crate::calls::Shard;
use crate::faulty::START_MS;
use crate::redis::{Db, Id, Value};
use crate::scripts::Sources;
use crate::small::{Mutation, Small, planted};
use producer::{Producer, Turn};

const PRODUCERS: usize = 3;
/// How often the number of shards changes at most.
const CHANGES: u8 = 4;
/// The numbers of shards that an operator sets.
const NUMBERS: [u32; 3] = [1, 2, 3];

/// Faults that are planted in the scripts: each must be found.
#[rustfmt::skip]
pub(crate) const MUTATIONS: [Mutation; 9] = [
    planted("enqueue: ignores a later change", "enqueue", ["tonumber(moved) > tonumber(ARGV[3])", "false"], &[], 0),
    planted("enqueue: refuses whatever has moved", "enqueue", ["tonumber(moved) > tonumber(ARGV[3])", "true"], &[], 0),
    planted("enqueue: overwrites a job", "enqueue", ["elseif known ~= '' then", "elseif false then"], &[], 0),
    planted("enqueue_all: ignores a later change", "enqueue_all", ["tonumber(moved) > tonumber(ARGV[at + 1])", "false"], &[], 0),
    planted("claim_keys: claims nothing", "claim_keys", ["redis.call('SET', key,", "redis.call('SET', key .. 'x',"], &[], 0),
    planted("claim_keys: overwrites a job", "claim_keys", ["if known ~= '' and not moved then", "if false then"], &[], 0),
    planted("reshard: counts no change", "reshard", ["changes, homes[1] = changes + 1, now", "homes[1] = now"], &[], 0),
    planted("reshard: forgets former numbers", "reshard", ["'homes', table.concat(homes, ' ')", "'homes', ''"], &[], 0),
    planted("key_homes: returns no former number", "key_homes", ["homes[#homes + 1] = tonumber(shards)", ""], &[], 0),
];

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    db: Db,
    producers: [Producer; PRODUCERS],
    /// How often the number of shards may still change.
    changes_left: u8,
    /// How many replies may still be lost.
    losses_left: u8,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A producer makes its next call. Its reply may be lost: then the producer begins again.
    Call {
        producer: usize,
        is_lost: bool,
    },
    Reshard(u32),
}

/// The jobs in all shards.
fn jobs(db: &Db) -> Vec<(u32, Id)> {
    let entries = |shard: u32| match db.keys.get(&Shard(shard).key("jobs")).map(|entry| &*entry.value) {
        Some(Value::Stream(stream)) => stream.entries.keys().map(|id| (shard, *id)).collect(),
        _ => vec![],
    };
    (0..NUMBERS.len() as u32).flat_map(entries).collect()
}

impl Keys {
    /// Nobody has begun to enqueue, and there is one shard.
    pub(crate) fn start() -> Self {
        let db = Db { now: START_MS, ..Db::default() };
        let producers = std::array::from_fn(|_| Producer::default());
        Self { db, producers, changes_left: CHANGES, losses_left: 1 }
    }
}

impl Small for Keys {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        for producer in 0..PRODUCERS {
            if !self.producers[producer].is_done() {
                steps.push(Step::Call { producer, is_lost: false });
                steps.extend((self.losses_left > 0).then_some(Step::Call { producer, is_lost: true }));
            }
        }
        if self.changes_left > 0 {
            steps.extend(NUMBERS.map(Step::Reshard));
        }
        steps
    }

    fn step(&mut self, sources: &Sources, step: Step) {
        match step {
            Step::Call { producer, is_lost } => {
                let own = &mut self.producers[producer];
                own.call(sources, &mut self.db, producer % 2 == 1);
                if is_lost {
                    *own = Producer::default();
                    self.losses_left -= 1;
                }
            }
            Step::Reshard(number) => {
                sources.call(&mut self.db, &Shard(0).reshard("reshard", &[number]));
                self.changes_left -= 1;
            }
        }
    }

    fn check(&self, sources: &Sources) -> Option<&'static str> {
        let jobs = jobs(&self.db);
        if jobs.len() > 1 {
            return Some("key: an idempotency key enqueues once");
        }
        let is_known = |own: &Producer| own.job().is_none_or(|job| jobs.contains(&job));
        if !self.producers.iter().all(is_known) {
            return Some("key: a producer learns the job of its key");
        }
        // Whatever others have left behind, a call succeeds.
        let (mut db, mut own) = (self.db.clone(), Producer::default());
        for _ in 0..40 {
            if own.call(sources, &mut db, false) == Turn::Refused {
                break;
            }
        }
        let Some(job) = own.job() else {
            return Some("key: a producer that nobody disturbs succeeds");
        };
        (self::jobs(&db) != [job])
            .then_some("key: it enqueues once, also for a producer that nobody disturbs")
    }

    fn sentence(step: Step) -> String {
        match step {
            Step::Call { producer, is_lost } => {
                let lost = if is_lost { "; Redis does it, and the reply is lost" } else { "" };
                format!("producer {} makes its next call{lost}", producer + 1)
            }
            Step::Reshard(number) => format!("an operator sets the number of shards to {number}"),
        }
    }
}
