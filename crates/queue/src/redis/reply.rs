//! Parses Redis' replies.

use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Value;

use crate::job::{EntryId, Fields};

/// The result of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The job is settled.
    Done,
    /// The job is scheduled or held, and waits for this time from now.
    Waits(Duration),
    /// The job was to wait, but is already due. It is still in flight at this worker.
    Due,
    /// The job has another delivery by now. Nothing was changed.
    Lost,
    /// The job is no longer pending: the call repeats a settlement whose reply was lost, or the lease is
    /// lost.
    Gone,
}

impl Settled {
    /// The result of a repeated call. `in_doubt` means that the reply to an earlier call was lost: if the job
    /// is gone, that call settled it.
    #[must_use]
    pub fn after(self, in_doubt: bool) -> Self {
        if in_doubt && self == Self::Gone { Self::Done } else { self }
    }

    /// The results, and why Redis refuses the records of the delivery log, if it does.
    pub(crate) fn parse(reply: &Value) -> Result<(Vec<Self>, Option<String>), Error> {
        let (letters, refusal) = match reply {
            Value::Array(both) => (both.first(), both.get(1).and_then(Value::as_str)),
            letters => (Some(letters), None),
        };
        let refusal = refusal.map(|refusal| without_line(&refusal).to_owned());
        let letters = letters.and_then(Value::as_str).ok_or_else(unexpected)?;
        let settled: Result<_, _> = letters
            .bytes()
            .map(|letter| match letter {
                b'o' => Ok(Self::Done),
                b'l' => Ok(Self::Lost),
                b'g' => Ok(Self::Gone),
                _ => Err(unexpected()),
            })
            .collect();
        Ok((settled?, refusal))
    }
}

/// The error of a command in a script, without the lines that Redis 6.2 puts before it: `@user_script: 12: -OOM command …`.
pub fn without_line(error: &str) -> &str {
    let mut text = error;
    while let Some((_, rest)) = text.strip_prefix("@user_script:").and_then(|rest| rest.split_once(": ")) {
        text = rest;
    }
    text.strip_prefix('-').unwrap_or(text)
}

pub(crate) fn unexpected() -> Error {
    Error::new(ErrorKind::Protocol, "Redis sent a reply of an undocumented form")
}

pub(crate) fn entry_id(value: &Value) -> Result<EntryId, Error> {
    value.as_bytes().and_then(EntryId::parse).ok_or_else(unexpected)
}

/// Fields from a list that alternates names and values.
pub(crate) fn fields(fields: Value) -> Result<Fields, Error> {
    let Value::Array(flat) = fields else { return Err(unexpected()) };
    let mut fields = Fields::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        fields.push((bytes(name)?, bytes(value)?));
    }
    Ok(fields)
}

fn bytes(value: Value) -> Result<Bytes, Error> {
    value.into_bytes().ok_or_else(unexpected)
}

/// The error of a command in a script. Redis 6.2 puts before its code where it happened:
/// `ERR Error running script (call to f_SHA): @user_script:12: NOGROUP No such key`, or `…:12: @user_script: 12: -OOM command`;
/// of an error that the script has caught and returns, `@user_script: 12: -NOPERM this user`.
pub(super) fn of_command(error: Error) -> Error {
    let raised = error.details().strip_prefix("ERR Error running script (");
    let text = match raised.and_then(|rest| rest.split_once("): ")) {
        Some((_, raised)) => without_line(raised),
        None => without_line(error.details()),
    };
    if text.len() == error.details().len() {
        return error;
    }
    let named = Error::new(error.kind().clone(), text.to_owned());
    if fred_otel::reply_code(&named).is_some() {
        named
    } else if raised.is_some() {
        error
    } else {
        // A missing right has no code there.
        Error::new(error.kind().clone(), format!("ERR {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_record_does_not_hide_that_jobs_are_settled() {
        let letters: Value = "og".into();
        let settled = vec![Settled::Done, Settled::Gone];
        assert_eq!(Settled::parse(&letters).unwrap(), (settled.clone(), None));
        let both = Value::Array(vec![letters, "WRONGTYPE".into()]);
        assert_eq!(Settled::parse(&both).unwrap(), (settled, Some("WRONGTYPE".to_owned())));
        let six = Value::Array(vec!["o".into(), "@user_script: 332: -OOM command not allowed".into()]);
        assert_eq!(Settled::parse(&six).unwrap().1.unwrap(), "OOM command not allowed");
        for other in [Value::Null, "x".into(), Value::Array(vec![])] {
            assert!(Settled::parse(&other).is_err(), "{other:?}");
        }
    }
}
