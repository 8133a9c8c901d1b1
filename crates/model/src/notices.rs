//! Notices: what two workers and faults can do to what is reported of one flow, in every order of their calls. A worker looks at the
//! flow and at what was reported of it, and then reports a change.

use crate::calls::Shard;
use crate::faults::{Fate, Kind, Left, with_fate};
use crate::faulty::{Event, FaultyRedis};
use crate::redis::Value;
use crate::scripts::Sources;
use crate::small::{Mutation, Small, planted};

const WORKERS: usize = 2;
const SHARD: Shard = Shard(0);
const SUBJECT: &str = "f:0123456789abcdef";
const STEP_MS: u64 = 5_000;
/// How often the flow begins to fail, or ends to.
const TURNS_MAX: u8 = 3;
/// The faults that concern notices.
pub(crate) const FAULTS: [Kind; 6] =
    [Kind::Kill, Kind::Reply, Kind::Rights, Kind::Memory, Kind::Failover, Kind::Key];
/// The commands without which the script is tried.
const RIGHTS: [&str; 4] = ["xadd", "hset", "hdel", "pexpire"];

/// Faults that are planted in the scripts: each must be found.
#[rustfmt::skip]
pub(crate) const MUTATIONS: [Mutation; 4] = [
    planted("notice: reports what was reported", "notice",
        ["if (redis.call('HGET', KEYS[2], subject) or '') ~= ARGV[2] then", "if false then"],
        &[], 0),
    planted("notice: is not remembered", "notice", ["redis.call('HSET', KEYS[2], subject, ARGV[3])", ""], &[], 0),
    planted("notice: enqueues nothing", "notice", ["redis.call('XADD', KEYS[1], '*', unpack(ARGV, 5))", ""], &[], 0),
    planted("notice: no look at rights", "notice", ["redis.call('HSET', KEYS[2], subject, ARGV[2])\nredis.call('HDEL', KEYS[2], '')\n", ""], &[Kind::Rights], 0),
];

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Notices {
    /// With how often what was reported has changed.
    redis: FaultyRedis<u8>,
    is_failing: bool,
    /// How often that has changed.
    turns: u8,
    /// What each worker is about to report: whether the flow fails.
    pending: [Option<bool>; WORKERS],
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Turn,
    Look(usize),
    Report(usize, Fate),
    Kill(usize),
    Happen(Event),
    DeleteKey,
}

impl Notices {
    /// The flow works, and nothing is reported.
    pub(crate) fn start(faults: &[Kind]) -> Self {
        let redis = FaultyRedis::new(0, Left::new(faults, 1), STEP_MS, 0, 0);
        Self { redis, is_failing: false, turns: 0, pending: [None; WORKERS] }
    }

    /// Whether it was reported that the flow fails.
    fn reported(&self) -> bool {
        let hash = self.redis.db.keys.get(&SHARD.key("notices")).map(|entry| &*entry.value);
        matches!(hash, Some(Value::Hash(hash)) if hash.get(SUBJECT.as_bytes()).is_some_and(|own| own == b"1"))
    }

    /// How many notices were enqueued.
    fn notices(&self) -> usize {
        let stream = self.redis.db.keys.get(&SHARD.key("jobs")).map(|entry| &*entry.value);
        if let Some(Value::Stream(stream)) = stream { stream.entries.len() } else { 0 }
    }

    fn report(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        self.redis.spend(fate);
        let Some(fails) = self.pending[worker].take() else { return };
        let states = if fails { ["", "1"] } else { ["1", ""] };
        let fields = [b"url".to_vec(), b"http://h.example/notice".to_vec()];
        let before = self.reported();
        self.redis.call(sources, &SHARD.notice(SUBJECT, states, &fields), fate);
        self.redis.truth += u8::from(self.reported() != before);
    }
}

impl Small for Notices {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = (self.turns < TURNS_MAX).then_some(Step::Turn).into_iter().collect();
        for worker in 0..WORKERS {
            match self.pending[worker] {
                None if self.is_failing != self.reported() => steps.push(Step::Look(worker)),
                None => {}
                Some(_) => {
                    steps
                        .extend(self.redis.fates(&RIGHTS).into_iter().map(|fate| Step::Report(worker, fate)));
                    steps.extend(self.redis.left.has(Kind::Kill).then_some(Step::Kill(worker)));
                }
            }
        }
        let deletes = self.reported().then_some(Step::DeleteKey);
        self.redis.add_steps(&mut steps, Step::Happen, deletes, None);
        steps
    }

    fn step(&mut self, sources: &Sources, step: Step) {
        match step {
            Step::Turn => (self.is_failing, self.turns) = (!self.is_failing, self.turns + 1),
            Step::Look(worker) => self.pending[worker] = Some(self.is_failing),
            Step::Report(worker, fate) => self.report(sources, worker, fate),
            Step::Kill(worker) => {
                self.redis.left.spend(Kind::Kill);
                self.pending[worker] = None;
            }
            Step::Happen(event) => self.redis.happen(event),
            Step::DeleteKey => {
                self.redis.left.spend(Kind::Key);
                self.redis.command(&[b"DEL", &SHARD.key("notices")]);
            }
        }
    }

    fn check(&self, sources: &Sources) -> Option<&'static str> {
        if self.notices() != usize::from(self.redis.truth) {
            return Some("notice: each change of what is reported enqueues one, and nothing else does");
        }
        let mut world = self.clone();
        world.redis.calm_down();
        for worker in [0, 1, 0] {
            if world.pending[worker].is_none() {
                world.step(sources, Step::Look(worker));
            }
            world.report(sources, worker, Fate::Answered);
        }
        if world.notices() != usize::from(world.redis.truth) {
            return Some("notice: once faults stop, each change of what is reported enqueues one");
        }
        (world.reported() != world.is_failing).then_some("notice: once faults stop, what is reported is true")
    }

    fn sentence(step: Step) -> String {
        let worker = |own: usize| ["worker A", "worker B"][own];
        match step {
            Step::Turn => "the flow begins to fail, or works again".to_owned(),
            Step::Look(own) => format!("{} looks at the flow", worker(own)),
            Step::Report(own, fate) => with_fate(format!("{} reports it", worker(own)), fate),
            Step::Kill(own) => format!("{} is killed", worker(own)),
            Step::Happen(event) => event.sentence("nothing"),
            Step::DeleteKey => "somebody deletes the key `notices`".to_owned(),
        }
    }
}
