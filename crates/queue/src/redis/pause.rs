//! Pauses queues and flows for all workers, and ends their pauses.

use std::time::Duration;

use fred::error::Error;
use fred::types::Value;
use serde_json::json;
use telemetry::Context;

use super::args::number;
use super::client::Redis;
use super::control::{FIELDS_MAX, Pausable};
use super::keys::Keys;
use super::reply::unexpected;

/// Bytes of each text for people.
const TEXT_BYTES_MAX: usize = 256;

/// When a pause ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseEnd {
    /// When somebody resumes.
    Never,
    /// At this time of Redis' clock, Unix ms.
    At(u64),
    /// After this time.
    After(Duration),
}

/// What people see of a pause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseNote {
    /// Who has paused.
    pub by: Option<String>,
    /// Why.
    pub why: Option<String>,
}

/// What to pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToPause {
    /// The queue or flow.
    pub what: Pausable,
    /// The flow's name, as people know it.
    pub name: Option<String>,
}

/// Nothing was paused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PauseError {
    /// The time is not in the future.
    #[error("the time at which the pause is to end is over; by Redis' clock it is {0} ms later")]
    Over(u64),
    /// There are too many pauses.
    #[error("{FIELDS_MAX} queues and flows are paused already; resume some of them")]
    TooMany,
    /// Redis does not answer as it should.
    #[error(transparent)]
    Redis(#[from] Error),
}

/// Pauses that were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPauses {
    /// When they end, Unix ms; `None` for no end.
    pub until: Option<u64>,
    /// Redis' time, Unix ms.
    pub now: u64,
    /// For each, whether it was paused before.
    pub were: Vec<bool>,
}

impl Redis {
    /// Pauses queues and flows for all workers, or changes the end of their pauses. Harmless when repeated.
    ///
    /// # Errors
    /// [`PauseError`].
    pub async fn pause(
        &self,
        all: &[ToPause],
        end: PauseEnd,
        note: &PauseNote,
    ) -> Result<SetPauses, PauseError> {
        let (at, after) = match end {
            PauseEnd::Never => (0, 0),
            PauseEnd::At(at) => (at.max(1), 0),
            PauseEnd::After(time) => (0, u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)),
        };
        let mut args = vec![number(at), number(after), number(FIELDS_MAX)];
        for one in all {
            let texts = json!({
                "by": note.by.as_deref().map(bounded),
                "why": note.why.as_deref().map(bounded),
                "name": one.name.as_deref().map(bounded),
            });
            args.extend([Value::from(one.what.field()), without_nulls(texts).into()]);
        }
        let keys = vec![Keys::control()];
        let reply = self.scripts.pause.call(&self.connection, &Context::none(), keys, args).await?;
        let (now, ends, outcome, were): (u64, u64, String, Vec<u64>) = reply.convert()?;
        match outcome.as_str() {
            "paused" => {
                let until = Some(ends).filter(|ends| *ends > 0);
                Ok(SetPauses { until, now, were: were.into_iter().map(|was| was > 0).collect() })
            }
            "over" => Err(PauseError::Over(now.saturating_sub(ends))),
            "full" => Err(PauseError::TooMany),
            _ => Err(unexpected().into()),
        }
    }

    /// Ends the pauses of queues and flows. Returns for each whether it was paused. Harmless when repeated.
    ///
    /// # Errors
    /// fred's.
    pub async fn resume(&self, all: &[Pausable]) -> Result<Vec<bool>, Error> {
        let args = all.iter().map(|one| Value::from(one.field())).collect();
        let keys = vec![Keys::control()];
        let reply = self.scripts.resume.call(&self.connection, &Context::none(), keys, args).await?;
        let were: Vec<u64> = reply.convert()?;
        Ok(were.into_iter().map(|was| was > 0).collect())
    }
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// An object without the members that are null.
fn without_nulls(mut object: serde_json::Value) -> String {
    if let Some(members) = object.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    object.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_people_are_short() {
        assert_eq!(bounded(&"ä".repeat(200)).len(), TEXT_BYTES_MAX);
        assert_eq!(without_nulls(json!({"by": null, "why": "x"})), r#"{"why":"x"}"#);
        assert_eq!(without_nulls(json!({"by": null})), "{}");
    }
}
