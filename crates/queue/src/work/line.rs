//! Ordered jobs: their turns, and what becomes of their lines when they are settled.

use std::time::Instant;

use fred::types::{Key, Value};
use telemetry::Context;

use super::fetch::IN_FLIGHT_MAX;
use crate::job::{Lease, LinePlace, Reason};
use crate::redis::{Error, QueueShard, number, unexpected};

/// How many jobs one call asks for at most.
pub const TURNS_MAX: usize = 256;

/// The turn of an ordered job that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has its turn: all jobs before it in its line have ended.
    Taken,
    /// It was moved out of the stream, and waits for its turn.
    Waits,
    /// The job has another delivery by now. Nothing was changed.
    Lost,
    /// The job is no longer pending: a repeated call has moved it, or the lease is lost.
    Gone,
}

/// An ordered job that is settled.
#[derive(Clone, Debug)]
pub struct InLine {
    /// Its place.
    pub place: LinePlace,
    /// What is kept of the job if its dead letter stops its line; `None` if the next job has its turn.
    pub stop: Option<StopNote>,
}

/// What is kept of a dead letter that stops its line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StopNote {
    /// The order key.
    pub order: String,
    /// The id of the job that died.
    pub job_id: String,
    /// Why it died: the text of a [`Reason`].
    pub reason: String,
    /// When, Unix milliseconds.
    pub at: u64,
    /// The entry of the dead letter, which the script adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
}

impl StopNote {
    /// The note of a job that dies now.
    pub fn new(order: &[u8], job_id: &[u8], reason: Reason, at: u64) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let reason = reason.as_str().to_owned();
        Self { order: text(order), job_id: text(job_id), reason, at, entry: None }
    }
}

/// What a settlement does to the lines of its jobs.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineMode {
    /// The next job has its turn, unless the dead letter stops the line.
    End,
    /// The job keeps its place.
    Keep,
}

impl QueueShard {
    /// Asks for the turns of ordered jobs: at most [`TURNS_MAX`], in ascending order of their entries. `None`: more entries have to be
    /// looked at; call again.
    ///
    /// # Errors
    /// fred's. Then jobs may have been moved or not.
    pub async fn take_turns(
        &self,
        jobs: &[(Lease, LinePlace)],
        parent: &Context,
    ) -> Result<Option<Vec<Turn>>, Error> {
        let own = &self.0.keys;
        let keys = vec![own.jobs.clone(), own.order.clone(), own.order_waiting.clone()];
        let mut args = self.identity(2 + 3 * jobs.len());
        args.extend([self.0.mark.text().as_ref().into(), Value::from_static_str(IN_FLIGHT_MAX)]);
        for (lease, place) in jobs {
            args.extend([lease.entry.to_string().into(), number(lease.delivery), place.as_str().into()]);
        }
        let asked = Instant::now();
        let reply = self.0.scripts.take_turns.call(&self.0.redis, parent, keys, args).await;
        let (letters, now): (String, u64) = self.healed(reply).await?.convert()?;
        self.0.clock.set(now, asked);
        if letters.is_empty() {
            return Ok(None);
        }
        let turn = |letter: u8| match letter {
            b't' => Ok(Turn::Taken),
            b'w' => Ok(Turn::Waits),
            b'l' => Ok(Turn::Lost),
            b'g' => Ok(Turn::Gone),
            _ => Err(unexpected()),
        };
        let turns: Vec<Turn> = letters.bytes().map(turn).collect::<Result<_, _>>()?;
        if turns.len() == jobs.len() { Ok(Some(turns)) } else { Err(unexpected()) }
    }

    /// Adds what `lua/in_line.lua` needs.
    pub(super) fn push_line<'a>(
        &self,
        keys: &mut Vec<Key>,
        args: &mut Vec<Value>,
        places: impl Iterator<Item = &'a LinePlace>,
        mode: LineMode,
        stop: Option<&StopNote>,
    ) {
        let own = &self.0.keys;
        keys.extend([&own.jobs, &own.order, &own.order_waiting, &own.order_stopped].map(Clone::clone));
        let before = args.len();
        args.extend(places.map(|place| Value::from(place.as_str())));
        let count = args.len() - before;
        let note = stop.and_then(|note| serde_json::to_string(note).ok()).unwrap_or_default();
        let mode = match mode {
            LineMode::Keep => "keep",
            LineMode::End if stop.is_some() => "stop",
            LineMode::End => "pass",
        };
        args.extend([number(count as u64), mode.into(), note.into()]);
    }
}
