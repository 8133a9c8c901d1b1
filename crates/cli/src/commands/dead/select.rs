//! Selects dead letters, and asks for confirmation.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use postrider_queue::admin::DeadLetter;
use postrider_queue::job::Reason;

use super::super::Usage;
use super::super::target::View;
use crate::units::duration;

/// Selects dead letters.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Only dead letters with this reason
    #[arg(long, value_parser = reasons(), value_name = "REASON")]
    reason: Option<String>,
    /// Only jobs with this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Only jobs whose URL contains this
    #[arg(long, value_name = "TEXT")]
    url_contains: Option<String>,
    /// Only jobs that died within this time
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    since: Option<Duration>,
}

/// The known reasons: a misspelt one would match nothing.
pub(super) fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(Reason::ALL.map(Reason::as_str))
}

/// [`FilterArgs`] with absolute times by Redis' clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) reason: Option<String>,
    pub(super) label: Option<String>,
    pub(super) url_contains: Option<String>,
    /// Unix ms.
    pub(super) not_before: Option<u64>,
    /// Unix ms.
    pub(super) before: Option<u64>,
}

impl FilterArgs {
    pub(super) fn at(&self, now: u64) -> Filter {
        Filter {
            reason: self.reason.clone(),
            label: self.label.clone(),
            url_contains: self.url_contains.clone(),
            not_before: self.since.map(|time| now.saturating_sub(time.as_millis() as u64)),
            before: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reason.is_none() && self.label.is_none() && self.url_contains.is_none() && self.since.is_none()
    }
}

impl Filter {
    pub(super) fn matches(&self, letter: &DeadLetter) -> bool {
        let has = |name: &str, ok: &dyn Fn(String) -> bool| letter.text(name).is_some_and(ok);
        self.reason.as_ref().is_none_or(|reason| has("_reason", &|own| own == *reason))
            && self.label.as_ref().is_none_or(|label| has("label", &|own| own == *label))
            && self.url_contains.as_ref().is_none_or(|part| has("url", &|own| own.contains(part)))
            && self.not_before.is_none_or(|time| letter.entry.millis >= time)
            && self.before.is_none_or(|time| letter.entry.millis < time)
    }

    /// Whether this dead letter, and all before it, died too early.
    pub(super) fn is_before(&self, letter: &DeadLetter) -> bool {
        self.not_before.is_some_and(|time| letter.entry.millis < time)
    }
}

/// All matching dead letters, queue by queue. Jobs that die during the search are left out.
pub(super) async fn select(view: &View, filter: &Filter) -> Result<Vec<DeadLetter>, Box<dyn Error>> {
    let mut selected = Vec::new();
    for queue in &view.queues {
        let Some(last) = view.inspector.last_dead(queue).await? else { continue };
        let mut after = None;
        loop {
            let page = view.inspector.dead_after(queue, after, last).await?;
            let Some(reached) = page.last() else { break };
            after = Some(reached.entry);
            // The fields are no longer needed, and many would fill the memory.
            let matching = page.into_iter().filter(|letter| filter.matches(letter));
            selected.extend(matching.map(|letter| DeadLetter { fields: vec![], ..letter }));
            if after == Some(last) {
                break;
            }
        }
    }
    Ok(selected)
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
    use postrider_queue::admin::Shard;
    use postrider_queue::job::EntryId;

    fn letter(millis: u64, reason: &'static str, url: &'static str, label: &'static str) -> DeadLetter {
        DeadLetter {
            queue: Shard { queue: "default".parse().unwrap(), number: 0 },
            entry: EntryId { millis, sequence: 0 },
            job_id: "1-0".to_owned(),
            fields: vec![
                ("url".into(), url.into()),
                ("label".into(), label.into()),
                ("_reason".into(), reason.into()),
            ],
        }
    }

    #[test]
    fn a_dead_letter_must_match_every_condition() {
        let filter = Filter {
            reason: Some("attempts".into()),
            label: Some("a".into()),
            url_contains: Some("example".into()),
            not_before: Some(100),
            before: Some(200),
        };
        assert!(filter.matches(&letter(100, "attempts", "http://example.org/", "a")));
        for other in [
            letter(99, "attempts", "http://example.org/", "a"),
            letter(200, "attempts", "http://example.org/", "a"),
            letter(100, "expired", "http://example.org/", "a"),
            letter(100, "attempts", "http://other.org/", "a"),
            letter(100, "attempts", "http://example.org/", "b"),
        ] {
            assert!(!filter.matches(&other), "{other:?}");
        }
        assert!(Filter::default().matches(&letter(0, "", "", "")));
        assert!(filter.is_before(&letter(99, "", "", "")));
    }
}
