//! What must be true of periodic jobs, and the steps in words.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use super::operator::{Intent, definition, interval, text};
use super::worker::job_of;
use super::{CLOCK_STEPS, Fate, SHARD, STEP_MS, Step, Ticks, WORKERS};
use crate::calls::HOLD_MS;
use crate::faults::with_fate;
use crate::faulty::START_MS;
use crate::redis::{Bytes, Id, Value};
use crate::scripts::Sources;

/// The headers of the job of each tick: they name it.
static HEADERS: LazyLock<HashMap<Bytes, u64>> = LazyLock::new(|| {
    let definition = definition(&text(0, Intent::Create));
    let ticks = (0..60).map(|step| START_MS - 20 * STEP_MS + step * STEP_MS);
    ticks.filter_map(|tick| Some((headers(&job_of(&definition, tick))?.clone(), tick))).collect()
});

fn headers(fields: &[Bytes]) -> Option<&Bytes> {
    fields.chunks_exact(2).find(|pair| pair[0] == b"headers").map(|pair| &pair[1])
}

impl Ticks {
    /// All jobs, and the tick of each.
    pub(super) fn jobs(&self) -> Vec<(Id, u64)> {
        let entry = self.redis.db.keys.get(&SHARD.key("jobs"));
        let Some(Value::Stream(stream)) = entry.map(|entry| &*entry.value) else { return vec![] };
        let tick = |fields: &[Bytes]| headers(fields).and_then(|own| HEADERS.get(own)).copied();
        stream.entries.iter().map(|(id, fields)| (*id, tick(fields).unwrap_or(0))).collect()
    }

    /// How many jobs each tick has made.
    pub(super) fn made(&self) -> BTreeMap<u64, usize> {
        let mut made = BTreeMap::new();
        for (_, tick) in self.jobs() {
            *made.entry(tick).or_default() += 1;
        }
        made
    }

    /// The counts of the definition: the ticks that have made a job, and those that have not.
    pub(super) fn counts(&self) -> [u64; 2] {
        let count = |kind: &str| self.field(kind).and_then(|text| text.parse().ok()).unwrap_or(0);
        [count("made"), count("missed") + count("skipped")]
    }

    pub(super) fn miscounted(&self) -> Option<&'static str> {
        let made = self.made();
        if !self.may_repeat && made.values().any(|count| *count > 1) {
            return Some("tick: it makes one job");
        }
        let is_overlapping =
            self.jobs().iter().filter(|(id, _)| !self.redis.truth.ended.contains(id)).count() > 1;
        if self.is_skipping() && !self.may_overlap && is_overlapping {
            return Some("overlap: no job is made while the last one has not ended");
        }
        let definition = self.field("d")?;
        if !self.is_damaged && self.field("p").is_some() == self.alarm().is_some() {
            return Some("alarm: a definition has a next look, unless it is paused");
        }
        let next = self.field("n").and_then(|next| next.parse::<u64>().ok())?;
        let [before, without_before] = self.redis.truth.counted;
        let [with_job, without] = self.counts();
        let ticks = next.saturating_sub(self.redis.truth.since) / interval(&definition);
        if self.redis.truth.since > 0 && with_job - before + (without - without_before) != ticks {
            return Some("tick: each one is accounted for");
        }
        let jobs: usize = made
            .range(self.redis.truth.since..next.max(self.redis.truth.since))
            .map(|(_, count)| count)
            .sum();
        let is_one = self.may_repeat || self.redis.truth.since == 0 || jobs as u64 == with_job - before;
        (!is_one).then_some("tick: each one that is counted as made has made a job")
    }

    /// Liveness: once faults stop, what is due is made.
    pub(super) fn never_made(&self, sources: &Sources) -> Option<&'static str> {
        let mut world = self.clone();
        world.redis.calm_down();
        (world.is_up, world.claims, world.pending) = ([true; WORKERS], [None, None], [None, None]);
        // A worker that died while the clock was ahead has put off the next look by as much.
        let ahead = u64::from(self.redis.jumps) * CLOCK_STEPS.unsigned_abs();
        for _ in 0..3 + ahead {
            let mut looks = 0;
            while world.is_due() && looks < 4 {
                world.do_step(sources, Step::Look(0, Fate::Answered));
                while world.claims[0].is_some() {
                    world.do_step(sources, Step::Make(0, Fate::Answered));
                }
                looks += 1;
            }
            world.redis.pass();
        }
        world.redis.pass_back();
        if world.broken.is_some() || world.miscounted().is_some() {
            return world.broken.or_else(|| world.miscounted());
        }
        world.field("d")?;
        if world.field("p").is_some() {
            return None;
        }
        let now = world.redis.db.now;
        let is_set = world.field("n").and_then(|next| next.parse::<u64>().ok()).is_some_and(|next| {
            #[allow(clippy::cast_precision_loss)]
            let latest = next.max(now + HOLD_MS) as f64;
            next > now && world.alarm().is_some_and(|at| at <= latest)
        });
        (!is_set).then_some("end: once faults stop, what is due is made, and the next tick is set")
    }
}

fn worker(index: usize) -> &'static str {
    ["worker A", "worker B"][index]
}

fn operator(index: usize) -> &'static str {
    ["operator A", "operator B"][index]
}

pub(super) fn sentence(step: Step) -> String {
    match step {
        Step::Pass => "five seconds pass".to_owned(),
        Step::Look(own, fate) => with_fate(format!("{} looks for ticks", worker(own)), fate),
        Step::Make(own, fate) => with_fate(format!("{} makes the job of a tick", worker(own)), fate),
        Step::EndJob => "the oldest job ends".to_owned(),
        Step::Read(own, intent) => {
            let what = match intent {
                Intent::Create => "set the first definition",
                Intent::Change => "set one with another job",
                Intent::Retime => "set one with another interval",
                Intent::Remove => "remove it",
                Intent::Pause => "pause it",
                Intent::Resume => "resume it",
            };
            format!("{} reads the definition, to {what}", operator(own))
        }
        Step::Do(own, fate) => with_fate(format!("{} does it", operator(own)), fate),
        Step::Kill(own) => format!("{} is killed", worker(own)),
        Step::Start(own) => format!("{} starts again", worker(own)),
        Step::Happen(event) => event.sentence("15 seconds"),
        Step::DeleteDue => "somebody deletes the key `cron_due`".to_owned(),
    }
}
