//! Lists, finds and purges dead letters.

use std::cmp::Reverse;

use fred::types::Value;
use telemetry::{Context, semconv};

use super::find::is_about;
use super::peek::{PAGE, Peek, Peeked};
use super::{Inspector, ShardName, field, job_id};
use crate::job::{EntryId, Fields};
use crate::redis::{Error, Operation};

/// How many dead letters a search reads at most: more than are kept.
const SEARCHED_MAX: usize = 200_000;

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
    /// Its fields; values may be truncated.
    pub fields: Fields,
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
        let dead = self.peek_at(keys.dead, Peek::page("last", "-", &to)).await?;
        let rejected = self.peek_at(keys.rejected, Peek::page("last", "-", &to)).await?;
        Ok(merged(letters(queue, dead, false), letters(queue, rejected, true), PAGE as usize))
    }

    /// The dead letters with an id, with whole values: an entry's id is looked up, a job id is searched for.
    ///
    /// # Errors
    /// fred's.
    pub async fn find_dead(&self, queue: &ShardName, id: &str) -> Result<Vec<DeadLetter>, Error> {
        if EntryId::parse(id.as_bytes()).is_some() {
            let found = self.dead_letter(queue, id).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        self.search_dead(queue, |letter| letter.job_id == id).await
    }

    /// The dead letters whose jobs have a label, with whole values, the last ones first.
    ///
    /// # Errors
    /// fred's.
    pub async fn labelled_dead(&self, queue: &ShardName, label: &str) -> Result<Vec<DeadLetter>, Error> {
        let has_label = |letter: &DeadLetter| field(&letter.fields, "label").is_some_and(|own| *own == label);
        self.search_dead(queue, has_label).await
    }

    /// The dead letters that are about an id: an entry id, a label, a job id, also of the job that was replayed, or a
    /// trace id; with whole values, the last ones first.
    ///
    /// # Errors
    /// fred's.
    pub async fn dead_about(&self, queue: &ShardName, id: &str) -> Result<Vec<DeadLetter>, Error> {
        let is_it = |letter: &DeadLetter| {
            letter.entry.to_string() == id || is_about(&letter.fields, &letter.job_id, id)
        };
        self.search_dead(queue, is_it).await
    }

    async fn search_dead(
        &self,
        queue: &ShardName,
        wanted: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<DeadLetter>, Error> {
        let (mut found, mut before, mut seen) = (Vec::new(), None, 0);
        while seen < SEARCHED_MAX {
            let page = self.dead_before(queue, before).await?;
            let Some(last) = page.last() else { break };
            (before, seen) = (Some(last.entry), seen + page.len());
            for letter in page.iter().filter(|letter| wanted(letter)) {
                found.extend(self.dead_letter(queue, &letter.entry.to_string()).await?);
            }
        }
        Ok(found)
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
        Ok(deleted)
    }
}

fn letters(queue: &ShardName, peeked: Vec<Peeked>, is_rejected: bool) -> Vec<DeadLetter> {
    let letter = |Peeked { entry, fields, .. }| DeadLetter {
        queue: queue.clone(),
        is_rejected,
        entry,
        job_id: job_id(&fields, entry),
        fields,
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
