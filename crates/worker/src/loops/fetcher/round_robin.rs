//! Chooses the next shard to fetch from, by weight.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::Delivery;
use postrider_queue::work::is_answer;
use tokio::time::Instant;

use super::Order;
use crate::loops::shard_list::{ServedShard, ShardList};
use crate::shard::control::CurrentControl;

/// The intended size of a reply, in bytes: it must arrive before the command times out.
const REPLY_BYTES_MAX: usize = 4 << 20;
/// If slots become free faster than one in this time, one shard may get all free slots. The other shards get
/// theirs soon after. Splitting the slots would cost one read for each shard.
const HURRIED_SLOT_TIME: Duration = Duration::from_micros(500);
/// The time until a shard is looked at again that had no room for jobs.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// The assumed size of an entry before the first fetch, in bytes: the first read takes 16 entries.
const ENTRY_BYTES_ASSUMED: usize = REPLY_BYTES_MAX / 16;

/// The shards that a fetcher knows.
pub(super) struct RoundRobin {
    shards: ShardList,
    control: CurrentControl,
    order: Order,
    sources: Vec<Source>,
    /// One for each shard.
    turns: Vec<Turn>,
    /// When this round began.
    began: Option<Instant>,
    /// Slots become free so quickly that one shard may get all slots of this round.
    hurried: bool,
}

struct Source {
    shard: Arc<ServedShard>,
    /// After a failure, the shard is not read until this time. Then a blocking read tries it, which delays no
    /// other shard.
    rests_until: Option<Instant>,
    failed: u32,
    /// A blocking read is under way.
    waits: bool,
    /// Another read is under way and takes long.
    is_late: bool,
    /// A running mean of the size of entries, in bytes.
    entry_bytes: usize,
}

impl Source {
    /// Whether it may be read together with others, one after the other.
    fn is_sound(&self) -> bool {
        self.rests_until.is_none() && self.failed == 0 && !self.is_late
    }

    /// How many jobs fit into a reply.
    fn batch(&self) -> usize {
        (REPLY_BYTES_MAX / self.entry_bytes.max(1)).max(1)
    }

    fn learn(&mut self, bytes: usize) {
        // A larger entry counts at once, a smaller one gradually.
        self.entry_bytes = bytes.max(self.entry_bytes - self.entry_bytes / 8);
    }
}

/// A shard's place in a weighted round robin, and whether it may have jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    rank: (usize, u32),
    weight: u32,
    credit: i64,
    open: bool,
}

impl RoundRobin {
    pub(super) fn new(shards: ShardList, control: CurrentControl, order: Order) -> Self {
        Self { shards, control, order, sources: vec![], turns: vec![], began: None, hurried: false }
    }

    /// Adds shards that have joined.
    pub(super) fn refresh(&mut self) {
        for shard in self.shards.from(self.sources.len()) {
            self.turns.push(Turn { rank: shard.rank, weight: shard.weight, credit: 0, open: true });
            self.sources.push(Source {
                shard,
                rests_until: None,
                failed: 0,
                waits: false,
                is_late: false,
                entry_bytes: ENTRY_BYTES_ASSUMED,
            });
        }
    }

    pub(super) fn shard(&self, source: usize) -> Arc<ServedShard> {
        self.sources[source].shard.clone()
    }

    /// Begins a round with the slots that have become free: every shard may have jobs again, except those that
    /// rest or are paused.
    pub(super) fn begin_round(&mut self, free: usize) {
        let (now, control) = (Instant::now(), self.control.get());
        let quick = HURRIED_SLOT_TIME * u32::try_from(free).unwrap_or(u32::MAX);
        self.hurried = self.began.replace(now).is_some_and(|before| now - before < quick);
        for (source, turn) in self.sources.iter_mut().zip(&mut self.turns) {
            if source.rests_until.is_some_and(|until| until <= now) {
                source.rests_until = None;
            }
            let is_paused = control.pauses_queue(source.shard.queue.name());
            turn.open = !is_paused && source.is_sound() && source.shard.deliveries.has_room();
        }
    }

    /// The next shard to read, and the number of jobs to ask for.
    pub(super) fn next(&mut self, free: usize) -> Option<(usize, usize)> {
        let (chosen, share) = choose(&self.turns, self.order, free, self.hurried)?;
        let asked = share.min(self.sources[chosen].batch());
        pay(&mut self.turns, chosen, asked);
        Some((chosen, asked))
    }

    /// Records the jobs that a shard returned. With fewer than it was asked for, it has no more.
    pub(super) fn fetched(&mut self, source: usize, had: &[Delivery], asked: usize) {
        self.turns[source].open = had.len() >= asked;
        let source = &mut self.sources[source];
        source.failed = 0;
        for delivery in had {
            source.learn(delivery.bytes());
        }
    }

    /// Whether there is no other shard to read.
    pub(super) fn is_alone(&self) -> bool {
        self.sources.len() == 1
    }

    /// A read of this shard takes long. It is not read before that has ended.
    pub(super) fn late(&mut self, source: usize) {
        self.turns[source].open = false;
        self.sources[source].is_late = true;
    }

    /// Records a failure: the shard rests.
    pub(super) fn failed(&mut self, shard: &Arc<ServedShard>, error: &Error) {
        let Some(index) = self.sources.iter().position(|source| Arc::ptr_eq(&source.shard, shard)) else {
            return;
        };
        let source = &mut self.sources[index];
        let rest = shard.queue.link().down(error, source.failed);
        source.failed += 1;
        if !is_answer(error) {
            // The reply may have been too large: batches start again at one job.
            source.entry_bytes = REPLY_BYTES_MAX;
        }
        source.rests_until = Some(Instant::now() + rest);
        self.turns[index].open = false;
    }

    /// The shards that have no blocking read, do not rest, are not paused, and have room; only failed ones if others have
    /// jobs. Marks them as waiting.
    pub(super) fn begin_waits(&mut self, only_failed: bool) -> Vec<Arc<ServedShard>> {
        let control = self.control.get();
        let idle = self.sources.iter_mut().filter(|source| {
            let is_paused = control.pauses_queue(source.shard.queue.name());
            !source.waits && !source.is_late && source.rests_until.is_none() && !is_paused
        });
        let wanted =
            idle.filter(|source| (source.failed > 0 || !only_failed) && source.shard.deliveries.has_room());
        wanted
            .map(|source| {
                source.waits = true;
                source.shard.clone()
            })
            .collect()
    }

    /// The blocking read of a shard is over, or the one that was late.
    pub(super) fn waited(&mut self, shard: &Arc<ServedShard>, is_late: bool, has_failed: bool) {
        if let Some(source) = self.sources.iter_mut().find(|source| Arc::ptr_eq(&source.shard, shard)) {
            *(if is_late { &mut source.is_late } else { &mut source.waits }) = false;
            if !has_failed {
                source.failed = 0;
            }
        }
    }

    /// The shards that have a blocking read.
    pub(super) fn waiting(&self) -> Vec<Arc<ServedShard>> {
        self.sources.iter().filter(|source| source.waits).map(|source| source.shard.clone()).collect()
    }

    /// Waits until a shard joins, or a resting shard may be read again. A shard without room is looked at
    /// again soon.
    pub(super) async fn changed(&self) {
        let full = self.sources.iter().any(|source| !source.shard.deliveries.has_room());
        let full = full.then(|| Instant::now() + FULL_PAUSE);
        let rested = self.sources.iter().filter_map(|source| source.rests_until).chain(full).min();
        let rested = rested.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = self.shards.more_than(self.sources.len()) => {}
            () = tokio::time::sleep_until(rested) => {}
        }
    }
}

/// The shard with the most credit, and how many of the free slots it gets: its share, or `all`.
fn choose(turns: &[Turn], order: Order, free: usize, all: bool) -> Option<(usize, usize)> {
    let open = turns.iter().enumerate().filter(|(_, turn)| turn.open);
    if order == Order::Strict {
        return open.min_by_key(|(_, turn)| turn.rank).map(|(first, _)| (first, free));
    }
    let total: usize = open.clone().map(|(_, turn)| turn.weight as usize).sum();
    // The weight is added, so that among equal credits the heaviest shard comes first.
    let (chosen, turn) = open.max_by_key(|(_, turn)| turn.credit + i64::from(turn.weight))?;
    let share = free * turn.weight as usize / total.max(1);
    Some((chosen, if all { free } else { share.clamp(1, free) }))
}

/// For each requested job, every open shard gains its weight as credit, and the chosen shard pays the sum.
fn pay(turns: &mut [Turn], chosen: usize, asked: usize) {
    let mut total = 0;
    for turn in turns.iter_mut().filter(|turn| turn.open) {
        let gain = i64::from(turn.weight) * asked as i64;
        turn.credit += gain;
        total += gain;
    }
    turns[chosen].credit -= total;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(weights: &[u32]) -> Vec<Turn> {
        (0..)
            .zip(weights)
            .map(|(place, weight)| Turn { rank: (place, 0), weight: *weight, credit: 0, open: true })
            .collect()
    }

    /// How many jobs each shard gets if `rounds` slots become free one by one.
    fn singly(turns: &mut [Turn], order: Order, rounds: usize) -> Vec<usize> {
        let mut got = vec![0; turns.len()];
        for _ in 0..rounds {
            let (chosen, share) = choose(turns, order, 1, false).unwrap();
            pay(turns, chosen, share);
            got[chosen] += share;
        }
        got
    }

    #[test]
    fn slots_go_in_proportion_to_the_weights() {
        assert_eq!(singly(&mut turns(&[4, 1]), Order::Weighted, 100), [80, 20]);
        assert_eq!(singly(&mut turns(&[1, 1, 1]), Order::Weighted, 99), [33, 33, 33]);
    }

    #[test]
    fn many_free_slots_are_shared_out_at_once() {
        let mut turns = turns(&[4, 1]);
        assert_eq!(choose(&turns, Order::Weighted, 100, false), Some((0, 80)));
        turns[0].open = false;
        assert_eq!(choose(&turns, Order::Weighted, 20, false), Some((1, 20)));
        turns[1].open = false;
        assert_eq!(choose(&turns, Order::Weighted, 20, false), None);
    }

    #[test]
    fn a_shard_that_is_asked_for_all_pays_for_all() {
        let (mut turns, mut got) = (turns(&[4, 1, 1]), [0; 3]);
        for free in [30, 10, 20].into_iter().cycle().take(300) {
            let (chosen, share) = choose(&turns, Order::Weighted, free, true).unwrap();
            assert_eq!(share, free);
            pay(&mut turns, chosen, share);
            got[chosen] += share;
        }
        // 6,000 jobs; no shard is ahead by more than the largest read.
        for (got, fair) in got.into_iter().zip([4000_i32, 1000, 1000]) {
            assert!((got as i32 - fair).abs() <= 30, "{got} of {fair}");
        }
    }

    #[test]
    fn in_strict_order_the_first_takes_all() {
        let mut turns = turns(&[1, 9]);
        assert_eq!(singly(&mut turns, Order::Strict, 10), [10, 0]);
        turns.reverse();
        assert_eq!(singly(&mut turns, Order::Strict, 10), [0, 10], "whatever joins first");
    }
}
