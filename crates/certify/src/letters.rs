//! The dead letters of a run, read while it runs: Redis keeps only a limited number.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

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
/// How far before the last known dead letter others may come later: for a while after a failover, the old master writes, too.
const LOOK_BACK: Duration = Duration::from_secs(30);

/// A dead letter.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) reason: String,
    /// When it was read.
    pub(crate) read: Instant,
}

/// The dead letters that were read.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// By the number of the job.
    pub(crate) of_jobs: BTreeMap<u64, Vec<Letter>>,
    /// Dead letters of no job.
    pub(crate) problems: Vec<String>,
    /// The last entry of each shard that was read.
    last: Vec<(ShardName, Option<EntryId>)>,
    /// The entries and jobs that were read.
    known: HashSet<(EntryId, String)>,
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
            let last = places::shards().into_iter().map(|shard| (shard, None)).collect();
            let mut letters = Letters { last, ..Letters::default() };
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
        for index in 0..self.last.len() {
            let (shard, last) = self.last[index].clone();
            let (mut before, mut new) = (None, Vec::new());
            let look_back = LOOK_BACK.as_millis() as u64;
            loop {
                let page = inspector.dead_before(&shard, before).await?;
                let Some(oldest) = page.last().map(|letter| letter.entry) else { break };
                before = Some(oldest);
                new.extend(page);
                if last.is_some_and(|last: EntryId| oldest.millis + look_back < last.millis) {
                    break;
                }
            }
            // Only when all of them were read: the next time begins near these.
            self.last[index].1 = new.first().map(|letter| letter.entry).max(last);
            new.iter().for_each(|letter| self.add(letter));
        }
        Ok(())
    }

    fn add(&mut self, letter: &DeadLetter) {
        if !self.known.insert((letter.entry, letter.job_id.clone())) {
            return;
        }
        let url = letter.text("url").unwrap_or_default();
        let path = url.find("/called").map_or("", |from| &url[from..]);
        let own = || letter.text("body").and_then(|body| body.parse().ok());
        let reason = letter.text("_reason").unwrap_or_default();
        match callback_number(path).or_else(own).filter(|_| !letter.is_rejected) {
            Some(number) => {
                self.of_jobs.entry(number).or_default().push(Letter { reason, read: Instant::now() });
            }
            None => self.problems.push(format!("a dead letter of no job: {letter:?}")),
        }
    }
}
