//! The mark: how workers recognize an entry that one of their scripts wrote. A producer may write any field, also
//! those that begin with `_`; without the mark, these are not believed.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use sha1_smol::Sha1;

use crate::job::Fields;

/// The field that proves it.
pub(crate) const FIELD: &str = "_mark";

/// The secret text of a shard, as it was read from Redis. A producer that may only add entries cannot read it.
#[derive(Debug, Default)]
pub(crate) struct Mark(RwLock<Arc<str>>);

impl Mark {
    /// The text; empty before the shard is joined.
    pub(crate) fn text(&self) -> Arc<str> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The text, or a new one that nobody can guess.
    pub(crate) fn proposal(&self) -> Arc<str> {
        let text = self.text();
        if text.is_empty() { random().into() } else { text }
    }

    pub(crate) fn set(&self, text: &str) {
        if *self.text() != *text {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = text.into();
        }
    }

    /// The value of [`FIELD`] in an entry of this job.
    pub(crate) fn of(&self, job_id: &[u8]) -> String {
        let mut hash = Sha1::from(self.text().as_bytes());
        hash.update(job_id);
        hash.digest().to_string()
    }

    /// Removes the mark from an entry's fields; without a valid one, all fields that begin with `_`.
    pub(crate) fn check(&self, fields: &mut Fields) {
        // Nearly all entries come from producers, and have no such field.
        if !fields.iter().any(|(name, _)| is_ours(name)) {
            return;
        }
        let value = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        // A replay gets its job id only from Redis.
        let job_id = value("_job_id").or_else(|| value("_replay_of"));
        let is_marked = job_id.zip(value(FIELD)).is_some_and(|(job_id, mark)| self.of(job_id) == *mark);
        fields.retain(|(name, _)| !is_ours(name) || is_marked && name != FIELD);
    }
}

fn is_ours(name: &Bytes) -> bool {
    name.first() == Some(&b'_')
}

/// 128 bits of the operating system's randomness, in hex.
fn random() -> String {
    let part = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mark: &Mark, fields: &[(&'static str, &str)]) -> Vec<String> {
        let bytes = |value: &str| Bytes::copy_from_slice(value.as_bytes());
        let mut fields = fields.iter().map(|(name, value)| (Bytes::from(*name), bytes(value))).collect();
        mark.check(&mut fields);
        fields.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn only_what_is_marked_is_believed() {
        let mark = Mark::default();
        mark.set("secret");
        let proof = mark.of(b"7-1");
        // redis.sha1hex('secret7-1')
        assert_eq!(proof, "5ac687b828e6c1f27e70ad2879a128ddc48ef7ca");
        let forged = [("url", "x"), ("_job_id", "7-1"), ("_attempt", "3")];
        assert_eq!(names(&mark, &forged), ["url"]);
        assert_eq!(names(&mark, &[&forged[..], &[("_mark", "")]].concat()), ["url"]);
        assert_eq!(names(&mark, &[&forged[..], &[("_mark", &mark.of(b"7-2"))]].concat()), ["url"]);
        assert_eq!(
            names(&mark, &[&forged[..], &[("_mark", &proof)]].concat()),
            ["url", "_job_id", "_attempt"]
        );
        let replay = [("url", "x"), ("_replay_of", "7-1"), ("_mark", &proof)];
        assert_eq!(names(&mark, &replay), ["url", "_replay_of"]);
        assert_eq!(names(&mark, &[("url", "x"), ("_mark", &proof)]), ["url"]);
    }

    #[test]
    fn a_mark_is_chosen_once_and_is_not_repeated() {
        let mark = Mark::default();
        assert_ne!(mark.proposal(), mark.proposal());
        assert_eq!(mark.proposal().len(), 32);
        mark.set("secret");
        assert_eq!(*mark.proposal(), *"secret");
    }
}
