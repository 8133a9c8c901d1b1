//! Finds lines of order keys that do not move: the job that has the turn is gone, or nothing points to a waiting one.

use fred::types::{Key, Value};

use crate::job::{EntryId, LinePlace};
use crate::redis::{Error, QueueShard, number, unexpected};

/// How many lines a call reads at most: it blocks Redis.
const LINES_MAX: u64 = 200;
/// About how many waiting jobs a call reads.
const WAITING_MAX: u64 = 20;
/// How many entries a call reads that looks for jobs.
const ENTRIES_MAX: u64 = 1_000;
/// How many jobs are looked for at once.
const PLACES_MAX: usize = 100;

/// A page of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweptLines {
    /// The line to go on after; `None` at the end.
    pub next: Option<String>,
    /// How many jobs had their turn and waited for it.
    pub moved: u64,
    /// The places whose jobs have the turn and were not found. They may be in the stream under other entry ids.
    pub missing: Vec<LinePlace>,
}

/// A page of jobs that wait for their turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweptWaiting {
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
    /// How many had no place in a line.
    pub mended: u64,
}

/// How far a search for the jobs of places has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostSearch {
    /// Go on after this entry, with the places whose jobs were not found.
    GoOn(EntryId, Vec<LinePlace>),
    /// The places that have ended: their jobs are nowhere.
    Ended(Vec<LinePlace>),
}

impl QueueShard {
    /// Reads a page of lines after one, or the first page.
    ///
    /// # Errors
    /// fred's.
    pub async fn sweep_lines(&self, after: Option<&str>) -> Result<SweptLines, Error> {
        let args = vec![after.unwrap_or_default().into(), number(LINES_MAX)];
        let reply = self.0.scripts.sweep_lines.poll(&self.0.redis, self.keys_of_turns(), args).await?;
        let (next, moved, missing): (String, u64, Vec<String>) = reply.convert()?;
        Ok(SweptLines { next: Some(next).filter(|next| !next.is_empty()), moved, missing: places(&missing) })
    }

    /// Reads a page of the jobs that wait for their turn, and mends their places. `cursor` is that of the page before.
    ///
    /// # Errors
    /// fred's.
    pub async fn sweep_order_waiting(&self, cursor: Option<&str>) -> Result<SweptWaiting, Error> {
        let own = &self.0.keys;
        let keys = vec![own.jobs.clone(), own.order.clone(), own.order_waiting.clone(), own.rejected.clone()];
        let args = vec![cursor.unwrap_or("0").into(), number(WAITING_MAX)];
        let reply = self.0.scripts.sweep_order_waiting.poll(&self.0.redis, keys, args).await?;
        let (next, _bytes, mended): (String, u64, u64) = reply.convert()?;
        Ok(SweptWaiting { next: Some(next).filter(|next| next != "0"), mended })
    }

    /// Where the job that has the turn of a line can be, and what decides who has it.
    fn keys_of_turns(&self) -> Vec<Key> {
        let own = &self.0.keys;
        [&own.jobs, &own.waiting, &own.order, &own.order_waiting, &own.order_stopped].map(Key::clone).to_vec()
    }

    /// Looks for the jobs of places in a page of the stream, after an entry or from the first one on. The last page ends the places of
    /// those that are nowhere. At most 100 places are looked for.
    ///
    /// # Errors
    /// fred's.
    pub async fn drop_places(&self, after: Option<EntryId>, lost: &[LinePlace]) -> Result<LostSearch, Error> {
        let after = after.map_or_else(|| "-".to_owned(), |after| after.to_string());
        let mut args = vec![self.0.mark.text().as_ref().into(), after.into(), number(ENTRIES_MAX)];
        args.extend(lost.iter().take(PLACES_MAX).map(|place| Value::from(place.as_str())));
        let reply = self.0.scripts.drop_places.poll(&self.0.redis, self.keys_of_turns(), args).await?;
        let (next, left): (String, Vec<String>) = reply.convert()?;
        match next.as_str() {
            "" => Ok(LostSearch::Ended(places(&left))),
            next => {
                let next = EntryId::parse(next.as_bytes()).ok_or_else(unexpected)?;
                Ok(LostSearch::GoOn(next, places(&left)))
            }
        }
    }
}

/// Foreign members are ignored.
fn places(texts: &[String]) -> Vec<LinePlace> {
    texts.iter().filter_map(|text| LinePlace::parse(text)).collect()
}
