//! Dead letters that failed in the same way, counted together.

use std::cmp::Reverse;
use std::collections::HashMap;

use postrider_queue::admin::DeadLetter;

use super::dead::{grouped_error, host, last_outcome};
use super::mask::line;

/// Groups that are kept apart; further dead letters are counted together.
const GROUPS_MAX: usize = 10_000;

/// What the dead letters of a group have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Why they are dead, in a word.
    pub reason: String,
    /// The host, and its port if the URL has one.
    pub host: String,
    /// The last attempt's status, or why it had none.
    pub status: String,
    /// The error, without what the other members say.
    pub error: String,
}

/// A group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many dead letters.
    pub count: u64,
    /// When the first one died, Unix ms.
    pub first: u64,
    /// When the last one died, Unix ms.
    pub last: u64,
}

/// Counts dead letters by what they have in common.
#[derive(Clone, Debug, Default)]
pub struct DeadGroups(HashMap<Kind, Group>);

impl Kind {
    fn of(letter: &DeadLetter) -> Self {
        let fields = &letter.fields;
        let host =
            host(fields).map(|(host, port)| port.map_or(host.clone(), |port| format!("{host}:{port}")));
        Self {
            reason: line(fields, "_reason", 20),
            host: host.unwrap_or_default(),
            status: last_outcome(fields).unwrap_or_default(),
            error: grouped_error(fields),
        }
    }
}

impl DeadGroups {
    /// Counts a dead letter.
    pub fn add(&mut self, letter: &DeadLetter) {
        let mut kind = Kind::of(letter);
        if self.0.len() >= GROUPS_MAX && !self.0.contains_key(&kind) {
            kind = Kind { error: "(other)".to_owned(), ..Kind::default() };
        }
        let died = letter.entry.millis;
        let group = self.0.entry(kind).or_insert(Group { count: 0, first: died, last: died });
        *group = Group { count: group.count + 1, first: group.first.min(died), last: group.last.max(died) };
    }

    /// The groups, most frequent first.
    pub fn sorted(self) -> Vec<(Kind, Group)> {
        let mut groups: Vec<_> = self.0.into_iter().collect();
        groups.sort_by_key(|(_, group)| (Reverse(group.count), Reverse(group.last)));
        groups
    }
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
            place: None,
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
        let mut groups = DeadGroups::default();
        let error = "attempt 3 of 3 was the last: the destination answered 503";
        for (millis, error) in
            [(30, error), (20, "attempt 5 of 5 was the last: the destination answered 503"), (10, "another")]
        {
            groups.add(&letter(millis, error, millis));
        }
        let kind = Kind {
            reason: "attempts".into(),
            host: "h.test".into(),
            status: "503".into(),
            error: "the destination answered 503".into(),
        };
        let groups = groups.sorted();
        assert_eq!((groups.len(), &groups[0]), (2, &(kind, Group { count: 2, first: 20, last: 30 })));
    }
}
