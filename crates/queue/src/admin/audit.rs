//! Records changes by hand: who changed what. In a stream of Redis and in the log.

use fred::types::Value;
use tracing::{info, warn};

use super::{Inspector, array};
use crate::job::{EntryId, Fields};
use crate::redis::{Error, Keys, entry_id, fields, number, unexpected};

/// How many records are kept, about.
const RECORDS_MAX: &str = "10000";
/// The bytes of a record: who, where, and what.
const CALLER_BYTES_MAX: usize = 128;
const QUEUE_BYTES_MAX: usize = 128;
const SUBJECT_BYTES_MAX: usize = 512;

/// A change by hand, that was made.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Who made it: the name of a token, `local`, or `cli` and the name of the user.
    pub caller: &'a str,
    /// What was done: `cancel`, `run_now`, `replay`, `purge`, `pause`, `resume`, `apply` or `remove`.
    pub change: &'static str,
    /// The queue, if it was one.
    pub queue: Option<&'a str>,
    /// The job id, which jobs were selected, or what is paused and until when; without secrets.
    pub subject: &'a str,
    /// How many jobs were changed.
    pub jobs: u64,
}

/// A change that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its id, which contains the time.
    pub id: EntryId,
    /// As in [`Change`].
    pub caller: String,
    /// As in [`Change`].
    pub change: String,
    /// As in [`Change`].
    pub queue: Option<String>,
    /// As in [`Change`].
    pub subject: String,
    /// As in [`Change`].
    pub jobs: u64,
}

impl Inspector {
    /// Records a change that was made. Redis may refuse the record, which is then only in the log.
    pub async fn record(&self, change: &Change<'_>) {
        let Change { caller, change, queue, subject, jobs } = *change;
        let (caller, subject) = (cut(caller, CALLER_BYTES_MAX), cut(subject, SUBJECT_BYTES_MAX));
        let queue = queue.map(|queue| cut(queue, QUEUE_BYTES_MAX));
        info!(caller, change, queue, subject, jobs, "changed by hand");
        let key = Keys::audit();
        let mut args: Vec<Value> = vec![key.clone().into()];
        args.extend(["MAXLEN", "~", RECORDS_MAX, "*", "caller", caller, "change", change].map(Value::from));
        args.extend(queue.into_iter().flat_map(|queue| [Value::from("queue"), queue.into()]));
        args.extend(["subject".into(), subject.into(), "jobs".into(), number(jobs)]);
        if let Err(error) = self.command("XADD", Some(&key), args).await {
            let error = error.details();
            warn!(caller, change, error, "Redis refuses the record of a change by hand; the change is made");
        }
    }

    /// The changes that were recorded before one, or all; the newest first, at most `count`.
    ///
    /// # Errors
    /// fred's.
    pub async fn changes(&self, before: Option<EntryId>, count: usize) -> Result<Vec<ChangeRecord>, Error> {
        let key = Keys::audit();
        let Some(to) = super::end_before(before) else { return Ok(vec![]) };
        let args = vec![key.clone().into(), to.into(), "-".into(), "COUNT".into(), number(count as u64)];
        let rows = array(self.command("XREVRANGE", Some(&key), args).await?)?;
        rows.into_iter().map(read).collect()
    }
}

fn read(row: Value) -> Result<ChangeRecord, Error> {
    let [id, own] = <[Value; 2]>::try_from(array(row)?).map_err(|_| unexpected())?;
    let (id, own): (EntryId, Fields) = (entry_id(&id)?, fields(own)?);
    let text = |name: &str| super::field(&own, name).map(|text| String::from_utf8_lossy(text).into_owned());
    Ok(ChangeRecord {
        id,
        caller: text("caller").unwrap_or_default(),
        change: text("change").unwrap_or_default(),
        queue: text("queue"),
        subject: text("subject").unwrap_or_default(),
        jobs: text("jobs").and_then(|jobs| jobs.parse().ok()).unwrap_or(0),
    })
}

/// The text, cut after that many bytes at most.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_cut_between_characters() {
        assert_eq!(cut("short", 9), "short");
        assert_eq!(cut("éé", 3), "é");
    }

    #[test]
    fn a_record_may_lack_fields() {
        let row = |fields: Vec<&str>| {
            let fields = fields.into_iter().map(Value::from).collect();
            Value::Array(vec!["7-1".into(), Value::Array(fields)])
        };
        let record = read(row(vec!["caller", "ci", "queue", "mail", "jobs", "3", "new", "x"])).unwrap();
        assert_eq!((record.id.millis, &*record.caller, record.jobs), (7, "ci", 3));
        assert_eq!((record.queue.as_deref(), &*record.subject), (Some("mail"), ""));
        assert_eq!(read(row(vec![])).unwrap().jobs, 0);
        assert!(read(Value::Array(vec![])).is_err());
    }
}
