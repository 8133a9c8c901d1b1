//! The dead letters of a run, read while it runs: Redis keeps only a limited number.

use std::collections::BTreeMap;
use std::time::Duration;

use postrider_queue::EntryId;
use postrider_queue::admin::{DeadLetter, Inspector, ShardName};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::error::CertifyError;
use super::job::callback_number;
use super::places;
use super::server::insist;

/// How often dead letters are read.
const INTERVAL: Duration = Duration::from_secs(2);

/// The dead letters that were read.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// Why each job is dead, by its number.
    pub(crate) reasons: BTreeMap<u64, Vec<String>>,
    /// Dead letters of no job.
    pub(crate) problems: Vec<String>,
    /// Up to which entry each shard was read.
    read: Vec<(ShardName, Option<EntryId>)>,
}

/// Reads dead letters until it is stopped or dropped.
pub(crate) struct Reading {
    stop: CancellationToken,
    task: AbortOnDropHandle<(Inspector, Letters)>,
}

impl Reading {
    pub(crate) fn start(inspector: Inspector) -> Reading {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let read = places::shards().into_iter().map(|shard| (shard, None)).collect();
            let mut letters = Letters { read, ..Letters::default() };
            while !stopped.is_cancelled() {
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = stopped.cancelled() => break,
                }
                // If Redis does not answer now, it will the next time.
                let _ = letters.read(&inspector).await;
            }
            (inspector, letters)
        });
        Reading { stop, task: AbortOnDropHandle::new(task) }
    }

    /// Reads the rest, and returns all.
    pub(crate) async fn end(self) -> Result<Letters, CertifyError> {
        self.stop.cancel();
        let (inspector, mut letters) = self
            .task
            .await
            .map_err(|error| CertifyError::Setup(format!("dead letters are not read: {error}")))?;
        insist(async || letters.read(&inspector).await).await?;
        inspector.close().await;
        Ok(letters)
    }
}

impl Letters {
    /// Reads what is new, the last one first.
    async fn read(&mut self, inspector: &Inspector) -> Result<(), CertifyError> {
        for index in 0..self.read.len() {
            let (shard, known) = self.read[index].clone();
            let (mut before, mut new) = (None, Vec::new());
            loop {
                let page = inspector.dead_before(&shard, before).await?;
                let Some(last) = page.last() else { break };
                before = Some(last.entry);
                let is_end = known.is_some_and(|known| last.entry <= known);
                new.extend(page.into_iter().filter(|letter| known.is_none_or(|known| letter.entry > known)));
                if is_end {
                    break;
                }
            }
            // Only when all of them were read: the next time begins after these.
            self.read[index].1 = new.first().map(|letter| letter.entry).or(known);
            new.iter().for_each(|letter| self.add(letter));
        }
        Ok(())
    }

    fn add(&mut self, letter: &DeadLetter) {
        let url = letter.text("url").unwrap_or_default();
        let path = url.find("/called").map_or("", |from| &url[from..]);
        let own = || letter.text("body").and_then(|body| body.parse().ok());
        let reason = letter.text("_reason").unwrap_or_default();
        match callback_number(path).or_else(own).filter(|_| !letter.is_rejected) {
            Some(number) => self.reasons.entry(number).or_default().push(reason),
            None => self.problems.push(format!("a dead letter of no job: {letter:?}")),
        }
    }
}
