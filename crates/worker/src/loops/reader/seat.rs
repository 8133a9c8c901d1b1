//! Whose turn it is: the lanes of a reader, by weight.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::Delivery;
use tokio::time::Instant;

use super::Order;
use crate::shard::lane::Lane;
use crate::shard::lanes::Lanes;

/// About how much a reply may hold: it has to arrive before the command times out.
const REPLY_BYTES: usize = 4 << 20;
/// Where a slot becomes free so often, a lane may be asked for all that are: the others have theirs before anyone
/// notices. A read that is shared out among lanes costs as much as so many reads.
const HURRIED: Duration = Duration::from_micros(500);
/// What an entry is taken for before one was seen: of the first, 16 are read.
const UNKNOWN_BYTES: usize = REPLY_BYTES / 16;

/// The lanes that a reader knows.
pub(super) struct Seats {
    lanes: Lanes,
    order: Order,
    seats: Vec<Seat>,
    /// One for each seat.
    turns: Vec<Turn>,
    /// When this round began.
    began: Option<Instant>,
    /// Slots become free so quickly that one lane may have all of this round's.
    hurried: bool,
}

struct Seat {
    lane: Arc<Lane>,
    /// Left alone until then, after a failure.
    rests_until: Option<Instant>,
    failed: u32,
    waits: bool,
    /// How much an entry holds, as a mean that follows quickly.
    entry_bytes: usize,
}

impl Seat {
    /// As many jobs as a reply may hold.
    fn batch(&self) -> usize {
        (REPLY_BYTES / self.entry_bytes.max(1)).max(1)
    }

    fn learn(&mut self, bytes: usize) {
        // An entry that is larger counts at once, smaller ones little by little.
        self.entry_bytes = bytes.max(self.entry_bytes - self.entry_bytes / 8);
    }
}

/// A lane's place in a weighted round robin, and whether it may have jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    weight: u32,
    credit: i64,
    open: bool,
}

impl Seats {
    pub(super) fn new(lanes: Lanes, order: Order) -> Self {
        Self { lanes, order, seats: vec![], turns: vec![], began: None, hurried: false }
    }

    /// Takes in lanes that have joined.
    pub(super) fn refresh(&mut self) {
        for lane in self.lanes.from(self.seats.len()) {
            self.turns.push(Turn { weight: lane.weight, credit: 0, open: true });
            self.seats.push(Seat {
                lane,
                rests_until: None,
                failed: 0,
                waits: false,
                entry_bytes: UNKNOWN_BYTES,
            });
        }
    }

    pub(super) fn lane(&self, seat: usize) -> Arc<Lane> {
        self.seats[seat].lane.clone()
    }

    /// Every lane may have jobs again, but those that rest. So many slots have become free since the round before.
    pub(super) fn begin_round(&mut self, free: usize) {
        let now = Instant::now();
        let quick = HURRIED * u32::try_from(free).unwrap_or(u32::MAX);
        self.hurried = self.began.replace(now).is_some_and(|before| now - before < quick);
        for (seat, turn) in self.seats.iter_mut().zip(&mut self.turns) {
            if seat.rests_until.is_some_and(|until| until <= now) {
                seat.rests_until = None;
            }
            turn.open = seat.rests_until.is_none();
        }
    }

    /// Whom to ask next, and for how many.
    pub(super) fn next(&mut self, free: usize) -> Option<(usize, usize)> {
        let (chosen, share) = choose(&self.turns, self.order, free, self.hurried)?;
        let asked = share.min(self.seats[chosen].batch());
        pay(&mut self.turns, chosen, asked);
        Some((chosen, asked))
    }

    /// A lane had these of so many jobs that it was asked for; with fewer, it has no more.
    pub(super) fn answered(&mut self, seat: usize, had: &[Delivery], asked: usize) {
        self.turns[seat].open = had.len() >= asked;
        let seat = &mut self.seats[seat];
        seat.failed = 0;
        for delivery in had {
            seat.learn(delivery.bytes());
        }
    }

    /// A lane failed: it rests.
    pub(super) fn failed(&mut self, lane: &Arc<Lane>, error: &Error) {
        let Some(index) = self.seats.iter().position(|seat| Arc::ptr_eq(&seat.lane, lane)) else { return };
        let seat = &mut self.seats[index];
        let rest = lane.queue.link().down(error, seat.failed);
        seat.failed += 1;
        // It may have been the size of the reply: from one job on, batches grow again.
        seat.entry_bytes = REPLY_BYTES;
        seat.rests_until = Some(Instant::now() + rest);
        self.turns[index].open = false;
    }

    /// The lanes for which no blocking read is under way and which do not rest.
    pub(super) fn begin_waits(&mut self) -> Vec<Arc<Lane>> {
        let idle = self.seats.iter_mut().filter(|seat| !seat.waits && seat.rests_until.is_none());
        idle.map(|seat| {
            seat.waits = true;
            seat.lane.clone()
        })
        .collect()
    }

    /// The blocking read of a lane is over.
    pub(super) fn waited(&mut self, lane: &Arc<Lane>) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| Arc::ptr_eq(&seat.lane, lane)) {
            seat.waits = false;
        }
    }

    /// The lanes for which a blocking read is under way.
    pub(super) fn waiting(&self) -> Vec<Arc<Lane>> {
        self.seats.iter().filter(|seat| seat.waits).map(|seat| seat.lane.clone()).collect()
    }

    /// Until a lane has joined, or one has rested.
    pub(super) async fn changed(&self) {
        let rested = self.seats.iter().filter_map(|seat| seat.rests_until).min();
        let rested = rested.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = self.lanes.more_than(self.seats.len()) => {}
            () = tokio::time::sleep_until(rested) => {}
        }
    }
}

/// The richest lane, and how much of the free slots it is asked for: its share, or `all`.
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

/// For each job that a lane is asked for, each open lane gains its weight, and the one that is asked pays what all gain.
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

    /// How many jobs each lane gets of `rounds` slots that become free one by one.
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
    fn a_lane_that_is_asked_for_all_pays_for_all() {
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
