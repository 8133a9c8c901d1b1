//! Finds texts in the fields of entries and of waiting jobs, inside Redis.

use fred::types::{Key, Value};

use super::{Inspector, array, text};
use crate::redis::{Error, number, unexpected};

/// How many entries, or waiting jobs, a page reads at most: about three milliseconds of Redis. Large ones end it early.
const PAGE: u64 = 1_000;

/// A part of a shard that is searched by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchPart {
    /// Dead letters, the last one first.
    Dead,
    /// Entries that are no jobs, the last one first.
    Rejected,
    /// The delivery log, the last record first.
    Log,
    /// Scheduled and held jobs.
    Waiting,
    /// Jobs that wait for their turns.
    InLine,
    /// Ready and running jobs, the first one first.
    Stream,
}

impl SearchPart {
    /// All parts: those first in which people look most often.
    pub const ALL: [Self; 6] =
        [Self::Dead, Self::Rejected, Self::Log, Self::Waiting, Self::InLine, Self::Stream];
}

/// A field, and a text in lower case that it contains.
pub(super) type Sought<'a> = (&'a str, &'a str);

/// A page of ids.
pub(super) struct Ids {
    pub(super) ids: Vec<String>,
    pub(super) next: Option<String>,
    pub(super) read: u64,
}

impl Inspector {
    /// The entries of a stream that may have one of the texts.
    pub(super) async fn scan(
        &self,
        stream: Key,
        order: &'static str,
        behind: &str,
        texts: &[Sought<'_>],
    ) -> Result<Ids, Error> {
        let mut args = vec![order.into(), behind.into(), number(PAGE)];
        push(&mut args, texts);
        ids(self.scripts.search.poll(&self.redis, vec![stream], args).await?, "")
    }

    /// The waiting jobs that may have one of the texts.
    pub(super) async fn scan_waiting(
        &self,
        waiting: Key,
        cursor: &str,
        texts: &[Sought<'_>],
    ) -> Result<Ids, Error> {
        let cursor = if cursor.is_empty() { "0" } else { cursor };
        let mut args = vec![cursor.into(), number(PAGE)];
        push(&mut args, texts);
        ids(self.scripts.search_waiting.poll(&self.redis, vec![waiting], args).await?, "0")
    }
}

fn push(args: &mut Vec<Value>, texts: &[Sought<'_>]) {
    args.extend(texts.iter().flat_map(|(name, text)| [Value::from(*name), Value::from(*text)]));
}

fn ids(reply: Value, end: &str) -> Result<Ids, Error> {
    let [next, read, found] = <[Value; 3]>::try_from(array(reply)?).map_err(|_| unexpected())?;
    let next = Some(text(&next)?).filter(|next| next != end);
    let ids = array(found)?.iter().map(text).collect::<Result<_, _>>()?;
    Ok(Ids { ids, next, read: read.as_u64().ok_or_else(unexpected)? })
}

/// Where the texts are of what is about an id, in lower case.
pub(super) fn about(lower: &str) -> Vec<Sought<'_>> {
    let is_trace = lower.len() == 32;
    let names = ["label", "_job_id", "_replay_of", "_callback_of"].into_iter();
    let traces = ["traceparent", "_traceparent", "_history", "headers"].into_iter().filter(|_| is_trace);
    names.chain(traces).map(|name| (name, lower)).collect()
}
