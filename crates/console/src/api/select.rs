//! Selects dead letters, a page at a time.

use std::time::{Duration, Instant};

use postrider_queue::admin::{DeadLetter, DeadPage, ShardName};
use postrider_queue::job::{EntryId, Reason};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::state::Shared;
use crate::view::DeadFilter;

/// How many dead letters one request reads at most; then it answers with what it has found.
const READ_MAX: usize = 20_000;
/// The same for those that read longer than this: a list must come quickly.
const READ_MAX_SLOW: (usize, Duration) = (1_000, Duration::from_millis(40));

/// Which dead letters. All conditions must hold.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Conditions {
    /// Only this queue.
    pub(crate) queue: Option<String>,
    /// Only this reason.
    pub(crate) reason: Option<String>,
    /// Only this label.
    pub(crate) label: Option<String>,
    /// Only this host, on the port of `host:port` if given.
    pub(crate) host: Option<String>,
    /// Only where the last attempt got this status: `404`, `5xx` or `500-503`.
    pub(crate) status: Option<String>,
    /// Only where the URL contains this.
    pub(crate) url_contains: Option<String>,
    /// Only this error, as a summary of dead letters groups them.
    pub(crate) error: Option<String>,
    /// Only what died within this time: `1h`.
    pub(crate) since: Option<String>,
    /// Only what died longer ago than this: `7d`.
    pub(crate) older_than: Option<String>,
    /// At most this many: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
    /// Continue behind another page: `next` of its answer.
    pub(crate) cursor: Option<String>,
}

/// Dead letters, queue by queue, the newest first, and the cursor behind them.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    pub(crate) letters: Vec<DeadLetter>,
    /// The conditions, for the record of a change.
    pub(crate) subject: String,
    pub(crate) next: Option<String>,
    /// How many dead letters were read.
    pub(crate) read: usize,
}

impl Conditions {
    /// Whether a condition selects among dead letters.
    pub(crate) fn select_something(&self) -> bool {
        let texts = [
            &self.queue,
            &self.reason,
            &self.label,
            &self.host,
            &self.status,
            &self.url_contains,
            &self.error,
        ];
        texts.iter().any(|text| text.is_some()) || self.since.is_some() || self.older_than.is_some()
    }

    /// Whether all conditions can be understood.
    pub(crate) fn check(&self, shards: &[ShardName]) -> Result<(), Problem> {
        self.filter(&[], 0)?;
        self.cursor.as_deref().map(|cursor| place(cursor, shards)).transpose()?;
        Ok(())
    }

    fn filter(&self, ids: &[String], now: u64) -> Result<DeadFilter, Problem> {
        let ago = |name: &str, text: &Option<String>| -> Result<Option<u64>, Problem> {
            let Some(text) = text else { return Ok(None) };
            let time: Duration = humantime::parse_duration(text).map_err(|error| {
                Problem::parameter(name, format!("parameter `{name}`: {error}; write it as in 1h"))
            })?;
            Ok(Some(now.saturating_sub(time.as_millis() as u64)))
        };
        let reason = self.reason.as_deref().map(known_reason).transpose()?;
        let status = self.status.as_deref().map(str::parse).transpose();
        Ok(DeadFilter {
            ids: ids.iter().cloned().collect(),
            reason: reason.map(str::to_owned),
            label: self.label.clone(),
            host: self.host.as_ref().map(|host| host.to_ascii_lowercase()),
            status: status.map_err(|error: postrider_queue::job::BadStatuses| {
                Problem::parameter("status", format!("parameter `status`: {error}"))
            })?,
            url_contains: self.url_contains.clone(),
            error: self.error.clone(),
            not_before: ago("since", &self.since)?,
            before: ago("older_than", &self.older_than)?,
        })
    }
}

fn known_reason(text: &str) -> Result<&'static str, Problem> {
    let mut known = Reason::ALL.iter().map(|reason| reason.as_str());
    known.find(|known| *known == text).ok_or_else(|| {
        let all: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        Problem::parameter("reason", format!("parameter `reason`: write one of {}", all.join(", ")))
    })
}

/// Up to `limit` dead letters that fulfil the conditions and have one of the ids, if there are any.
pub(crate) async fn select(
    shared: &Shared,
    conditions: &Conditions,
    ids: &[String],
    limit: usize,
) -> Result<Selected, Problem> {
    let filter = conditions.filter(ids, shared.inspector.now().await?)?;
    let mut shards = shared.shards(conditions.queue.as_deref()).await?;
    let mut before = None;
    if let Some(cursor) = &conditions.cursor {
        let (shard, entry) = place(cursor, &shards)?;
        shards.drain(..shard);
        before = Some(entry);
    }
    let mut selected = Selected { subject: filter.to_string(), ..Selected::default() };
    let began = Instant::now();
    let is_enough =
        |read: usize| read >= READ_MAX || read >= READ_MAX_SLOW.0 && began.elapsed() >= READ_MAX_SLOW.1;
    for shard in &shards {
        loop {
            let most = limit + 1 - selected.letters.len();
            let page = page(shared, shard, before.take(), &filter, most).await?;
            before = page.next;
            selected.read += page.read as usize;
            let is_past = page.next.is_some_and(|next| filter.is_past(next));
            for letter in page.letters.into_iter().filter(|letter| filter.matches(letter)) {
                if selected.letters.len() == limit {
                    selected.next = selected.letters.last().map(|last| cursor(&last.queue, last.entry));
                    return Ok(selected);
                }
                selected.letters.push(letter);
            }
            if is_past {
                before = None;
            }
            let Some(entry) = before else { break };
            if is_enough(selected.read) {
                selected.next = Some(cursor(shard, entry));
                return Ok(selected);
            }
        }
    }
    Ok(selected)
}

/// A page of dead letters: of those only that may match, if Redis can tell.
async fn page(
    shared: &Shared,
    shard: &ShardName,
    before: Option<EntryId>,
    filter: &DeadFilter,
    most: usize,
) -> Result<DeadPage, Problem> {
    if let Some((field, text)) = sought(filter) {
        return Ok(shared.inspector.dead_with(shard, before, (field, &text), most).await?);
    }
    let letters = shared.inspector.dead_before(shard, before).await?;
    Ok(DeadPage { next: letters.last().map(|last| last.entry), read: letters.len() as u64, letters })
}

/// A field, and a text in lower case that it has in all dead letters that match; `None` if there is no such text.
fn sought(filter: &DeadFilter) -> Option<(&'static str, String)> {
    for (field, text) in [("label", &filter.label), ("url", &filter.url_contains)] {
        if let Some(text) = text {
            return Some((field, text.to_ascii_lowercase()));
        }
    }
    let host = filter.host.as_deref()?;
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    // A URL may spell these in other ways.
    let is_odd = host.contains("xn--") || host.ends_with(|last: char| last.is_ascii_digit() || last == ']');
    (!is_odd).then(|| ("url", host.to_owned()))
}

fn cursor(shard: &ShardName, entry: EntryId) -> String {
    format!("{shard}:{entry}")
}

/// The index of the shard, and the entry, that a cursor names.
fn place(cursor: &str, shards: &[ShardName]) -> Result<(usize, EntryId), Problem> {
    let place = cursor.rsplit_once(':').and_then(|(name, entry)| {
        let shard = shards.iter().position(|shard| shard.to_string() == name)?;
        Some((shard, EntryId::parse(entry.as_bytes())?))
    });
    place.ok_or_else(|| Problem::parameter("cursor", "parameter `cursor`: write `next` of the page before"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back() {
        let shard = |number: u32| ShardName { queue: "mail".parse().unwrap(), number };
        let shards = [shard(0), shard(1)];
        let entry = EntryId { millis: 17, sequence: 3 };
        assert_eq!(place(&cursor(&shards[1], entry), &shards).unwrap(), (1, entry));
        for wrong in ["", "mail", "mail:", "mail/7:17-3", "mail:x"] {
            assert!(place(wrong, &shards).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_conditions_are_named() {
        let wrong = |conditions: Conditions, part: &str| {
            let problem = serde_json::to_value(conditions.filter(&[], 0).unwrap_err()).unwrap();
            assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
        };
        wrong(Conditions { since: Some("1".into()), ..Conditions::default() }, "`since`");
        wrong(Conditions { status: Some("2xx".into()), ..Conditions::default() }, "`status`");
        wrong(Conditions { reason: Some("no".into()), ..Conditions::default() }, "write one of");
        assert!(!Conditions::default().select_something());
        assert!(Conditions { host: Some("h".into()), ..Conditions::default() }.select_something());
    }

    #[test]
    fn only_texts_that_every_match_has_are_sought() {
        let host = |host: &str| sought(&DeadFilter { host: Some(host.into()), ..DeadFilter::default() });
        assert_eq!(host("example.org:81"), Some(("url", "example.org".to_owned())));
        for spelled in ["10.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:80", "xn--bcher-kva.example"] {
            assert_eq!(host(spelled), None, "{spelled}");
        }
        let by = DeadFilter { label: Some("A".into()), ..DeadFilter::default() };
        assert_eq!((sought(&by), sought(&DeadFilter::default())), (Some(("label", "a".to_owned())), None));
    }
}
