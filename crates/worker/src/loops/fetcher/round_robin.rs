//! Whose turn it is: the shards of a reader, by weight.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::Delivery;
use tokio::time::Instant;

use super::Order;
use crate::shard::list::ShardList;
use crate::shard::runtime::ShardRuntime;

/// About how much a reply may hold: it has to arrive before the command times out.
const REPLY_BYTES: usize = 4 << 20;
/// Where a slot becomes free so often, a shard may be asked for all that are: the others have theirs before anyone
/// notices. A read that is shared out among shards costs as much as so many reads.
const HURRIED: Duration = Duration::from_micros(500);
/// What an entry is taken for before one was seen: of the first, 16 are read.
const UNKNOWN_BYTES: usize = REPLY_BYTES / 16;

/// The shards that a reader knows.
pub(super) struct RoundRobin {
    shards: ShardList,
    order: Order,
    sources: Vec<Source>,
    /// One for each shard.
    turns: Vec<Turn>,
    /// When this round began.
    began: Option<Instant>,
    /// Slots become free so quickly that one shard may have all of this round's.
    hurried: bool,
}

struct Source {
    shard: Arc<ShardRuntime>,
    /// Left alone until then, after a failure.
    rests_until: Option<Instant>,
    failed: u32,
    waits: bool,
    /// How much an entry holds, as a mean that follows quickly.
    entry_bytes: usize,
}

impl Source {
    /// As many jobs as a reply may hold.
    fn batch(&self) -> usize {
        (REPLY_BYTES / self.entry_bytes.max(1)).max(1)
    }

    fn learn(&mut self, bytes: usize) {
        // An entry that is larger counts at once, smaller ones little by little.
        self.entry_bytes = bytes.max(self.entry_bytes - self.entry_bytes / 8);
    }
}

/// A shard's place in a weighted round robin, and whether it may have jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    weight: u32,
    credit: i64,
    open: bool,
}

impl RoundRobin {
    pub(super) fn new(shards: ShardList, order: Order) -> Self {
        Self { shards, order, sources: vec![], turns: vec![], began: None, hurried: false }
    }

    /// Takes in shards that have joined.
    pub(super) fn refresh(&mut self) {
        for shard in self.shards.from(self.sources.len()) {
            self.turns.push(Turn { weight: shard.weight, credit: 0, open: true });
            self.sources.push(Source {
                shard,
                rests_until: None,
                failed: 0,
                waits: false,
                entry_bytes: UNKNOWN_BYTES,
            });
        }
    }

    pub(super) fn shard(&self, source: usize) -> Arc<ShardRuntime> {
        self.sources[source].shard.clone()
    }

    /// Every shard may have jobs again, but those that rest. So many slots have become free since the round before.
    pub(super) fn begin_round(&mut self, free: usize) {
        let now = Instant::now();
        let quick = HURRIED * u32::try_from(free).unwrap_or(u32::MAX);
        self.hurried = self.began.replace(now).is_some_and(|before| now - before < quick);
        for (source, turn) in self.sources.iter_mut().zip(&mut self.turns) {
            if source.rests_until.is_some_and(|until| until <= now) {
                source.rests_until = None;
            }
            turn.open = source.rests_until.is_none();
        }
    }

    /// Whom to ask next, and for how many.
    pub(super) fn next(&mut self, free: usize) -> Option<(usize, usize)> {
        let (chosen, share) = choose(&self.turns, self.order, free, self.hurried)?;
        let asked = share.min(self.sources[chosen].batch());
        pay(&mut self.turns, chosen, asked);
        Some((chosen, asked))
    }

    /// A shard had these of so many jobs that it was asked for; with fewer, it has no more.
    pub(super) fn answered(&mut self, source: usize, had: &[Delivery], asked: usize) {
        self.turns[source].open = had.len() >= asked;
        let source = &mut self.sources[source];
        source.failed = 0;
        for delivery in had {
            source.learn(delivery.bytes());
        }
    }

    /// A shard failed: it rests.
    pub(super) fn failed(&mut self, shard: &Arc<ShardRuntime>, error: &Error) {
        let Some(index) = self.sources.iter().position(|source| Arc::ptr_eq(&source.shard, shard)) else {
            return;
        };
        let source = &mut self.sources[index];
        let rest = shard.queue.link().down(error, source.failed);
        source.failed += 1;
        // It may have been the size of the reply: from one job on, batches grow again.
        source.entry_bytes = REPLY_BYTES;
        source.rests_until = Some(Instant::now() + rest);
        self.turns[index].open = false;
    }

    /// The shards for which no blocking read is under way and which do not rest.
    pub(super) fn begin_waits(&mut self) -> Vec<Arc<ShardRuntime>> {
        let idle = self.sources.iter_mut().filter(|source| !source.waits && source.rests_until.is_none());
        idle.map(|source| {
            source.waits = true;
            source.shard.clone()
        })
        .collect()
    }

    /// The blocking read of a shard is over.
    pub(super) fn waited(&mut self, shard: &Arc<ShardRuntime>) {
        if let Some(source) = self.sources.iter_mut().find(|source| Arc::ptr_eq(&source.shard, shard)) {
            source.waits = false;
        }
    }

    /// The shards for which a blocking read is under way.
    pub(super) fn waiting(&self) -> Vec<Arc<ShardRuntime>> {
        self.sources.iter().filter(|source| source.waits).map(|source| source.shard.clone()).collect()
    }

    /// Until a shard has joined, or one has rested.
    pub(super) async fn changed(&self) {
        let rested = self.sources.iter().filter_map(|source| source.rests_until).min();
        let rested = rested.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = self.shards.more_than(self.sources.len()) => {}
            () = tokio::time::sleep_until(rested) => {}
        }
    }
}

/// The richest shard, and how much of the free slots it is asked for: its share, or `all`.
fn choose(turns: &[Turn], order: Order, free: usize, all: bool) -> Option<(usize, usize)> {
    let mut open = turns.iter().enumerate().filter(|(_, turn)| turn.open);
    if order == Order::Strict {
        return open.next().map(|(first, _)| (first, free));
    }
    let total: usize = open.clone().map(|(_, turn)| turn.weight as usize).sum();
    // What each would have after one job more: of equals, the heaviest.
    let (chosen, turn) = open.max_by_key(|(_, turn)| turn.credit + i64::from(turn.weight))?;
    let share = free * turn.weight as usize / total.max(1);
    Some((chosen, if all { free } else { share.clamp(1, free) }))
}

/// For each job that a shard is asked for, each open shard gains its weight, and the one that is asked pays what all gain.
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
        weights.iter().map(|weight| Turn { weight: *weight, credit: 0, open: true }).collect()
    }

    /// How many jobs each shard gets of `rounds` slots that become free one by one.
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
        // 6,000 jobs; nobody is ahead by more than a read of the largest.
        for (got, fair) in got.into_iter().zip([4000_i32, 1000, 1000]) {
            assert!((got as i32 - fair).abs() <= 30, "{got} of {fair}");
        }
    }

    #[test]
    fn in_strict_order_the_first_takes_all() {
        assert_eq!(singly(&mut turns(&[1, 9]), Order::Strict, 10), [10, 0]);
    }
}
