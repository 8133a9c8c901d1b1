//! Lists, finds and purges dead letters.

use fred::types::Value;
use telemetry::{Context, semconv};

use super::peek::{Peek, Peeked};
use super::{Inspector, Shard, field, job_id};
use crate::job::{EntryId, Fields};
use crate::redis::{Error, Operation};

/// How many dead letters a search reads at most: more than are kept.
const SEARCHED_MAX: usize = 200_000;

/// A job that ended without success.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The queue.
    pub queue: Shard,
    /// Its entry among the dead letters.
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
    /// A page of dead letters before `before`, or from the last one, in descending order; long values are
    /// truncated. Empty at the end.
    ///
    /// # Errors
    /// fred's.
    pub async fn dead_before(
        &self,
        queue: &Shard,
        before: Option<EntryId>,
    ) -> Result<Vec<DeadLetter>, Error> {
        let to = before.map_or("+".to_owned(), |id| format!("({id}"));
        let page = self.peek_at(Self::keys(queue).dead, Peek::page("last", "-", &to)).await?;
        Ok(page.into_iter().map(|peeked| dead_letter(queue, peeked)).collect())
    }

    /// The dead letters with an id, with whole values: an entry's id is looked up, a job id is searched for.
    ///
    /// # Errors
    /// fred's.
    pub async fn find_dead(&self, queue: &Shard, id: &str) -> Result<Vec<DeadLetter>, Error> {
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
    pub async fn labelled_dead(&self, queue: &Shard, label: &str) -> Result<Vec<DeadLetter>, Error> {
        let has_label = |letter: &DeadLetter| field(&letter.fields, "label").is_some_and(|own| *own == label);
        self.search_dead(queue, has_label).await
    }

    async fn search_dead(
        &self,
        queue: &Shard,
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

    pub(super) async fn dead_letter(&self, queue: &Shard, entry: &str) -> Result<Vec<DeadLetter>, Error> {
        let peek = Peek { group: "", ..Peek::one(entry) };
        let found = self.peek_at(Self::keys(queue).dead, peek).await?;
        Ok(found.into_iter().map(|peeked| dead_letter(queue, peeked)).collect())
    }

    /// Deletes dead letters for good, and returns how many it deleted.
    ///
    /// # Errors
    /// fred's.
    pub async fn purge(&self, queue: &Shard, entries: &[EntryId]) -> Result<u64, Error> {
        if entries.is_empty() {
            return Ok(0);
        }
        let key = Self::keys(queue).dead;
        let mut args: Vec<Value> = vec![key.clone().into()];
        args.extend(entries.iter().map(|entry| Value::from(entry.to_string())));
        let act = self.act(Operation::Purge, &queue.queue, &Context::none());
        act.span.set(semconv::MESSAGING_BATCH_MESSAGE_COUNT, entries.len());
        let purged = self.command("XDEL", Some(&key), args).await;
        act.end(purged.as_ref().err());
        purged?.convert()
    }
}

fn dead_letter(queue: &Shard, peeked: Peeked) -> DeadLetter {
    let Peeked { entry, fields, .. } = peeked;
    DeadLetter { queue: queue.clone(), entry, job_id: job_id(&fields, entry), fields }
}
