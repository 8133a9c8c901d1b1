//! How many jobs had which outcome, by minute and by hour.

use std::ops::AddAssign;

use fred::types::Value;

use super::{Inspector, ShardName};
use crate::redis::{Error, unexpected};

/// Slots of the rings that the part `count` of prelude.lua writes: a day of minutes, and 14 days of hours.
const MINUTES: u64 = 1_440;
const HOURS: u64 = 336;
/// Bytes of a slot: four numbers of 32 bits. The first slot of the string has the minute of the last count.
const SLOT_BYTES: usize = 16;

/// A time until now, in buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountRange {
    /// The last hour, in 60 buckets of a minute.
    Hour,
    /// The last day, in 144 buckets of 10 minutes.
    Day,
    /// The last 14 days, in 336 buckets of an hour.
    Fortnight,
}

/// How many jobs had which outcome in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins, Unix ms.
    pub at: u64,
    /// Jobs that succeeded.
    pub succeeded: u64,
    /// Attempts that failed and are retried.
    pub retried: u64,
    /// Jobs that were dead-lettered.
    pub dead: u64,
    /// Jobs that were cancelled by hand.
    pub cancelled: u64,
}

impl CountRange {
    /// The length of a bucket, ms.
    pub fn bucket_ms(self) -> u64 {
        self.bucket_minutes() * 60_000
    }

    /// How many buckets it has.
    pub fn buckets(self) -> u64 {
        match self {
            Self::Hour => 60,
            Self::Day => 144,
            Self::Fortnight => HOURS,
        }
    }

    fn bucket_minutes(self) -> u64 {
        match self {
            Self::Hour => 1,
            Self::Day => 10,
            Self::Fortnight => 60,
        }
    }

    /// Its buckets up to this minute since 1970, without jobs.
    fn empty(self, now: u64) -> Vec<Bucket> {
        let first = (now / self.bucket_minutes()).saturating_sub(self.buckets() - 1);
        (first..first + self.buckets())
            .map(|index| Bucket { at: index * self.bucket_ms(), ..Bucket::default() })
            .collect()
    }
}

impl Inspector {
    /// How many jobs of these shards together had which outcome, for each range: the oldest bucket first, the current one
    /// last.
    ///
    /// # Errors
    /// fred's.
    pub async fn counts<const N: usize>(
        &self,
        shards: &[ShardName],
        ranges: [CountRange; N],
    ) -> Result<[Vec<Bucket>; N], Error> {
        let now = self.now().await? / 60_000;
        let mut counts = ranges.map(|range| range.empty(now));
        for shard in shards {
            let key = Self::keys(shard).stats;
            let stats = match self.command("GET", Some(&key), vec![key.clone().into()]).await? {
                Value::Null => continue,
                stats => stats.into_bytes().ok_or_else(unexpected)?,
            };
            for (buckets, range) in counts.iter_mut().zip(ranges) {
                add(buckets, &stats, range, now);
            }
        }
        Ok(counts)
    }
}

/// Adds what a shard has counted. `now` is the current minute since 1970.
fn add(buckets: &mut [Bucket], stats: &[u8], range: CountRange, now: u64) {
    let last = u64::from(numbers(stats, 0)[0]).min(now);
    for bucket in buckets {
        let minute = bucket.at / 60_000;
        if range == CountRange::Fortnight {
            if is_kept(minute / 60, last / 60, HOURS) {
                *bucket += numbers(stats, 1 + MINUTES + minute / 60 % HOURS);
            }
        } else {
            for minute in
                (minute..minute + range.bucket_minutes()).filter(|minute| is_kept(*minute, last, MINUTES))
            {
                *bucket += numbers(stats, 1 + minute % MINUTES);
            }
        }
    }
}

/// Whether the slot of a time is not that of an earlier one.
fn is_kept(time: u64, last: u64, slots: u64) -> bool {
    time <= last && time + slots > last
}

/// The numbers of a slot; zeros behind the end.
fn numbers(stats: &[u8], slot: u64) -> [u32; 4] {
    let slot = usize::try_from(slot).ok().and_then(|slot| stats.get(slot * SLOT_BYTES..));
    let mut numbers = slot
        .unwrap_or_default()
        .chunks_exact(4)
        .map(|four| u32::from_be_bytes(four.try_into().expect("a chunk of four bytes")));
    [(); 4].map(|()| numbers.next().unwrap_or(0))
}

impl AddAssign<[u32; 4]> for Bucket {
    fn add_assign(&mut self, [succeeded, retried, dead, cancelled]: [u32; 4]) {
        self.succeeded += u64::from(succeeded);
        self.retried += u64::from(retried);
        self.dead += u64::from(dead);
        self.cancelled += u64::from(cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute whose slot is not the first.
    const NOW: u64 = 29_923_271;

    /// A string with these numbers of succeeded jobs, by minute and by hour.
    fn stats(last: u64, minutes: &[(u64, u32)], hours: &[(u64, u32)]) -> Vec<u8> {
        let mut stats = vec![0; SLOT_BYTES * (1 + MINUTES + HOURS) as usize];
        let mut set = |slot: u64, number: u32| {
            stats[SLOT_BYTES * slot as usize..][..4].copy_from_slice(&number.to_be_bytes());
        };
        set(0, last as u32);
        minutes.iter().for_each(|(minute, number)| set(1 + minute % MINUTES, *number));
        hours.iter().for_each(|(hour, number)| set(1 + MINUTES + hour % HOURS, *number));
        stats
    }

    fn read(stats: &[u8], range: CountRange) -> Vec<(u64, u64)> {
        let first = NOW / range.bucket_minutes() + 1 - range.buckets();
        let mut buckets: Vec<_> = (first..first + range.buckets())
            .map(|index| Bucket { at: index * range.bucket_ms(), ..Bucket::default() })
            .collect();
        add(&mut buckets, stats, range, NOW);
        let counted = buckets.iter().filter(|bucket| bucket.succeeded > 0);
        counted.map(|bucket| (bucket.at / range.bucket_ms(), bucket.succeeded)).collect()
    }

    #[test]
    fn buckets_are_read_from_the_rings() {
        let hour = NOW / 60;
        let stats = stats(
            NOW,
            &[(NOW, 1), (NOW - 1, 2), (NOW - 59, 3), (NOW - 60, 4), (NOW - 1439, 5)],
            &[(hour, 6), (hour - 335, 7)],
        );
        assert_eq!(read(&stats, CountRange::Hour), [(NOW - 59, 3), (NOW - 1, 2), (NOW, 1)]);
        let tens = NOW / 10;
        // The first of 144 buckets begins after the oldest minute.
        assert_eq!(read(&stats, CountRange::Day), [(tens - 6, 4 + 3), (tens, 3)]);
        assert_eq!(read(&stats, CountRange::Fortnight), [(hour - 335, 7), (hour, 6)]);
    }

    #[test]
    fn what_was_not_cleared_since_the_last_count_is_not_read() {
        // The slot of this minute is that of a day ago.
        let quiet = stats(NOW - 10, &[(NOW - 10, 1), (NOW - 1440, 9), (NOW - 1435, 9)], &[(NOW / 60, 2)]);
        assert_eq!(read(&quiet, CountRange::Hour), [(NOW - 10, 1)]);
        let days = stats(NOW - 3 * 1440, &[(NOW - 3 * 1440, 9)], &[(NOW / 60 - 72, 8)]);
        assert_eq!(read(&days, CountRange::Hour), []);
        assert_eq!(read(&days, CountRange::Day), []);
        assert_eq!(read(&days, CountRange::Fortnight), [(NOW / 60 - 72, 8)]);
    }

    #[test]
    fn a_short_or_foreign_text_has_no_counts() {
        for text in [&b""[..], b"x", b"of another type"] {
            assert_eq!(read(text, CountRange::Hour), [], "{text:?}");
        }
        let all = CountRange::Day;
        assert_eq!(all.bucket_ms() * all.buckets(), 86_400_000);
    }
}
