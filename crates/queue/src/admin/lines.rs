//! The lines of order keys: which are stopped, and the jobs of one.

use fred::types::{Key, Value};
use telemetry::Context;

use super::peek::{CUT, Peek, PeekWaiting, Source};
use super::scan::Ids;
use super::{FoundJob, Inspector, Place, ShardName, array, field, text};
use crate::job::{LineId, LinePlace};
use crate::redis::Error;
use crate::work::StopNote;

/// How many stopped lines a shard shows at most.
const STOPPED_MAX: usize = 1_000;
/// How many entries of the stream a list of an order key reads at most.
const SEARCHED_MAX: u64 = 1_000_000;

/// A line that a dead letter stops.
#[derive(Clone, Debug)]
pub struct StoppedLine {
    /// The queue.
    pub queue: ShardName,
    /// The place of the job that died.
    pub place: LinePlace,
    /// What is kept of it.
    pub note: StopNote,
    /// How many jobs have places behind it: those that were delivered to a worker once.
    pub behind: u64,
    /// Whether the dead letter was deleted since, so that nothing can be replayed: it was beyond the bounds of the dead letters, or
    /// somebody deleted it in Redis.
    pub is_deleted: bool,
}

impl StoppedLine {
    /// What a record of a change names: `order: KEY`, since a queue and a flow are resumed, too.
    pub fn subject(&self) -> String {
        format!("order: {}", self.note.order)
    }

    /// How many jobs a record counts when it is resumed: those behind it, and 1 if there is none.
    pub fn counted(&self) -> u64 {
        self.behind.max(1)
    }
}

/// How many jobs of a shard wait for their turns, and how many dead letters stop lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Jobs that wait for their turns.
    pub waiting: u64,
    /// Dead letters that stop lines.
    pub stopped: u64,
}

impl Inspector {
    /// Counts the jobs that wait for their turns.
    ///
    /// # Errors
    /// fred's.
    pub async fn line_counts(&self, queue: &ShardName) -> Result<LineCounts, Error> {
        let own = Self::keys(queue);
        let waiting = self.line_count("HLEN", &own.order_waiting, vec![]).await?;
        Ok(LineCounts { waiting, stopped: self.line_count("HLEN", &own.order_stopped, vec![]).await? })
    }

    /// The dead letter that stops the line of a job, if one does.
    ///
    /// # Errors
    /// fred's.
    pub async fn stopped_line_of(&self, job: &FoundJob) -> Result<Option<StoppedLine>, Error> {
        let Some(place) = LinePlace::of(&job.fields, job.id.as_bytes()) else { return Ok(None) };
        let own = Self::keys(&job.queue);
        let args: Vec<Value> = vec![
            own.order.clone().into(),
            format!("[{}", place.line()).into(),
            format!("({}~", place.line()).into(),
            "LIMIT".into(),
            0.into(),
            1.into(),
        ];
        let first = array(self.command("ZRANGEBYLEX", Some(&own.order), args).await?)?;
        let Some(first) = first.first().map(text).transpose()? else { return Ok(None) };
        let args = vec![own.order_stopped.clone().into(), first.as_str().into()];
        let note = self.command("HGET", Some(&own.order_stopped), args).await?;
        let note = note.as_string().and_then(|note| serde_json::from_str(&note).ok());
        match LinePlace::parse(&first).zip(note) {
            Some((place, note)) => self.stopped_line(&job.queue, place, note).await.map(Some),
            None => Ok(None),
        }
    }

    /// What else is known of a line that a dead letter stops.
    async fn stopped_line(
        &self,
        queue: &ShardName,
        place: LinePlace,
        note: StopNote,
    ) -> Result<StoppedLine, Error> {
        let own = Self::keys(queue);
        let (from, to) = (format!("({}", place.as_str()), format!("({}~", place.line()));
        let behind = self.line_count("ZLEXCOUNT", &own.order, vec![from.into(), to.into()]).await?;
        let mut is_deleted = note.entry.is_some();
        for stream in [own.dead, own.rejected] {
            if let Some(entry) = note.entry.as_deref().filter(|_| is_deleted) {
                let peek = Peek { group: "", most: CUT, ..Peek::one(entry) };
                is_deleted = self.peek_at(stream, peek).await?.is_empty();
            }
        }
        Ok(StoppedLine { queue: queue.clone(), place, note, behind, is_deleted })
    }

    async fn line_count(&self, command: &'static str, key: &Key, more: Vec<Value>) -> Result<u64, Error> {
        let args = [vec![key.clone().into()], more].concat();
        Ok(self.command(command, Some(key), args).await?.as_u64().unwrap_or(0))
    }

    /// The lines that dead letters stop, the first stopped one first: up to 1,000. With an order key, only those of this key.
    ///
    /// # Errors
    /// fred's.
    pub async fn stopped_lines(
        &self,
        queue: &ShardName,
        key: Option<&str>,
    ) -> Result<Vec<StoppedLine>, Error> {
        let own = Self::keys(queue);
        let (pattern, count) = match key {
            // A line has no character that a pattern gives a meaning.
            Some(key) => (format!("{}*", LineId::of(key.as_bytes())), 1_000),
            None => ("*".to_owned(), 100),
        };
        let (mut cursor, mut found) = ("0".to_owned(), Vec::<(LinePlace, StopNote)>::new());
        loop {
            let mut args: Vec<Value> = vec![own.order_stopped.clone().into(), cursor.as_str().into()];
            args.extend(["MATCH".into(), pattern.as_str().into(), "COUNT".into(), count.into()]);
            let reply = array(self.command("HSCAN", Some(&own.order_stopped), args).await?)?;
            cursor = reply.first().map(text).transpose()?.unwrap_or_default();
            let pairs = reply.into_iter().nth(1).map(array).transpose()?.unwrap_or_default();
            for pair in pairs.chunks_exact(2) {
                let (place, note) = (text(&pair[0])?, text(&pair[1])?);
                found.extend(LinePlace::parse(&place).zip(serde_json::from_str(&note).ok()));
            }
            if cursor == "0" || cursor.is_empty() || found.len() >= STOPPED_MAX {
                break;
            }
        }
        // HSCAN may reply a field twice.
        found.sort_by_key(|(place, note)| (note.at, place.clone()));
        found.dedup_by(|(one, _), (other, _)| one == other);
        found.truncate(STOPPED_MAX);
        let mut lines = vec![];
        for (place, note) in found {
            lines.push(self.stopped_line(queue, place, note).await?);
        }
        Ok(lines)
    }

    /// Lets the jobs behind dead letters go. Returns how many of these stopped their lines.
    ///
    /// # Errors
    /// fred's.
    pub async fn resume_lines(&self, queue: &ShardName, places: &[LinePlace]) -> Result<u64, Error> {
        let own = Self::keys(queue);
        let keys = vec![own.jobs, own.order, own.order_waiting, own.order_stopped];
        let args = places.iter().map(|place| place.as_str().into()).collect();
        let reply = self.scripts.resume_line.call(&self.redis, &Context::none(), keys, args).await?;
        Ok(reply.as_u64().unwrap_or(0))
    }

    /// Up to `limit` jobs of an order key in a shard: first those that have places in its line, in their order, then
    /// those that no worker has seen yet. Long values are truncated.
    ///
    /// # Errors
    /// fred's.
    pub async fn line(&self, queue: &ShardName, key: &str, limit: usize) -> Result<Vec<FoundJob>, Error> {
        let (own, line) = (Self::keys(queue), LineId::of(key.as_bytes()));
        let args: Vec<Value> = vec![
            own.order.clone().into(),
            format!("[{line}").into(),
            format!("({line}~").into(),
            "LIMIT".into(),
            0.into(),
            (limit as i64).into(),
        ];
        let mut jobs: Vec<FoundJob> = Vec::new();
        for place in array(self.command("ZRANGEBYLEX", Some(&own.order), args).await?)? {
            let Some(place) = LinePlace::parse(&text(&place)?) else { continue };
            jobs.extend(self.look_up(queue, &place.job_id()).await?);
        }
        let (mut behind, mut read) = (String::new(), 0);
        while jobs.len() < limit && read < SEARCHED_MAX {
            let lower = key.to_ascii_lowercase();
            let page = self.scan(own.jobs.clone(), "first", &behind, &[("order", lower.as_str())]).await?;
            let Ids { ids, next, read: own_read } = page;
            read += own_read;
            for id in ids {
                let found = self.look_up(queue, &id).await?;
                let is_new = |job: &FoundJob| jobs.iter().all(|known| known.id != job.id);
                let new: Vec<_> =
                    found.into_iter().filter(|job| is_of(job, key)).filter(|job| is_new(job)).collect();
                jobs.extend(new);
            }
            let Some(next) = next else { break };
            behind = next;
        }
        jobs.retain(|job| is_of(job, key));
        jobs.truncate(limit);
        Ok(jobs)
    }

    /// Up to `most` jobs that wait for their turns, in no order; long values are truncated.
    pub(super) async fn in_line(&self, queue: &ShardName, most: usize) -> Result<Vec<FoundJob>, Error> {
        let (mut cursor, mut jobs) = ("0".to_owned(), Vec::new());
        while jobs.len() < most {
            let peek =
                PeekWaiting { source: Source::Line, order: "scan", start: &cursor, count: 100, most: CUT };
            let (next, page) = self.peek_waiting(queue, peek).await?;
            jobs.extend(page);
            cursor = next;
            if cursor == "0" {
                break;
            }
        }
        jobs.truncate(most);
        for job in &mut jobs {
            self.count_before(job).await?;
        }
        Ok(jobs)
    }

    /// Learns how many jobs are before one that waits for its turn.
    pub(super) async fn count_before(&self, job: &mut FoundJob) -> Result<(), Error> {
        let Some(place) = LinePlace::of(&job.fields, job.id.as_bytes()) else { return Ok(()) };
        if let Place::InLine { before, .. } = &mut job.place {
            let order = Self::keys(&job.queue).order;
            let (from, to) = (format!("[{}", place.line()), format!("({}", place.as_str()));
            *before = self.line_count("ZLEXCOUNT", &order, vec![from.into(), to.into()]).await?;
        }
        Ok(())
    }
}

fn is_of(job: &FoundJob, key: &str) -> bool {
    field(&job.fields, "order").is_some_and(|own| own.as_ref() == key.as_bytes())
}
