//! Searches for jobs by job id, label or trace id: for a while, and then on from there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use postrider_queue::JobResult;
use postrider_queue::admin::{SearchPage, SearchPart, ShardName, is_of_wrong_type};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::Shared;
use crate::view::{DeadView, JobView, LogView, why_waiting};

/// How long a search reads before it answers, and how long one that continues.
const TIMES: [Duration; 2] = [Duration::from_millis(700), Duration::from_secs(3)];
/// It does not stop before it has read as much as this.
const READ_MIN: u64 = 2_000;
/// How many jobs one answer has, about.
const FOUND_MAX: usize = 100;

/// All that is known of a job.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Found {
    /// Live jobs.
    pub(crate) jobs: Vec<JobView>,
    /// Dead letters.
    pub(crate) dead: Vec<DeadView>,
    /// Results that are kept.
    pub(crate) results: Vec<FoundResult>,
    /// Jobs that have ended, in the delivery logs of queues that keep one.
    pub(crate) log: Vec<LogView>,
    /// Whether there may be more: `next` continues, or something cannot be read.
    pub(crate) incomplete: bool,
    /// How far the search has come, if it has not read everything.
    pub(crate) next: Option<Next>,
}

impl Found {
    pub(crate) fn count(&self) -> usize {
        self.jobs.len() + self.dead.len() + self.log.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.dead.is_empty() && self.results.is_empty() && self.log.is_empty()
    }
}

/// A result.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundResult {
    /// The queue.
    pub(crate) queue: String,
    /// The job id.
    pub(crate) job_id: String,
    /// The result.
    #[schema(value_type = Object)]
    pub(crate) result: JobResult,
}

/// How far a search has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Next {
    /// Continues the search.
    pub(crate) cursor: String,
    /// What it reads: `dead letters`, `rejected entries`, `delivery log`, `waiting jobs` or `ready jobs`.
    pub(crate) part: &'static str,
    /// The queue, and its shard if that is not the first: `mail`, `mail/1`.
    pub(crate) queue: String,
    /// How many of these it has read.
    pub(crate) read: u64,
    /// How many there are, if that is known.
    pub(crate) of: Option<u64>,
}

/// Where a search is: all shards of a part, then the next part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    part: usize,
    shard: usize,
    /// The entry, or the cursor, behind which it goes on; empty at the beginning.
    behind: String,
    /// How many of this part of this shard it has read.
    read: u64,
}

fn name(part: SearchPart) -> &'static str {
    match part {
        SearchPart::Dead => "dead letters",
        SearchPart::Rejected => "rejected entries",
        SearchPart::Log => "delivery log",
        SearchPart::Waiting => "waiting jobs",
        SearchPart::InLine => "jobs that wait for their turns",
        SearchPart::Stream => "ready jobs",
    }
}

impl Place {
    fn parse(text: &str, shards: &[ShardName]) -> Result<Self, Problem> {
        let parts: Vec<&str> = text.split(':').collect();
        let known = |part: &str| part.parse().ok().filter(|part| *part < SearchPart::ALL.len());
        let place = match parts[..] {
            [part, shard, behind, read] => known(part).zip(read.parse().ok()).and_then(|(part, read)| {
                let shard = shards.iter().position(|own| own.to_string() == shard)?;
                let is_place = behind.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
                is_place.then(|| Self { part, shard, behind: behind.to_owned(), read })
            }),
            _ => None,
        };
        place.ok_or_else(|| {
            Problem::parameter("cursor", "parameter `cursor`: write `next.cursor` of the answer before")
        })
    }

    fn text(&self, shard: &ShardName) -> String {
        format!("{}:{shard}:{}:{}", self.part, self.behind, self.read)
    }

    /// The place behind a page.
    fn after(self, next: Option<String>, read: u64) -> Self {
        match next {
            Some(behind) => Self { behind, read: self.read + read, ..self },
            None => Self { shard: self.shard + 1, behind: String::new(), read: 0, ..self },
        }
    }
}

/// All that is known of an id: a job id, a label or a trace id. With a cursor, what a search finds behind it.
pub(crate) async fn look_up(
    shared: &Shared,
    id: &str,
    queue: Option<&str>,
    reveal: bool,
    cursor: Option<&str>,
) -> Result<Found, Problem> {
    let began = Instant::now();
    let shards = shared.shards(queue).await?;
    let now = shared.inspector.now().await?;
    let mut search =
        Search { shared, now, reveal, ids: BTreeSet::from([id.to_owned()]), found: Found::default() };
    let (mut place, mut read) = (Place::default(), 0);
    match cursor {
        Some(cursor) => place = Place::parse(cursor, &shards)?,
        None => search.known(&shards, id).await?,
    }
    let end = began + TIMES[usize::from(cursor.is_some())];
    while let Some(part) = SearchPart::ALL.get(place.part) {
        let Some(shard) = shards.get(place.shard) else {
            place = Place { part: place.part + 1, ..Place::default() };
            continue;
        };
        let is_late = read >= READ_MIN && Instant::now() >= end;
        if is_late || search.found.count() >= FOUND_MAX {
            search.stop(&place, *part, shard).await?;
            break;
        }
        match shared.inspector.search_page(shard, *part, &place.behind, id).await {
            Ok(page) => {
                read += page.read;
                place = place.after(page.next.clone(), page.read);
                search.add(page).await?;
            }
            // A key of a wrong type hides nothing else.
            Err(error) if is_of_wrong_type(&error) => {
                search.found.incomplete = true;
                place = place.after(None, 0);
            }
            Err(error) => return Err(error.into()),
        }
    }
    search.results(&shards).await?;
    Ok(search.found)
}

struct Search<'a> {
    shared: &'a Shared,
    now: u64,
    reveal: bool,
    /// The ids of the jobs that were found.
    ids: BTreeSet<String>,
    found: Found,
}

impl Search<'_> {
    /// What is found without a search.
    async fn known(&mut self, shards: &[ShardName], id: &str) -> Result<(), Problem> {
        for shard in shards {
            let jobs = self.shared.inspector.look_up(shard, id).await?;
            let dead = self.shared.inspector.dead_letter_of(shard, id).await?;
            self.add(SearchPage { jobs, dead, ..SearchPage::default() }).await?;
        }
        Ok(())
    }

    async fn add(&mut self, page: SearchPage) -> Result<(), Problem> {
        let inspector = &self.shared.inspector;
        for job in page.jobs {
            let whole = inspector.whole(&job).await?.unwrap_or(job);
            let queue = whole.queue.to_string();
            // It was looked up before.
            if !self
                .found
                .jobs
                .iter()
                .any(|known| known.summary.job_id == whole.id && known.summary.queue == queue)
            {
                self.ids.insert(whole.id.clone());
                let why = why_waiting(inspector, &whole, self.now).await?;
                self.found.jobs.push(JobView::whole(&whole, why, self.reveal));
            }
        }
        for letter in &page.dead {
            let entry = letter.entry.to_string();
            let queue = letter.queue.to_string();
            if !self.found.dead.iter().any(|known| known.entry == entry && known.summary.queue == queue) {
                self.ids.insert(letter.job_id.clone());
                self.found.dead.push(DeadView::whole(letter, self.reveal));
            }
        }
        self.found.log.extend(page.log.iter().map(LogView::new));
        Ok(())
    }

    async fn stop(&mut self, place: &Place, part: SearchPart, shard: &ShardName) -> Result<(), Problem> {
        let survey = self.shared.inspector.survey(shard, 0).await?;
        let of = match part {
            SearchPart::Dead => Some(survey.dead),
            SearchPart::Rejected => Some(survey.rejected),
            SearchPart::Log => None,
            SearchPart::Waiting => Some(survey.waiting),
            SearchPart::InLine => Some(survey.lines.waiting),
            SearchPart::Stream => Some(survey.ready + survey.in_flight),
        };
        let (cursor, queue, read) = (place.text(shard), shard.to_string(), place.read);
        self.found.next = Some(Next { cursor, part: name(part), queue, read, of });
        self.found.incomplete = true;
        Ok(())
    }

    /// The kept results of all jobs that were found.
    async fn results(&mut self, shards: &[ShardName]) -> Result<(), Problem> {
        for shard in shards {
            for job_id in &self.ids {
                if let Some(result) = self.shared.inspector.result(shard, job_id).await? {
                    let queue = shard.to_string();
                    self.found.results.push(FoundResult { queue, job_id: job_id.clone(), result });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let shard = |number: u32| ShardName { queue: "mail".parse().unwrap(), number };
        let shards = [shard(0), shard(1)];
        let place = Place { part: 4, shard: 1, behind: "17-3".to_owned(), read: 200 };
        assert_eq!(Place::parse(&place.text(&shards[1]), &shards).unwrap(), place);
        let begin = Place { part: 1, ..Place::default() };
        assert_eq!(Place::parse(&begin.text(&shards[0]), &shards).unwrap(), begin);
        for wrong in ["", "4", "6:mail::0", "0:other::0", "0:mail:x:0", "0:mail:1-0:-1", "0:mail:1-0:1:1"] {
            assert!(Place::parse(wrong, &shards).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_search_goes_through_all_shards_of_a_part() {
        let first = Place::default().after(Some("9-0".to_owned()), 200);
        assert_eq!(first, Place { behind: "9-0".to_owned(), read: 200, ..Place::default() });
        assert_eq!(first.after(None, 7), Place { shard: 1, ..Place::default() });
    }
}
