//! What is paused, for people.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::{Inspector, ShardName};
use crate::job::FlowId;
use crate::redis::{Error, Keys, Pausable, QueueName};

/// A pause of a queue or a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, Unix ms; `None` for no end.
    pub until: Option<u64>,
    /// When it began, Unix ms.
    pub since: Option<u64>,
    /// Who has paused.
    pub by: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// The flow's name, as it was given.
    pub name: Option<String>,
}

/// All that is paused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// The paused queues, by their names.
    pub queues: BTreeMap<String, Pause>,
    /// The paused flows.
    pub flows: BTreeMap<FlowId, Pause>,
}

impl Pauses {
    /// The first shards of paused queues that are not among these: a queue may be paused before its first job.
    pub(super) fn queues_without_keys(&self, known: &[ShardName]) -> Vec<ShardName> {
        let is_known = |name: &str| known.iter().any(|shard| shard.queue.as_str() == name);
        let unknown = self.queues.keys().filter(|name| !is_known(name));
        unknown.filter_map(|name| Some(ShardName { queue: name.parse().ok()?, number: 0 })).collect()
    }

    /// The pause of a queue.
    pub fn queue(&self, queue: &QueueName) -> Option<&Pause> {
        self.queues.get(queue.as_str())
    }
}

impl Inspector {
    /// What is paused.
    ///
    /// # Errors
    /// fred's.
    pub async fn pauses(&self) -> Result<Pauses, Error> {
        let key = Keys::control();
        let found = self.command("HGETALL", Some(&key), vec![key.clone().into()]).await?;
        let fields: HashMap<String, String> = found.convert()?;
        // Nothing is paused most of the time.
        let now = if fields.is_empty() { 0 } else { self.now().await? };
        Ok(parse(&fields, now))
    }
}

fn parse(fields: &HashMap<String, String>, now: u64) -> Pauses {
    let mut pauses = Pauses::default();
    for (field, value) in fields {
        let (Some(what), Some(pause)) = (Pausable::parse(field), lasting(value, now)) else { continue };
        match what {
            Pausable::Queue(queue) => drop(pauses.queues.insert(queue.to_string(), pause)),
            Pausable::Flow(flow) => drop(pauses.flows.insert(flow, pause)),
        }
    }
    pauses
}

/// A pause from the value of its field; `None` if it has ended.
fn lasting(value: &str, now: u64) -> Option<Pause> {
    #[derive(Default, Deserialize)]
    struct Shown {
        by: Option<String>,
        why: Option<String>,
        name: Option<String>,
    }
    let mut parts = value.splitn(3, ' ');
    let ends: u64 = parts.next()?.parse().ok()?;
    if ends > 0 && ends <= now {
        return None;
    }
    let since = parts.next().and_then(|since| since.parse().ok());
    let shown = parts.next().and_then(|shown| serde_json::from_str(shown).ok());
    let Shown { by, why, name } = shown.unwrap_or_default();
    Some(Pause { until: Some(ends).filter(|ends| *ends > 0), since, by, why, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_begins_with_its_end_and_its_start() {
        let whole = lasting(r#"70 50 {"by":"ann","why":"a move","name":"h:80","new":1}"#, 60).unwrap();
        assert_eq!((whole.until, whole.since), (Some(70), Some(50)));
        let shown = [whole.by, whole.why, whole.name].map(Option::unwrap_or_default);
        assert_eq!(shown, ["ann", "a move", "h:80"]);
        let endless = Pause { since: Some(50), ..Pause::default() };
        assert_eq!(lasting("0 50 {}", 60), Some(endless.clone()));
        assert_eq!(lasting("0 50 not JSON", 60), Some(endless));
        assert_eq!(lasting("0", 60), Some(Pause::default()));
        assert_eq!([lasting("60 50 {}", 60), lasting("", 60), lasting("x", 60)], [None, None, None]);
    }

    #[test]
    fn fields_of_other_kinds_are_no_pauses() {
        let flow = FlowId::of("h:80");
        let fields =
            [("q:mail", "0 1 {}"), ("tail", "99"), ("q:old", "5 1 {}"), (&*format!("f:{flow}"), "0 1 {}")];
        let pauses = parse(&fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), 10);
        assert_eq!(pauses.queues.keys().collect::<Vec<_>>(), ["mail"]);
        assert_eq!(pauses.flows.keys().collect::<Vec<_>>(), [&flow]);
        assert!(pauses.queue(&"mail".parse().unwrap()).is_some());
    }
}
