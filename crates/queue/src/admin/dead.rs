//! Lists, finds and purges dead letters.

use std::cmp::Reverse;

use fred::types::Value;
use futures_util::future::try_join;
use telemetry::{Context, semconv};

use super::peek::{CUT, PAGE, Peek, Peeked};
use super::scan::{Ids, SearchPart};
use super::{Inspector, ShardName, field, job_id};
use crate::job::{EntryId, Fields, LinePlace};
use crate::redis::{Error, Operation};

/// How many dead letters a search reads at most: more than are kept.
const SEARCHED_MAX: u64 = 200_000;

/// A job that ended without success.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The queue.
    pub queue: ShardName,
    /// Whether it is among the rejected entries, which are not jobs.
    pub is_rejected: bool,
    /// Its entry among the dead letters, or among the rejected entries.
    pub entry: EntryId,
    /// The id of the job.
    pub job_id: String,
    /// Its place in the line of its order key, if it has one.
    pub place: Option<LinePlace>,
    /// Its fields; values may be truncated.
    pub fields: Fields,
}

/// Dead letters, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct DeadPage {
    /// In descending order.
    pub letters: Vec<DeadLetter>,
    /// The entry before which to go on; `None` at the end.
    pub next: Option<EntryId>,
    /// How many were read.
    pub read: u64,
}

impl DeadLetter {
    /// A field as text.
    pub fn text(&self, name: &str) -> Option<String> {
        field(&self.fields, name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

impl Inspector {
    /// A page of dead letters and rejected entries before `before`, or from the last one, in descending order;
    /// long values are truncated. Empty at the end.
    ///
    /// # Errors
    /// fred's.
    pub async fn dead_before(
        &self,
        queue: &ShardName,
        before: Option<EntryId>,
    ) -> Result<Vec<DeadLetter>, Error> {
        let Some(to) = super::end_before(before) else { return Ok(vec![]) };
        let keys = Self::keys(queue);
        let dead = self.peek_at(keys.dead, Peek::page("last", "-", &to));
        let rejected = self.peek_at(keys.rejected, Peek::page("last", "-", &to));
        let (dead, rejected) = try_join(dead, rejected).await?;
        Ok(merged(letters(queue, dead, false), letters(queue, rejected, true), PAGE as usize))
    }

    /// The dead letters with an id, with whole values: an entry's id is looked up, a job id is searched for.
    ///
    /// # Errors
    /// fred's.
    pub async fn find_dead(&self, queue: &ShardName, id: &str) -> Result<Vec<DeadLetter>, Error> {
        let found = self.dead_letter_of(queue, id).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        self.search_dead(queue, id, |letter| letter.job_id == id).await
    }

    /// The dead letters whose jobs have a label, with whole values, the last ones first.
    ///
    /// # Errors
    /// fred's.
    pub async fn labelled_dead(&self, queue: &ShardName, label: &str) -> Result<Vec<DeadLetter>, Error> {
        let has_label = |letter: &DeadLetter| field(&letter.fields, "label").is_some_and(|own| *own == label);
        self.search_dead(queue, label, has_label).await
    }

    /// The dead letters that are about an id: an entry id, a label, a job id, also of the job that was replayed, or a
    /// trace id; with whole values, the last ones first.
    ///
    /// # Errors
    /// fred's.
    pub async fn dead_about(&self, queue: &ShardName, id: &str) -> Result<Vec<DeadLetter>, Error> {
        let mut found = self.dead_letter_of(queue, id).await?;
        found.extend(self.search_dead(queue, id, |letter| letter.entry.to_string() != id).await?);
        found.sort_by_key(|letter| Reverse(letter.entry));
        Ok(found)
    }

    async fn search_dead(
        &self,
        queue: &ShardName,
        id: &str,
        wanted: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<DeadLetter>, Error> {
        let mut found = Vec::new();
        for part in [SearchPart::Dead, SearchPart::Rejected] {
            let (mut behind, mut read) = (String::new(), 0);
            while read < SEARCHED_MAX {
                let page = self.search_page(queue, part, &behind, id).await?;
                read += page.read;
                found.extend(page.dead.into_iter().filter(&wanted));
                let Some(next) = page.next else { break };
                behind = next;
            }
        }
        found.sort_by_key(|letter| Reverse(letter.entry));
        Ok(found)
    }

    /// The dead letters, and the rejected entries, before `before`, or from the last one on, that may contain a text in a
    /// field: up to `most`, in descending order; long values are truncated.
    ///
    /// # Errors
    /// fred's.
    pub async fn dead_with(
        &self,
        queue: &ShardName,
        before: Option<EntryId>,
        sought: (&str, &str),
        most: usize,
    ) -> Result<DeadPage, Error> {
        let behind = before.map(|id| id.to_string()).unwrap_or_default();
        if behind == "0-0" {
            return Ok(DeadPage::default());
        }
        let keys = Self::keys(queue);
        let (mut page, mut found) = (DeadPage::default(), Vec::new());
        for (stream, is_rejected) in [(&keys.dead, false), (&keys.rejected, true)] {
            let Ids { ids, next, read } = self.scan(stream.clone(), "last", &behind, &[sought]).await?;
            let entries = ids.iter().filter_map(|id| EntryId::parse(id.as_bytes()));
            found.extend(entries.map(|entry| (entry, is_rejected)));
            // What is before the end of the shorter page has not been read in both streams.
            page.next = page.next.max(next.and_then(|next| EntryId::parse(next.as_bytes())));
            page.read += read;
        }
        found.retain(|(entry, _)| page.next.is_none_or(|next| *entry >= next));
        found.sort_by_key(|(entry, _)| Reverse(*entry));
        if found.len() > most {
            found.truncate(most);
            page.next = found.last().map(|(entry, _)| *entry);
        }
        for (entry, is_rejected) in found {
            let stream = if is_rejected { &keys.rejected } else { &keys.dead };
            let (id, most) = (entry.to_string(), CUT);
            let peeked = self.peek_at(stream.clone(), Peek { group: "", most, ..Peek::one(&id) }).await?;
            page.letters.extend(letters(queue, peeked, is_rejected));
        }
        Ok(page)
    }

    /// The dead letter of an entry's id, if it is one.
    ///
    /// # Errors
    /// fred's.
    pub async fn dead_letter_of(&self, queue: &ShardName, id: &str) -> Result<Vec<DeadLetter>, Error> {
        match EntryId::parse(id.as_bytes()) {
            Some(_) => self.dead_letter(queue, id).await,
            None => Ok(vec![]),
        }
    }

    /// The dead letter and the rejected entry of this id, with whole values.
    pub(super) async fn dead_letter(&self, queue: &ShardName, entry: &str) -> Result<Vec<DeadLetter>, Error> {
        let peek = || Peek { group: "", ..Peek::one(entry) };
        let keys = Self::keys(queue);
        let mut found = letters(queue, self.peek_at(keys.dead, peek()).await?, false);
        found.extend(letters(queue, self.peek_at(keys.rejected, peek()).await?, true));
        Ok(found)
    }

    /// Deletes dead letters and rejected entries for good, and returns how many it deleted.
    ///
    /// # Errors
    /// fred's.
    pub async fn purge(&self, queue: &ShardName, letters: &[&DeadLetter]) -> Result<u64, Error> {
        if letters.is_empty() {
            return Ok(0);
        }
        let act = self.act(Operation::Purge, &queue.queue, &Context::none());
        act.span.set(semconv::MESSAGING_BATCH_MESSAGE_COUNT, letters.len());
        let purged = self.delete(queue, letters).await;
        act.end(purged.as_ref().err());
        purged
    }

    async fn delete(&self, queue: &ShardName, letters: &[&DeadLetter]) -> Result<u64, Error> {
        let keys = Self::keys(queue);
        let mut deleted = 0;
        for (key, is_rejected) in [(keys.dead, false), (keys.rejected, true)] {
            let own = letters.iter().filter(|letter| letter.is_rejected == is_rejected);
            let mut args: Vec<Value> = own.map(|letter| letter.entry.to_string().into()).collect();
            if !args.is_empty() {
                args.insert(0, key.clone().into());
                deleted += self.command("XDEL", Some(&key), args).await?.convert::<u64>()?;
            }
        }
        // Afterwards: what is purged must not stop its line, and a line that goes on has no dead letter to replay.
        let places: Vec<_> = letters.iter().filter_map(|letter| letter.place.clone()).collect();
        if !places.is_empty() {
            self.resume_lines(queue, &places).await?;
        }
        Ok(deleted)
    }
}

fn letters(queue: &ShardName, peeked: Vec<Peeked>, is_rejected: bool) -> Vec<DeadLetter> {
    let letter = |Peeked { entry, fields, .. }| {
        let job_id = job_id(&fields, entry);
        let place = LinePlace::of(&fields, job_id.as_bytes());
        DeadLetter { queue: queue.clone(), is_rejected, entry, job_id, place, fields }
    };
    peeked.into_iter().map(letter).collect()
}

/// The first `page` of two pages, in descending order. Two entries with the same id are not separated.
fn merged(dead: Vec<DeadLetter>, rejected: Vec<DeadLetter>, page: usize) -> Vec<DeadLetter> {
    let mut both = [dead, rejected].concat();
    both.sort_by_key(|letter| Reverse(letter.entry));
    if let Some(last) = both.get(page.saturating_sub(1)).map(|letter| letter.entry) {
        let more = both[page..].iter().take_while(|letter| letter.entry == last).count();
        both.truncate(page + more);
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_and_rejected_entries_are_listed_in_one_order() {
        let queue = ShardName { queue: "mail".parse().unwrap(), number: 0 };
        let letter = |millis: u64, is_rejected: bool| DeadLetter {
            queue: queue.clone(),
            is_rejected,
            entry: EntryId { millis, sequence: 0 },
            job_id: String::new(),
            place: None,
            fields: Fields::new(),
        };
        let (dead, rejected) = ([4, 2, 1].map(|id| letter(id, false)), [3, 2].map(|id| letter(id, true)));
        let page = |size: usize| -> Vec<_> {
            let merged = merged(dead.to_vec(), rejected.to_vec(), size);
            merged.iter().map(|letter| (letter.entry.millis, letter.is_rejected)).collect()
        };
        assert_eq!(page(2), [(4, false), (3, true)]);
        assert_eq!(page(3), [(4, false), (3, true), (2, false), (2, true)], "one time, two streams");
        assert_eq!(page(9).len(), 5);
    }
}
