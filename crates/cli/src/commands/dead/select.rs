//! Selects dead letters by ids and conditions, and asks for confirmation.

use std::collections::HashSet;
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use postrider_console::view::DeadFilter;
use postrider_queue::admin::{DeadLetter, Inspector, ShardName};
use postrider_queue::job::{Reason, Statuses};

use super::super::Usage;
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
    /// Only jobs with this error, as `postrider dead summary` prints it
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
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

impl FilterArgs {
    pub(super) fn at(&self, now: u64) -> DeadFilter {
        let ago = |time: Duration| now.saturating_sub(time.as_millis() as u64);
        DeadFilter {
            ids: self.ids.iter().cloned().collect(),
            reason: self.reason.clone(),
            label: self.label.clone(),
            host: self.host.as_ref().map(|host| host.to_ascii_lowercase()),
            status: self.status.clone(),
            url_contains: self.url_contains.clone(),
            error: self.error.clone(),
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
            || self.error.is_some()
            || self.since.is_some()
            || self.older_than.is_some();
        match (all, selects) {
            (false, false) => Err(Usage(
                "give IDs, --all, or a condition: --reason, --label, --host, --status, --url-contains, --error, \
                 --since or --older-than"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// Calls `take` for each matching dead letter of a queue, newest first, until it breaks.
pub(super) async fn each(
    inspector: &Inspector,
    queue: &ShardName,
    filter: &DeadFilter,
    mut take: impl FnMut(DeadLetter) -> ControlFlow<()>,
) -> Result<(), postrider_queue::Error> {
    let mut before = None;
    loop {
        let page = inspector.dead_before(queue, before).await?;
        let Some(last) = page.last() else { return Ok(()) };
        before = Some(last.entry);
        let is_past = filter.is_past(last.entry);
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
pub(super) async fn select(view: &View, filter: &DeadFilter) -> Result<Vec<DeadLetter>, Box<dyn Error>> {
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

    #[test]
    fn an_id_that_no_dead_letter_has_is_missing() {
        let letter = DeadLetter {
            is_rejected: false,
            queue: ShardName { queue: "default".parse().unwrap(), number: 0 },
            entry: EntryId { millis: 100, sequence: 0 },
            job_id: "1-0".to_owned(),
            place: None,
            fields: vec![],
        };
        let ids = ["1-0", "100-0", "7-0"].map(str::to_owned);
        assert_eq!(missing(&ids, &[letter]), ["7-0"]);
    }
}
