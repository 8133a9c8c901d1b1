//! Finds a job by its id, its entry or its label.

use fred::clients::Client;
use fred::interfaces::KeysInterface;
use fred::types::Value;
use fred_otel::Command;

use super::peek::{Peek, PeekWaiting, Source, WHOLE, in_stream};
use super::scan::SearchPart;
use super::{FoundJob, Inspector, Place, ShardName, field};
use crate::job::{EntryId, Fields, of_fields};
use crate::redis::Error;
use crate::trail::JobResult;

/// How many entries, and how many waiting jobs, a search reads at most.
const SEARCHED_MAX: u64 = 1_000_000;

/// The result of a search.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// All jobs that were found.
    pub jobs: Vec<FoundJob>,
    /// Whether the search stopped before the end of the queue.
    pub is_incomplete: bool,
}

impl Inspector {
    /// The jobs with an id. The id of a waiting job or of an entry is looked up. A label, or the id of a job
    /// that now has another entry, needs a bounded search, which truncates long values.
    ///
    /// # Errors
    /// fred's.
    pub async fn find(&self, queue: &ShardName, id: &str) -> Result<Search, Error> {
        let jobs = self.look_up(queue, id).await?;
        if !jobs.is_empty() {
            return Ok(Search { jobs, is_incomplete: false });
        }
        self.search(queue, id, |job| job.id == id || has(&job.fields, "label", id)).await
    }

    /// The jobs that are about an id: a label, a job id, also of the job that was replayed, or a trace id. The id of a
    /// waiting job or of an entry is looked up first; the rest is a bounded search, which truncates long values.
    ///
    /// # Errors
    /// fred's.
    pub async fn find_about(&self, queue: &ShardName, id: &str) -> Result<Search, Error> {
        let mut jobs = self.look_up(queue, id).await?;
        let search = self.search(queue, id, |_| true).await?;
        let known: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
        jobs.extend(search.jobs.into_iter().filter(|job| !known.contains(&job.id)));
        Ok(Search { jobs, is_incomplete: search.is_incomplete })
    }

    /// The waiting job of an id, and the entry of an id, with whole values.
    ///
    /// # Errors
    /// fred's.
    pub async fn look_up(&self, queue: &ShardName, id: &str) -> Result<Vec<FoundJob>, Error> {
        let own = &Self::keys(queue);
        let mut jobs: Vec<_> = self.find_waiting(queue, id).await?.into_iter().collect();
        if EntryId::parse(id.as_bytes()).is_some() {
            let found = self.peek(own, Peek::one(id)).await?;
            jobs.extend(found.into_iter().map(|peeked| in_stream(queue, peeked)));
        }
        Ok(jobs)
    }

    /// The kept result of a job, by its id; `None` if the job keeps none, has none yet, or its result has
    /// expired.
    ///
    /// # Errors
    /// fred's.
    pub async fn result(&self, queue: &ShardName, job_id: &str) -> Result<Option<JobResult>, Error> {
        let key = Self::keys(queue).result(job_id.as_bytes());
        let get = |client: Client| {
            let key = key.clone();
            async move { client.get::<Option<String>, _>(key).await }
        };
        let found = self.redis.run(Some(&key), Command::new("GET"), get).await?;
        // A value that is no result is the producer's own, under a made-up job id.
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The jobs of the stream, and the waiting jobs, that are about an id and wanted.
    async fn search(
        &self,
        queue: &ShardName,
        id: &str,
        wanted: impl Fn(&FoundJob) -> bool,
    ) -> Result<Search, Error> {
        let mut search = Search::default();
        for part in [SearchPart::Stream, SearchPart::Waiting, SearchPart::InLine] {
            let (mut behind, mut read) = (String::new(), 0);
            loop {
                let page = self.search_page(queue, part, &behind, id).await?;
                read += page.read;
                search.jobs.extend(page.jobs.into_iter().filter(&wanted));
                let Some(next) = page.next else { break };
                if read >= SEARCHED_MAX {
                    search.is_incomplete = true;
                    break;
                }
                behind = next;
            }
        }
        Ok(search)
    }

    /// The same job with whole values; `None` if it has moved since.
    ///
    /// # Errors
    /// fred's.
    pub async fn whole(&self, job: &FoundJob) -> Result<Option<FoundJob>, Error> {
        match &job.place {
            Place::Ready(entry) | Place::Running { entry, .. } => {
                let found = self.peek(&Self::keys(&job.queue), Peek::one(&entry.to_string())).await?;
                Ok(found.into_iter().next().map(|peeked| in_stream(&job.queue, peeked)))
            }
            Place::Scheduled(_) | Place::Held { .. } | Place::InLine { .. } => {
                self.find_waiting(&job.queue, &job.id).await
            }
        }
    }

    /// The waiting job of an id, with whole values.
    pub(super) async fn find_waiting(
        &self,
        queue: &ShardName,
        job_id: &str,
    ) -> Result<Option<FoundJob>, Error> {
        let peek = |source| PeekWaiting { source, order: "job_id", start: job_id, count: 1, most: WHOLE };
        let (_, found) = self.peek_waiting(queue, peek(Source::Schedule)).await?;
        if let Some(job) = found.into_iter().next() {
            return self.locate(job).await.map(Some);
        }
        let (_, found) = self.peek_waiting(queue, peek(Source::Line)).await?;
        let Some(mut job) = found.into_iter().next() else { return Ok(None) };
        self.count_before(&mut job).await?;
        Ok(Some(job))
    }

    /// Looks for a job that is not in the schedule in the set of its flow.
    async fn locate(&self, job: FoundJob) -> Result<FoundJob, Error> {
        let (Place::Scheduled(None), Some((flow, name))) = (&job.place, of_fields(&job.fields)) else {
            return Ok(job);
        };
        let key = Self::keys(&job.queue).flow(flow);
        let args = vec![key.clone().into(), job.id.as_str().into()];
        let is_held = !matches!(self.command("ZSCORE", Some(&key), args).await?, Value::Null);
        Ok(if is_held { FoundJob { place: Place::Held { flow, name }, ..job } } else { job })
    }
}

/// Whether a job is about an id: its label, its job id or that of the job that it replays or reports, or one of its traces.
pub(super) fn is_about(fields: &Fields, job_id: &str, id: &str) -> bool {
    /// The fields with the ids of traces.
    const TRACES: [&str; 4] = ["traceparent", "_traceparent", "_history", "headers"];
    let is_trace = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let names_trace = |name: &&str| {
        let value = field(fields, name).map(|value| String::from_utf8_lossy(value).to_ascii_lowercase());
        value.is_some_and(|value| value.contains(&id.to_ascii_lowercase()))
    };
    job_id == id
        || has(fields, "label", id)
        || has(fields, "_replay_of", id)
        || has(fields, "_callback_of", id)
        || is_trace && TRACES.iter().any(names_trace)
}

fn has(fields: &Fields, name: &str, text: &str) -> bool {
    field(fields, name).is_some_and(|value| value == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_about_its_label_its_ids_and_its_traces() {
        const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
        let fields: Fields = [
            ("label", "order-1".to_owned()),
            ("_replay_of", "5-0".to_owned()),
            ("_callback_of", "4-0".to_owned()),
            ("_history", format!(r#"[{{"attempt":1,"trace_id":"{TRACE}"}}]"#)),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
        for id in ["order-1", "5-0", "4-0", "7-0", TRACE, &TRACE.to_uppercase()] {
            assert!(is_about(&fields, "7-0", id), "{id}");
        }
        for id in ["order", "8-0", "attempt", &TRACE[1..]] {
            assert!(!is_about(&fields, "7-0", id), "{id}");
        }
    }
}
