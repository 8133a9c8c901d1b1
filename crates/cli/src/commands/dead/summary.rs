//! `postrider dead summary`

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postrider_console::view::{brief, dead_error, host, last_outcome, line, time};
use postrider_queue::admin::DeadLetter;
use serde_json::{Value, json};
use telemetry::Telemetry;

use super::super::listing::print_noted;
use super::super::target::LookArgs;
use super::select::{FilterArgs, each};

/// Characters of an error by which dead letters are grouped.
const ERROR_MAX: usize = 200;
/// Groups that are counted apart; further dead letters are counted together.
const GROUPS_MAX: usize = 10_000;

/// Count dead letters by reason, host, status and error, most frequent first
#[derive(Debug, Args)]
pub(super) struct SummaryArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    look: LookArgs,
    /// At most this many groups
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object per line, one for each group
    #[arg(long)]
    json: bool,
}

/// What the dead letters of a group have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Kind {
    reason: String,
    host: String,
    /// The last attempt's status, or why it had none.
    status: String,
    error: String,
}

/// A group: how many, and when the first and the last died, Unix ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    count: u64,
    first: u64,
    last: u64,
}

impl SummaryArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let now = view.inspector.now().await?;
        let filter = self.filter.at(now);
        let groups = RefCell::new(HashMap::new());
        let count = async |queue: &_| {
            each(&view.inspector, queue, &filter, |letter| {
                add(&mut groups.borrow_mut(), &letter);
                ControlFlow::Continue(())
            })
            .await
        };
        view.each(count).await?;
        view.inspector.close().await;
        let mut groups: Vec<(Kind, Group)> = groups.into_inner().into_iter().collect();
        groups.sort_by_key(|(_, group)| (Reverse(group.count), Reverse(group.last)));
        let more = groups.len().saturating_sub(self.limit as usize);
        groups.truncate(self.limit as usize);
        if self.json {
            groups.iter().for_each(|(kind, group)| print_line!("{}", json_of(kind, *group)));
        } else {
            print(&groups, now);
        }
        if more > 0 {
            eprintln!("note: there are {more} more groups; --limit shows them");
        }
        Ok(view.code())
    }
}

fn add(groups: &mut HashMap<Kind, Group>, letter: &DeadLetter) {
    let mut kind = kind(letter);
    if groups.len() >= GROUPS_MAX && !groups.contains_key(&kind) {
        kind = Kind { error: "(other)".to_owned(), ..Kind::default() };
    }
    let died = letter.entry.millis;
    let group = groups.entry(kind).or_insert(Group { count: 0, first: died, last: died });
    *group = Group { count: group.count + 1, first: group.first.min(died), last: group.last.max(died) };
}

fn kind(letter: &DeadLetter) -> Kind {
    let fields = &letter.fields;
    let host = host(fields).map(|(host, port)| port.map_or(host.clone(), |port| format!("{host}:{port}")));
    Kind {
        reason: line(fields, "_reason", 20),
        host: host.unwrap_or_default(),
        status: last_outcome(fields).unwrap_or_default(),
        error: dead_error(fields).chars().take(ERROR_MAX).collect(),
    }
}

fn print(groups: &[(Kind, Group)], now: u64) {
    let rows = groups.iter().map(|(kind, group)| {
        let ago = brief(Duration::from_millis(now.saturating_sub(group.last)));
        let status = if kind.status.is_empty() { "-".to_owned() } else { kind.status.clone() };
        let (count, died) = (group.count.to_string(), format!("{ago} ago"));
        ([count, kind.reason.clone(), status, died, kind.host.clone()], kind.error.clone())
    });
    print_noted(["COUNT", "REASON", "STATUS", "LAST DIED", "HOST"], "ERROR", rows.collect());
}

fn json_of(kind: &Kind, group: Group) -> Value {
    json!({
        "count": group.count,
        "reason": kind.reason,
        "host": kind.host,
        "status": kind.status.parse::<u16>().ok(),
        "error_type": Some(&kind.status).filter(|status| !status.is_empty() && status.parse::<u16>().is_err()),
        "error": kind.error,
        "first_died": time(group.first),
        "last_died": time(group.last),
    })
}

#[cfg(test)]
mod tests {
    use postrider_queue::admin::ShardName;
    use postrider_queue::job::EntryId;

    use super::*;

    fn letter(millis: u64, error: &'static str, number: u64) -> DeadLetter {
        DeadLetter {
            is_rejected: false,
            queue: ShardName { queue: "default".parse().unwrap(), number: 0 },
            entry: EntryId { millis, sequence: 0 },
            job_id: "1-0".to_owned(),
            fields: vec![
                ("url".into(), format!("https://h.test/{number}").into()),
                ("_reason".into(), "attempts".into()),
                ("_error".into(), error.into()),
                ("_history".into(), r#"[{"attempt":1,"at":1,"ms":7,"status":503}]"#.into()),
            ],
        }
    }

    #[test]
    fn dead_letters_with_the_same_fault_are_one_group() {
        let mut groups = HashMap::new();
        let error = "attempt 3 of 3 was the last: the destination answered 503";
        for (millis, error) in
            [(30, error), (20, "attempt 5 of 5 was the last: the destination answered 503"), (10, "another")]
        {
            add(&mut groups, &letter(millis, error, millis));
        }
        let kind = Kind {
            reason: "attempts".into(),
            host: "h.test".into(),
            status: "503".into(),
            error: "the destination answered 503".into(),
        };
        assert_eq!((groups.len(), groups[&kind]), (2, Group { count: 2, first: 20, last: 30 }));
    }
}
