//! Selects dead letters by ids and conditions, and asks for confirmation.

use std::collections::HashSet;
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use postrider_queue::admin::{DeadLetter, Inspector, ShardName};
use postrider_queue::job::{Reason, Statuses};

use super::super::Usage;
use super::super::render::{host, last_outcome};
use super::super::target::View;
use crate::units::duration;

/// Selects dead letters. All conditions must hold.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Entry ids or job ids of dead letters
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only dead letters with this reason
    #[arg(long, value_parser = reasons(), value_name = "REASON")]
    reason: Option<String>,
    /// Only jobs with this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Only jobs for this host, on the port of HOST:PORT if given
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only jobs whose last attempt got this status: 404, 5xx or 500-503
    #[arg(long, value_name = "STATUS")]
    status: Option<Statuses>,
    /// Only jobs whose URL contains this
    #[arg(long, value_name = "TEXT")]
    url_contains: Option<String>,
    /// Only jobs that died within this time
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Only jobs that died longer ago than this
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    older_than: Option<Duration>,
}

/// The known reasons: a misspelt one would match nothing.
fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(Reason::ALL.map(Reason::as_str))
}

/// [`FilterArgs`] with absolute times by Redis' clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    ids: HashSet<String>,
    reason: Option<String>,
    label: Option<String>,
    host: Option<String>,
    status: Option<Statuses>,
    url_contains: Option<String>,
    /// Unix ms.
    not_before: Option<u64>,
    /// Unix ms.
    before: Option<u64>,
}

impl FilterArgs {
    pub(super) fn at(&self, now: u64) -> Filter {
        let ago = |time: Duration| now.saturating_sub(time.as_millis() as u64);
        Filter {
            ids: self.ids.iter().cloned().collect(),
            reason: self.reason.clone(),
            label: self.label.clone(),
            host: self.host.as_ref().map(|host| host.to_ascii_lowercase()),
            status: self.status.clone(),
            url_contains: self.url_contains.clone(),
            not_before: self.since.map(ago),
            before: self.older_than.map(ago),
        }
    }

    /// The named ids, in their order.
    pub(super) fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Requires a selection: a command without one must not change everything.
    pub(super) fn require(&self, all: bool) -> Result<(), Usage> {
        let selects = !self.ids.is_empty()
            || self.reason.is_some()
            || self.label.is_some()
            || self.host.is_some()
            || self.status.is_some()
            || self.url_contains.is_some()
            || self.since.is_some()
            || self.older_than.is_some();
        match (all, selects) {
            (false, false) => Err(Usage(
                "give IDs, --all, or a condition: --reason, --label, --host, --status, --url-contains, --since or \
                 --older-than"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

impl Filter {
    pub(super) fn matches(&self, letter: &DeadLetter) -> bool {
        let has = |name: &str, ok: &dyn Fn(String) -> bool| letter.text(name).is_some_and(ok);
        (self.ids.is_empty() || self.names(letter))
            && self.reason.as_ref().is_none_or(|reason| has("_reason", &|own| own == *reason))
            && self.label.as_ref().is_none_or(|label| has("label", &|own| own == *label))
            && self.host.as_ref().is_none_or(|wanted| is_for(letter, wanted))
            && self.status.as_ref().is_none_or(|wanted| ended_in(letter, wanted))
            && self.url_contains.as_ref().is_none_or(|part| has("url", &|own| own.contains(part)))
            && self.not_before.is_none_or(|time| letter.entry.millis >= time)
            && self.before.is_none_or(|time| letter.entry.millis < time)
    }

    fn names(&self, letter: &DeadLetter) -> bool {
        self.ids.contains(&letter.job_id) || self.ids.contains(&letter.entry.to_string())
    }

    /// Whether this dead letter, and all before it, died too early.
    fn is_before(&self, letter: &DeadLetter) -> bool {
        self.not_before.is_some_and(|time| letter.entry.millis < time)
    }
}

fn is_for(letter: &DeadLetter, wanted: &str) -> bool {
    host(&letter.fields).is_some_and(|(host, port)| {
        host == wanted || port.is_some_and(|port| format!("{host}:{port}") == wanted)
    })
}

fn ended_in(letter: &DeadLetter, wanted: &Statuses) -> bool {
    let status = last_outcome(&letter.fields).and_then(|outcome| outcome.parse().ok());
    status.is_some_and(|status| wanted.contains(status))
}

/// Calls `take` for each matching dead letter of a queue, newest first, until it breaks.
pub(super) async fn each(
    inspector: &Inspector,
    queue: &ShardName,
    filter: &Filter,
    mut take: impl FnMut(DeadLetter) -> ControlFlow<()>,
) -> Result<(), postrider_queue::Error> {
    let mut before = None;
    loop {
        let page = inspector.dead_before(queue, before).await?;
        let Some(last) = page.last() else { return Ok(()) };
        before = Some(last.entry);
        let is_past = filter.is_before(last);
        for letter in page.into_iter().filter(|letter| filter.matches(letter)) {
            if take(letter).is_break() {
                return Ok(());
            }
        }
        if is_past {
            return Ok(());
        }
    }
}

/// All matching dead letters, queue by queue, oldest first. Jobs that die during the search are left out.
pub(super) async fn select(view: &View, filter: &Filter) -> Result<Vec<DeadLetter>, Box<dyn Error>> {
    let of_queue = async |queue: &ShardName| {
        let mut selected = Vec::new();
        each(&view.inspector, queue, filter, |letter| {
            // The fields are no longer needed, and many would fill the memory.
            selected.push(DeadLetter { fields: vec![], ..letter });
            ControlFlow::Continue(())
        })
        .await?;
        selected.reverse();
        Ok(selected)
    };
    Ok(view.each(of_queue).await?.into_iter().flat_map(|(_, selected)| selected).collect())
}

/// The named ids that no selected dead letter has.
pub(super) fn missing<'a>(ids: &'a [String], letters: &[DeadLetter]) -> Vec<&'a String> {
    let found: HashSet<String> =
        letters.iter().flat_map(|letter| [letter.job_id.clone(), letter.entry.to_string()]).collect();
    ids.iter().filter(|id| !found.contains(*id)).collect()
}

/// Asks on the terminal. Without a terminal, the answer must be on the command line.
pub(super) fn confirm(question: &str, yes: bool) -> Result<bool, Usage> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Usage(format!(
            "{question} Standard input is no terminal to confirm this: give --yes, or --dry-run"
        )));
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_queue::job::EntryId;

    fn letter(fields: &[(&'static str, &'static str)]) -> DeadLetter {
        let standard = [
            ("url", "http://Example.org:81/x"),
            ("label", "a"),
            ("_reason", "attempts"),
            ("_history", r#"…, {"attempt":3,"at":1,"ms":7,"status":503}]"#),
        ];
        let changed = |name: &str| fields.iter().any(|(own, _)| *own == name);
        let rest = standard.iter().filter(|(name, _)| !changed(name));
        DeadLetter {
            is_rejected: false,
            queue: ShardName { queue: "default".parse().unwrap(), number: 0 },
            entry: EntryId { millis: 100, sequence: 0 },
            job_id: "1-0".to_owned(),
            fields: fields
                .iter()
                .chain(rest)
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        }
    }

    fn at(millis: u64) -> DeadLetter {
        DeadLetter { entry: EntryId { millis, sequence: 0 }, ..letter(&[]) }
    }

    #[test]
    fn a_dead_letter_must_match_every_condition() {
        let filter = Filter {
            ids: ["1-0".to_owned()].into(),
            reason: Some("attempts".into()),
            label: Some("a".into()),
            host: Some("example.org".into()),
            status: Some("5xx".parse().unwrap()),
            url_contains: Some("Example".into()),
            not_before: Some(100),
            before: Some(200),
        };
        assert!(filter.matches(&letter(&[])));
        for other in [
            at(99),
            at(200),
            letter(&[("_reason", "expired")]),
            letter(&[("url", "http://other.org/?Example")]),
            letter(&[("url", "http://example.org/x")]),
            letter(&[("label", "b")]),
            letter(&[("_history", r#"[{"attempt":1,"at":1,"ms":7,"error":"connect"}]"#)]),
            DeadLetter { job_id: "2-0".into(), ..letter(&[]) },
        ] {
            assert!(!filter.matches(&other), "{other:?}");
        }
        assert!(Filter::default().matches(&letter(&[])));
        assert!(filter.is_before(&at(99)));
    }

    #[test]
    fn an_id_is_that_of_the_job_or_of_its_entry() {
        let ids = ["1-0", "100-0", "7-0"].map(str::to_owned);
        assert_eq!(missing(&ids, &[letter(&[])]), ["7-0"]);
        let by = |id: &str| Filter { ids: [id.to_owned()].into(), ..Filter::default() }.matches(&letter(&[]));
        assert!(by("1-0") && by("100-0") && !by("7-0"));
        let on = |host: &str| is_for(&letter(&[]), host);
        assert!(on("example.org") && on("example.org:81") && !on("example.org:80") && !on("ample.org"));
    }
}
