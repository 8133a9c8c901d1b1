//! Searches a shard for jobs, a page at a time. Texts are compared inside Redis, and only jobs that were found leave it.

use super::find::is_about;
use super::peek::{CUT, Peek, in_stream};
use super::scan::{Ids, SearchPart, about};
use super::{DeadLetter, FoundJob, Inspector, LoggedJob, ShardName};
use crate::redis::Error;

/// A page of a search.
#[derive(Clone, Debug, Default)]
pub struct SearchPage {
    /// Jobs that were found.
    pub jobs: Vec<FoundJob>,
    /// Dead letters that were found, with whole values.
    pub dead: Vec<DeadLetter>,
    /// Records that were found.
    pub log: Vec<LoggedJob>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
    /// How many entries, jobs or records were read.
    pub read: u64,
}

impl Inspector {
    /// A page of the jobs of a part that are about an id: a label, a job id, also of the job that was replayed, or a trace
    /// id. `behind` is `next` of the page before, or empty. Long values of jobs are truncated.
    ///
    /// # Errors
    /// fred's.
    pub async fn search_page(
        &self,
        queue: &ShardName,
        part: SearchPart,
        behind: &str,
        id: &str,
    ) -> Result<SearchPage, Error> {
        let lower = id.to_ascii_lowercase();
        let own = Self::keys(queue);
        let mut page = SearchPage::default();
        let Ids { ids, next, read } = match part {
            SearchPart::Dead => self.scan(own.dead, "last", behind, &about(&lower)).await?,
            SearchPart::Rejected => self.scan(own.rejected, "last", behind, &about(&lower)).await?,
            SearchPart::Stream => self.scan(own.jobs, "first", behind, &about(&lower)).await?,
            SearchPart::Waiting => self.scan_waiting(own.waiting, behind, &about(&lower)).await?,
            SearchPart::InLine => self.scan_waiting(own.order_waiting, behind, &about(&lower)).await?,
            SearchPart::Log => {
                (page.log, page.next, page.read) = self.log_page(queue, behind, id).await?;
                return Ok(page);
            }
        };
        (page.next, page.read) = (next, read);
        for found in ids {
            match part {
                SearchPart::Waiting | SearchPart::InLine => {
                    page.jobs.extend(self.find_waiting(queue, &found).await?)
                }
                SearchPart::Stream => page.jobs.extend(self.entry(queue, &found).await?),
                _ => {
                    let letters = self.dead_letter(queue, &found).await?;
                    let is_rejected = part == SearchPart::Rejected;
                    page.dead.extend(letters.into_iter().filter(|letter| letter.is_rejected == is_rejected));
                }
            }
        }
        page.jobs.retain(|job| is_about(&job.fields, &job.id, id));
        page.dead.retain(|letter| is_about(&letter.fields, &letter.job_id, id));
        Ok(page)
    }

    /// The job of an entry, with its holder.
    async fn entry(&self, queue: &ShardName, entry: &str) -> Result<Option<FoundJob>, Error> {
        let peek = Peek { most: CUT, ..Peek::one(entry) };
        let found = self.peek(&Self::keys(queue), peek).await?;
        Ok(found.into_iter().next().map(|peeked| in_stream(queue, peeked)))
    }
}
