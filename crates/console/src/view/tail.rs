//! A delivery that has ended, as it is followed live.

use postrider_queue::QueueName;
use postrider_queue::admin::LoggedJob;
use serde::Serialize;
use utoipa::ToSchema;

use super::text::plain;

/// A delivery that has ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TailView {
    /// When it ended, Unix milliseconds.
    pub ended_at: u64,
    /// The queue, and its shard if that is not the first: `mail`, `mail/1`.
    pub queue: String,
    /// The job id.
    pub job_id: String,
    /// The producer's own name for the job.
    pub label: Option<String>,
    /// The host of its URL, and its port if the URL has one.
    pub host: Option<String>,
    /// `succeeded`, `dead` or `cancelled`.
    pub outcome: &'static str,
    /// Why it is dead.
    pub reason: Option<String>,
    /// The status of the last attempt.
    pub status: Option<u16>,
    /// How many attempts were made.
    pub attempts: u32,
    /// How long the last attempt took, milliseconds.
    pub duration_ms: Option<u64>,
    /// The trace of the last attempt.
    pub trace_id: Option<String>,
}

impl TailView {
    /// Of a job.
    pub fn new(job: &LoggedJob) -> Self {
        let record = &job.record;
        let text = |text: &Option<std::borrow::Cow<'_, str>>| {
            text.as_deref().map(|text| plain(text.as_bytes(), 1_000).replace('\n', " "))
        };
        Self {
            ended_at: job.ended_at,
            queue: job.queue.to_string(),
            job_id: plain(record.job_id.as_bytes(), 200).replace('\n', " "),
            label: text(&record.label),
            host: text(&record.host),
            outcome: record.outcome(),
            reason: text(&record.reason),
            status: record.status,
            attempts: record.attempts,
            duration_ms: record.history.last().map(|attempt| attempt.took.as_millis() as u64),
            trace_id: text(&record.trace_id),
        }
    }
}

/// Selects deliveries. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct TailFilter {
    /// The queue, with all its shards.
    pub queue: Option<QueueName>,
    /// The host in lower case, with a port or without.
    pub host: Option<String>,
    /// The first and the last status of the last attempt.
    pub status: Option<(u16, u16)>,
}

impl TailFilter {
    /// Reads status codes from 100 to 599: `404`, `2xx` or `500-503`.
    ///
    /// # Errors
    /// What to write.
    pub fn statuses(text: &str) -> Result<(u16, u16), String> {
        let code = |text: &str| {
            text.parse::<u16>().ok().filter(|code| text.len() == 3 && (100..=599).contains(code))
        };
        let range = match (text.split_once('-'), text.strip_suffix("xx")) {
            (Some((from, to)), _) => code(from).zip(code(to)),
            (None, Some(class)) => code(&format!("{class}00")).map(|from| (from, from + 99)),
            (None, None) => code(text).map(|code| (code, code)),
        };
        range.filter(|(from, to)| from <= to).ok_or_else(|| format!("`{text}`: write 404, 5xx or 500-503"))
    }

    /// Whether all conditions hold.
    pub fn matches(&self, view: &TailView) -> bool {
        let is_of = |queue: &QueueName| view.queue.split('/').next() == Some(queue.as_str());
        let is_for = |wanted: &String| {
            view.host.as_deref().is_some_and(|host| {
                let host = host.to_ascii_lowercase();
                let name =
                    host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
                host == *wanted || name.is_some_and(|(name, _)| name == wanted)
            })
        };
        self.queue.as_ref().is_none_or(is_of)
            && self.host.as_ref().is_none_or(is_for)
            && self
                .status
                .is_none_or(|(from, to)| view.status.is_some_and(|status| (from..=to).contains(&status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(host: &str, status: Option<u16>) -> TailView {
        TailView {
            ended_at: 7,
            queue: "mail/1".to_owned(),
            job_id: "1-0".to_owned(),
            label: None,
            host: Some(host.to_owned()),
            outcome: "succeeded",
            reason: None,
            status,
            attempts: 1,
            duration_ms: Some(3),
            trace_id: None,
        }
    }

    #[test]
    fn a_delivery_must_match_every_condition() {
        let filter = TailFilter {
            queue: Some("mail".parse().unwrap()),
            host: Some("h.test".to_owned()),
            status: Some((200, 299)),
        };
        assert!(filter.matches(&view("h.test", Some(200))) && filter.matches(&view("H.test:81", Some(299))));
        assert!(!filter.matches(&view("x.h.test", Some(200))) && !filter.matches(&view("h.test", None)));
        assert!(!filter.matches(&view("h.test", Some(300))));
        assert!(!filter.matches(&TailView { queue: "mail2".to_owned(), ..view("h.test", Some(200)) }));
        let filter = TailFilter { host: Some("h.test:81".to_owned()), ..TailFilter::default() };
        assert!(filter.matches(&view("h.test:81", None)) && !filter.matches(&view("h.test:80", None)));
        assert!(TailFilter::default().matches(&view("", None)));
    }

    #[test]
    fn statuses_are_read() {
        let read = TailFilter::statuses;
        assert_eq!(
            [read("404"), read("2xx"), read("500-503")],
            [Ok((404, 404)), Ok((200, 299)), Ok((500, 503))]
        );
        for wrong in ["", "9xx", "40", "503-500", "abc", "2xx-3xx"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
