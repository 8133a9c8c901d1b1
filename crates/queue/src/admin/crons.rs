//! Definitions of periodic jobs: lists and changes them.

use std::collections::{BTreeMap, HashMap};

use fred::types::Value;
use telemetry::Context;

use super::Inspector;
use crate::cron::{BadDefinition, CronName, Definition};
use crate::job::ENTRY_BYTES_MAX;
use crate::redis::{Error, Keys, QueueName, number, unexpected};

/// How many definitions a queue may have.
const DEFINITIONS_MAX: u64 = 1_000;
/// The bytes of all definitions of a queue: a list of them reads all.
const DEFINITIONS_BYTES_MAX: u64 = 4 << 20;
/// How often a change is tried again that another one has overtaken.
const TRIES_MAX: usize = 5;

/// A definition of periodic jobs in Redis, and its state.
#[derive(Clone, Debug)]
pub struct Cron {
    /// Its queue.
    pub queue: QueueName,
    /// Its name.
    pub name: String,
    /// The definition; what is wrong with it, if another version wrote it.
    pub definition: Result<Definition, Vec<BadDefinition>>,
    /// The JSON object that Redis keeps.
    pub text: String,
    /// Its next tick, Unix ms; `None` if it is paused, or has no tick for years.
    pub next: Option<u64>,
    /// The id of the last job that a tick has made.
    pub last_job: Option<String>,
    /// Since when it is paused, Unix ms.
    pub paused_since: Option<u64>,
    /// How many ticks have made a job.
    pub made: u64,
    /// How many have made none, since no worker claimed them in time.
    pub missed: u64,
    /// How many have made none, since the last job had not ended.
    pub skipped: u64,
}

/// What was done with a definition that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is new.
    Created,
    /// It has replaced another one.
    Changed,
    /// It was there before.
    Unchanged,
}

/// Definitions were not applied: none of them.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There would be too many.
    #[error(
        "the queue would have {0} definitions, and at most {DEFINITIONS_MAX} are allowed; remove some, or use another queue"
    )]
    TooMany(u64),
    /// They would be too large.
    #[error(
        "the definitions of the queue would have {0} bytes, and at most {DEFINITIONS_BYTES_MAX} are allowed; use another queue"
    )]
    TooLarge(u64),
    /// Others change them again and again.
    #[error("somebody else changes the same definitions; repeat the call")]
    Overtaken,
    /// Redis failed.
    #[error(transparent)]
    Redis(#[from] Error),
}

impl Inspector {
    /// The definitions of a queue, by their names.
    ///
    /// # Errors
    /// fred's.
    pub async fn crons(&self, queue: &QueueName) -> Result<Vec<Cron>, Error> {
        let [cron, _] = Keys::new(queue, 0).cron();
        let found = self.command("HGETALL", Some(&cron), vec![cron.clone().into()]).await?;
        let found: HashMap<String, Value> = found.convert()?;
        // What is no text is a wrong definition, and must not hide others.
        let lossy = |value: Value| String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned();
        let mut fields: HashMap<String, String> =
            found.into_iter().map(|(field, value)| (field, lossy(value))).collect();
        let names: BTreeMap<String, String> = fields
            .extract_if(|field, _| field.starts_with("d:"))
            .map(|(field, text)| (field[2..].to_owned(), text))
            .collect();
        Ok(names.into_iter().map(|(name, text)| read(queue, name, text, &fields)).collect())
    }

    /// Sets definitions of a queue, all or none, and removes others. Returns what was done with each, and how many were removed.
    /// A definition whose time has not changed keeps its next tick, and one that is paused stays so.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub async fn apply_crons(
        &self,
        queue: &QueueName,
        all: &[(CronName, Definition)],
        remove: &[String],
    ) -> Result<(Vec<Applied>, u64), ApplyError> {
        for _ in 0..TRIES_MAX {
            let (now, known) = (self.now().await?, self.crons(queue).await?);
            let mut args =
                vec![number(DEFINITIONS_MAX), number(DEFINITIONS_BYTES_MAX), number(remove.len() as u64)];
            args.extend(remove.iter().map(|name| Value::from(name.as_str())));
            let mut applied = Vec::with_capacity(all.len());
            for (name, definition) in all {
                let before = known.iter().find(|known| known.name == name.to_string());
                applied.push(push(&mut args, name, definition, before, now));
            }
            let keys = Keys::new(queue, 0).cron().to_vec();
            let reply = self.scripts.cron_apply.call(&self.redis, &Context::none(), keys, args).await?;
            let (letter, count): (String, u64) = reply.convert()?;
            match letter.as_str() {
                "o" => return Ok((applied, count)),
                "f" => return Err(ApplyError::TooMany(count)),
                "b" => return Err(ApplyError::TooLarge(count)),
                "c" => {}
                _ => return Err(unexpected().into()),
            }
        }
        Err(ApplyError::Overtaken)
    }

    /// Pauses a definition: it has no tick until it is resumed. Returns whether it was paused before; `None` if there is no
    /// such definition.
    ///
    /// # Errors
    /// fred's.
    pub async fn pause_cron(&self, queue: &QueueName, name: &CronName) -> Result<Option<bool>, Error> {
        self.set_paused(queue, name, None).await
    }

    /// Resumes a paused definition with its first tick from now on: those of the pause are not made up for. Returns whether it
    /// was paused before; `None` if there is no such definition.
    ///
    /// # Errors
    /// fred's.
    pub async fn resume_cron(&self, queue: &QueueName, name: &CronName) -> Result<Option<bool>, Error> {
        let known = self.crons(queue).await?;
        let Some(cron) = known.iter().find(|known| known.name == name.to_string()) else { return Ok(None) };
        let now = self.now().await?;
        let next = cron.definition.as_ref().ok().and_then(|definition| definition.timing.after(now));
        let resumed = self.set_paused(queue, name, Some(next.unwrap_or(now))).await?;
        Ok(resumed.map(|was_resumed| !was_resumed))
    }

    async fn set_paused(
        &self,
        queue: &QueueName,
        name: &CronName,
        next: Option<u64>,
    ) -> Result<Option<bool>, Error> {
        let keys = Keys::new(queue, 0).cron().to_vec();
        let args = vec![name.to_string().into(), next.map_or(Value::from(""), number)];
        let reply = self.scripts.cron_pause.call(&self.redis, &Context::none(), keys, args).await?;
        match reply.as_u64() {
            Some(0) => Ok(None),
            Some(1) => Ok(Some(false)),
            Some(2) => Ok(Some(true)),
            _ => Err(unexpected()),
        }
    }
}

/// Adds what the script needs of a definition.
fn push(
    args: &mut Vec<Value>,
    name: &CronName,
    definition: &Definition,
    before: Option<&Cron>,
    now: u64,
) -> Applied {
    let digest = |text: &str| sha1_smol::Sha1::from(text).digest().to_string();
    let next = definition.timing.after(now);
    // A tick that is later than the next one by the clock was set by a clock that was ahead.
    let is_kept = before.is_some_and(|before| {
        let has_timing = before.definition.as_ref().is_ok_and(|before| before.has_timing_of(definition));
        has_timing && before.next.is_some_and(|own| next.is_some_and(|next| own <= next))
    });
    let next = next.filter(|_| !is_kept);
    args.push(name.to_string().into());
    args.push(before.map_or_else(String::new, |before| digest(&before.text)).into());
    args.push(definition.text().into());
    args.push(next.map_or(Value::from(""), number));
    match before {
        None => Applied::Created,
        Some(before) if before.text == definition.text() => Applied::Unchanged,
        Some(_) => Applied::Changed,
    }
}

fn read(queue: &QueueName, name: String, text: String, fields: &HashMap<String, String>) -> Cron {
    let field = |kind: &str| fields.get(&format!("{kind}:{name}")).filter(|text| !text.is_empty());
    let number = |kind: &str| field(kind).and_then(|text| text.parse::<u64>().ok());
    Cron {
        queue: queue.clone(),
        definition: Definition::parse(&text, ENTRY_BYTES_MAX),
        next: number("n"),
        last_job: field("j").cloned(),
        paused_since: number("p"),
        made: number("made").unwrap_or(0),
        missed: number("missed").unwrap_or(0),
        skipped: number("skipped").unwrap_or(0),
        name,
        text,
    }
}
