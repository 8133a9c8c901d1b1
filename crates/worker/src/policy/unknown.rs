//! Fields of jobs that are not known. They have no effect, which a producer would not notice. Pure.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Mutex;

use bytes::Bytes;
use postrider_queue::job::{Malformed, meant_field, quoted};

/// Names that are logged at most.
const NAMES_MAX: usize = 100;

/// What a queue does with jobs that have unknown fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// It logs each name once, and sends the jobs.
    #[default]
    Warn,
    /// It dead-letters the jobs as malformed.
    Refuse,
}

impl FromStr for UnknownFields {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "warn" => Ok(Self::Warn),
            "refuse" => Ok(Self::Refuse),
            _ => Err("write \"warn\" or \"refuse\""),
        }
    }
}

/// The queues that refuse jobs with unknown fields, and which names were logged.
#[derive(Debug, Default)]
pub(crate) struct UnknownFieldLog {
    refusing: HashSet<String>,
    logged: Mutex<HashSet<(&'static str, Bytes)>>,
}

impl UnknownFieldLog {
    /// By the queues that refuse them.
    pub(crate) fn new(refusing: impl IntoIterator<Item = String>) -> Self {
        Self { refusing: refusing.into_iter().collect(), logged: Mutex::default() }
    }

    /// The descriptions of the names in a job of a queue that are to be logged: each once.
    ///
    /// # Errors
    /// If the queue refuses unknown fields.
    pub(crate) fn check(&self, queue: &'static str, names: &[Bytes]) -> Result<Vec<String>, Malformed> {
        match names.first() {
            Some(first) if self.refusing.contains(queue) => {
                let field = described(first);
                Err(Malformed::new(format!("field {field}; this queue refuses unknown fields")))
            }
            _ => Ok(names.iter().filter(|name| self.is_new(queue, name)).map(described).collect()),
        }
    }

    fn is_new(&self, queue: &'static str, name: &Bytes) -> bool {
        let mut logged = self.logged.lock().expect("nothing panics while it holds this lock");
        // A copy: the name is a part of the whole entry.
        logged.len() < NAMES_MAX && logged.insert((queue, Bytes::copy_from_slice(name)))
    }
}

fn described(name: &Bytes) -> String {
    let name = String::from_utf8_lossy(name);
    let meant = meant_field(&name).map_or(String::new(), |meant| format!(" (did you mean `{meant}`?)"));
    format!("{}, which is not known{meant}", quoted(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_described_once() {
        let unknown = UnknownFieldLog::default();
        let check = |names: &[&'static str]| {
            unknown.check("mail", &names.iter().map(|name| Bytes::from(*name)).collect::<Vec<_>>()).unwrap()
        };
        let meant = "\"max_attemps\", which is not known (did you mean `max_attempts`?)";
        assert_eq!(check(&["max_attemps", "a\u{1b}b"]), [meant, "\"a\\u{1b}b\", which is not known"]);
        assert!(check(&["max_attemps"]).is_empty());
        assert_eq!(
            unknown.check("bulk", &["max_attemps".into()]),
            Ok(vec![meant.to_owned()]),
            "another queue"
        );
        (0..200).for_each(|number| drop(unknown.check("mail", &[number.to_string().into()])));
        assert!(check(&["colour"]).is_empty(), "the names are bounded");
    }

    #[test]
    fn a_queue_may_refuse_them() {
        let refused = UnknownFieldLog::new(["mail".to_owned()]).check("mail", &["json".into()]).unwrap_err();
        let error =
            "field \"json\", which is not known (did you mean `body`?); this queue refuses unknown fields";
        assert_eq!(refused.error, error);
        assert_eq!("refuse".parse(), Ok(UnknownFields::Refuse));
        assert!("deny".parse::<UnknownFields>().is_err());
    }
}
