//! Finds lines of order keys that do not move. Only an accident stops one, for example a key or an entry that was deleted by hand.

use std::collections::HashMap;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::LinePlace;
use postrider_queue::work::{LostSearch, QueueShard, SweptLines};
use tokio::time::Instant;
use tracing::warn;

use super::paced::paced;

/// How many pages of lines, and of waiting jobs, a sweep reads.
const PAGES_MAX: u32 = 40;
/// How long the job that has the turn of a line must have been missing before the sweep searches the whole stream: it may be there
/// under another entry id, for example after a retry.
const MISSING_TIME: Duration = Duration::from_secs(30);
/// The time between two such searches, if the first one has found nothing.
const SEARCH_INTERVAL: Duration = Duration::from_secs(600);

/// The position of a sweep over the lines of a shard.
#[derive(Debug, Default)]
pub(super) struct LineSweep {
    line: Option<String>,
    cursor: Option<String>,
    /// The places whose jobs were missing when they were last looked for, and since when.
    missing: HashMap<LinePlace, Instant>,
    searched: Option<Instant>,
}

impl LineSweep {
    /// Sweeps a part of the lines.
    pub(super) async fn sweep(&mut self, queue: &QueueShard) -> Result<(), Error> {
        let mut mended = 0;
        for _ in 0..PAGES_MAX {
            let page = paced(queue.sweep_order_waiting(self.cursor.as_deref())).await?;
            mended += page.mended;
            self.cursor = page.next;
            if self.cursor.is_none() {
                break;
            }
        }
        for _ in 0..PAGES_MAX {
            let page = paced(queue.sweep_lines(self.line.as_deref())).await?;
            mended += page.moved;
            self.line = self.learn(page);
            if self.line.is_none() {
                break;
            }
        }
        if self.missing.is_empty() {
            self.searched = None;
        }
        mended += self.drop_lost(queue).await?;
        if mended > 0 {
            warn!(jobs = mended, "lines of order keys move again; were keys of this queue deleted by hand?");
        }
        Ok(())
    }

    /// Learns which jobs are missing in the lines of a page. Returns the line to go on after.
    fn learn(&mut self, page: SweptLines) -> Option<String> {
        let (from, next) = (self.line.clone(), page.next);
        let is_of_page = |line: &str| {
            from.as_deref().is_none_or(|from| line > from) && next.as_deref().is_none_or(|next| line <= next)
        };
        let before = std::mem::take(&mut self.missing);
        let (of_page, others): (HashMap<_, _>, _) =
            before.into_iter().partition(|(place, _)| is_of_page(place.line()));
        self.missing = others;
        let now = Instant::now();
        for place in page.missing {
            let since = of_page.get(&place).copied().unwrap_or(now);
            self.missing.insert(place, since);
        }
        next
    }

    /// Ends the places of jobs that are nowhere. Returns how many.
    async fn drop_lost(&mut self, queue: &QueueShard) -> Result<u64, Error> {
        if self.searched.is_some_and(|searched| searched.elapsed() < SEARCH_INTERVAL) {
            return Ok(0);
        }
        let is_lost = |since: &Instant| since.elapsed() >= MISSING_TIME;
        let mut lost: Vec<LinePlace> =
            self.missing.iter().filter(|(_, since)| is_lost(since)).map(|(place, _)| place.clone()).collect();
        let mut after = None;
        while !lost.is_empty() {
            match paced(queue.drop_places(after, &lost)).await? {
                LostSearch::GoOn(next, left) => (after, lost) = (Some(next), left),
                LostSearch::Ended(ended) => {
                    self.missing.retain(|place, _| !ended.contains(place));
                    self.searched = ended.is_empty().then(Instant::now);
                    return Ok(ended.len() as u64);
                }
            }
        }
        self.searched = after.map(|_| Instant::now());
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use postrider_queue::job::LineId;

    use super::*;

    fn place(key: &str) -> LinePlace {
        LinePlace::parse(&format!("{}A7A1", LineId::of(key.as_bytes()))).expect("a place")
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_is_missing_since_it_was_first_not_found() {
        let mut sweep = LineSweep::default();
        let mut keys = [place("a"), place("b"), place("c")];
        keys.sort();
        let [first, second, last] = keys;
        let page = |next: Option<&LinePlace>, missing: &[&LinePlace]| SweptLines {
            next: next.map(|place| place.line().to_owned()),
            moved: 0,
            missing: missing.iter().map(|place| (*place).clone()).collect(),
        };
        sweep.line = sweep.learn(page(Some(&second), &[&first, &second]));
        sweep.line = sweep.learn(page(None, &[&last]));
        let begin = Instant::now();
        tokio::time::sleep(Duration::from_secs(10)).await;
        sweep.line = sweep.learn(page(Some(&second), &[&second]));
        assert_eq!(sweep.missing.get(&first), None, "it was found");
        assert_eq!(sweep.missing.get(&second), Some(&begin));
        assert_eq!(sweep.missing.get(&last), Some(&begin), "its line is in another page");
    }
}
