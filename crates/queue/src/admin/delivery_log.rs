//! Searches the delivery log, and finds out what it keeps.

use fred::types::Value;
use serde::Deserialize;

use super::{Inspector, ShardName, array, text};
use crate::redis::{Error, LogBounds, entry_id, number, unexpected};
use crate::trail::LogRecord;

/// A job that has ended, from the delivery log.
#[derive(Clone, Debug)]
pub struct LoggedJob {
    /// The queue.
    pub queue: ShardName,
    /// When it ended, Unix ms.
    pub ended_at: u64,
    /// The record.
    pub record: LogRecord<'static>,
}

/// The result of a search of the delivery log.
#[derive(Clone, Debug, Default)]
pub struct LogSearch {
    /// The jobs, the newest first.
    pub jobs: Vec<LoggedJob>,
    /// Whether there may be older ones.
    pub is_incomplete: bool,
}

/// How many records one call reads, about: up to 4 ms of Redis.
const PAGE: u64 = 1_000;
/// How many records a search returns, about.
const FOUND_MAX: usize = 100;

impl Inspector {
    /// The jobs of a delivery log that are about an id: a label, a job id, also of the job that was replayed, or a
    /// trace id. Reads the whole log if it must, in calls of a few milliseconds.
    ///
    /// # Errors
    /// fred's.
    pub async fn logged_about(&self, queue: &ShardName, id: &str) -> Result<LogSearch, Error> {
        let (mut search, mut behind) = (LogSearch::default(), String::new());
        loop {
            let (jobs, next, _) = self.log_page(queue, &behind, id).await?;
            search.jobs.extend(jobs);
            let Some(next) = next else { return Ok(search) };
            if search.jobs.len() >= FOUND_MAX {
                search.is_incomplete = true;
                return Ok(search);
            }
            behind = next;
        }
    }

    /// About [`PAGE`] records before an entry, or from the last one on: those about an id, the entry before which to go on,
    /// and how many were read.
    pub(super) async fn log_page(
        &self,
        queue: &ShardName,
        behind: &str,
        id: &str,
    ) -> Result<(Vec<LoggedJob>, Option<String>, u64), Error> {
        let key = Self::keys(queue).log;
        let before = if behind.is_empty() { "+" } else { behind };
        let mut args: Vec<Value> = vec![before.into(), number(PAGE), number(FOUND_MAX as u64)];
        args.extend(texts(id).iter().map(|text| Value::from(text.as_str())));
        let reply = self.scripts.search_log.poll(&self.redis, vec![key], args).await?;
        let [next, read, rows] = <[Value; 3]>::try_from(array(reply)?).map_err(|_| unexpected())?;
        let mut jobs = vec![];
        for row in array(rows)? {
            jobs.extend(logged(queue, row)?.filter(|job| job.record.is_about(id)));
        }
        Ok((jobs, Some(text(&next)?).filter(|next| !next.is_empty()), read.as_u64().unwrap_or(0)))
    }

    /// What the delivery log of a queue keeps, as the worker with the latest heartbeat has it; `None` if it keeps
    /// nothing, or no worker is known.
    ///
    /// # Errors
    /// fred's.
    pub async fn log_bounds(&self, queue: &ShardName) -> Result<Option<LogBounds>, Error> {
        #[derive(Deserialize)]
        struct Record {
            seen: u64,
            log: Option<LogBounds>,
        }
        let key = Self::keys(queue).workers;
        let all = array(self.command("HGETALL", Some(&key), vec![key.clone().into()]).await?)?;
        // Names and records alternate.
        let records = all.iter().skip(1).step_by(2);
        let records = records.filter_map(|record| serde_json::from_str::<Record>(&text(record).ok()?).ok());
        Ok(records.max_by_key(|record| record.seen).and_then(|record| record.log))
    }

    /// Whether a queue has a delivery log, or a worker that keeps one.
    ///
    /// # Errors
    /// fred's.
    pub async fn has_log(&self, queue: &ShardName) -> Result<bool, Error> {
        let key = Self::keys(queue).log;
        let exists = self.command("EXISTS", Some(&key), vec![key.clone().into()]).await?;
        Ok(exists.as_u64() == Some(1) || self.log_bounds(queue).await?.is_some())
    }
}

/// The texts of which a record about an id has one: the id as JSON. A trace id may be followed by that of a span.
fn texts(id: &str) -> Vec<String> {
    let is_trace = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let trace = is_trace.then(|| format!("\"{}", id.to_ascii_lowercase()));
    [serde_json::Value::from(id).to_string()].into_iter().chain(trace).collect()
}

/// A row of search_log.lua; `None` if it is no record.
fn logged(queue: &ShardName, row: Value) -> Result<Option<LoggedJob>, Error> {
    let [entry, line] = <[Value; 2]>::try_from(array(row)?).map_err(|_| unexpected())?;
    let ended_at = entry_id(&entry)?.millis;
    let record = LogRecord::unpack(&text(&line)?);
    Ok(record.map(|record| LoggedJob { queue: queue.clone(), ended_at, record }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_about_an_id_contains_one_of_its_texts() {
        const TRACE: &str = "0AF7651916CD43DD8448EB211C80319C";
        let trace = TRACE.to_ascii_lowercase();
        let record = LogRecord { trace_id: Some(trace.as_str().into()), ..LogRecord::default() };
        let label = |label: &'static str| LogRecord { label: Some(label.into()), ..LogRecord::default() };
        let finds = |id: &str, record: &LogRecord<'_>| {
            let line = record.pack();
            texts(id).iter().any(|text| line.contains(text))
        };
        assert!(finds(TRACE, &record) && finds(&trace, &record));
        assert!(finds(TRACE, &label(TRACE)) && finds("a\"b\\", &label("a\"b\\")));
        assert!(!finds("order", &label("order-1")));
    }
}
