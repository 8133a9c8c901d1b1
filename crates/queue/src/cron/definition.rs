//! A definition of periodic jobs, as people write it and as Redis keeps it: a JSON object. Pure.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::tick_headers::{HEADERS, headers};
use super::timing::{BadTiming, Timing, time_zone};
use crate::job::{Fields, meant};
use crate::produce::JsonJob;

/// The maximum size of a definition in Redis.
const DEFINITION_BYTES_MAX: usize = 64 * 1024;
/// The maximum jitter.
const JITTER_MAX: Duration = Duration::from_secs(24 * 3600);
const MEMBERS: [&str; 7] = ["expression", "every", "time_zone", "catch_up", "jitter", "overlap", "job"];
/// Fields that a template must not have, and why.
const REFUSED: [(&str, &str); 6] = [
    ("key", "each tick makes one job anyway"),
    ("not_before", "the tick decides when; `delay_ms` waits after it"),
    ("expires_at", "all ticks would share this time"),
    ("traceparent", "each tick begins its own trace"),
    ("tracestate", "each tick begins its own trace"),
    ("baggage", "each tick begins its own trace"),
];

/// The name of a definition: `[A-Za-z0-9_.-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CronName(String);

/// A text is no name of a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name must be 1 to 64 letters, digits, `_`, `.` or `-`, and not only dots")]
pub struct BadCronName;

impl FromStr for CronName {
    type Err = BadCronName;

    fn from_str(name: &str) -> Result<Self, BadCronName> {
        // The same rule, so that a name can be a part of a path of the API.
        name.parse::<crate::redis::QueueName>().map(|name| Self(name.to_string())).map_err(|_| BadCronName)
    }
}

impl std::fmt::Display for CronName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which ticks make jobs that no worker could claim in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// The last one.
    #[default]
    One,
    /// All, the last 1,000 at most.
    All,
    /// None.
    None,
}

/// What a tick does while the job of the tick before has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It makes its job.
    #[default]
    Allow,
    /// It makes none.
    Skip,
}

/// A definition of periodic jobs.
#[derive(Clone, Debug)]
pub struct Definition {
    /// When its ticks are.
    pub timing: Timing,
    /// What becomes of ticks that were missed.
    pub catch_up: CatchUp,
    /// How much later than the tick its job is ready, at random, at most.
    pub jitter: Duration,
    /// Whether its jobs may overlap.
    pub overlap: Overlap,
    /// The fields of its jobs.
    pub job: Fields,
    text: String,
    written_timing: [Option<String>; 3],
}

/// A member of a definition is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadDefinition {
    /// The member, as `every` or `job.url`; empty if it is none.
    pub member: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl BadDefinition {
    fn new(member: impl Into<String>, message: impl Into<String>) -> Self {
        Self { member: member.into(), message: message.into() }
    }

    /// The member, if it is one, and the message.
    pub fn line(&self) -> String {
        if self.member.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.member, self.message)
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[serde(default)]
    catch_up: CatchUp,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<String>,
    #[serde(default)]
    overlap: Overlap,
    job: Option<Box<RawValue>>,
}

impl Definition {
    /// Reads a JSON object, and checks the job as a worker with this limit of a job's fields would.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn parse(json: &str, job_bytes_max: usize) -> Result<Self, Vec<BadDefinition>> {
        let members: Map<String, Value> = serde_json::from_str(json)
            .map_err(|error| vec![BadDefinition::new("", format!("it is no JSON object: {error}"))])?;
        let mut errors = unknown(&members);
        errors.extend(members.iter().filter_map(|(name, value)| wrong_kind(name, value)));
        if !errors.is_empty() {
            return Err(errors);
        }
        let written: Written =
            serde_json::from_str(json).map_err(|error| vec![BadDefinition::new("", error.to_string())])?;
        let timing = written.timing().map_err(|error| errors.push(error));
        let jitter = written.jitter().map_err(|error| errors.push(error));
        let job = written.job(job_bytes_max).map_err(|error| errors.push(error));
        let text = serde_json::to_string(&written).unwrap_or_default();
        if text.len() > DEFINITION_BYTES_MAX {
            let message = format!("it has {} bytes, and {DEFINITION_BYTES_MAX} are allowed", text.len());
            errors.push(BadDefinition::new("", message));
        }
        match (timing, jitter, job) {
            (Ok(timing), Ok(jitter), Ok(job)) if errors.is_empty() => {
                let Written { catch_up, overlap, expression, every, time_zone, .. } = written;
                let written_timing = [expression, every, time_zone];
                Ok(Self { timing, catch_up, jitter, overlap, job, text, written_timing })
            }
            _ => Err(errors),
        }
    }

    /// Whether both have the same ticks by what is written.
    pub(crate) fn has_timing_of(&self, other: &Self) -> bool {
        self.written_timing == other.written_timing
    }

    /// The JSON object that Redis keeps.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Written {
    fn timing(&self) -> Result<Timing, BadDefinition> {
        match (&self.expression, &self.every) {
            (Some(text), None) => {
                let zone = time_zone(self.time_zone.as_deref())
                    .map_err(|BadTiming(error)| BadDefinition::new("time_zone", error))?;
                Timing::expression(text, zone)
                    .map_err(|BadTiming(error)| BadDefinition::new("expression", error))
            }
            (None, Some(_)) if self.time_zone.is_some() => {
                Err(BadDefinition::new("time_zone", "only an `expression` has a time zone; leave it out"))
            }
            (None, Some(text)) => {
                let interval = duration("every", text)?;
                Timing::every(interval).map_err(|BadTiming(error)| BadDefinition::new("every", error))
            }
            (Some(_), Some(_)) => Err(BadDefinition::new("every", "give `expression` or `every`, not both")),
            (None, None) => Err(BadDefinition::new(
                "expression",
                "say when: `expression = \"0 3 * * *\"`, or `every = \"5m\"`",
            )),
        }
    }

    fn jitter(&self) -> Result<Duration, BadDefinition> {
        let jitter = self.jitter.as_deref().map_or(Ok(Duration::ZERO), |text| duration("jitter", text))?;
        if jitter > JITTER_MAX {
            return Err(BadDefinition::new("jitter", "it must be at most 24h"));
        }
        Ok(jitter)
    }

    fn job(&self, bytes_max: usize) -> Result<Fields, BadDefinition> {
        let Some(job) = &self.job else {
            return Err(BadDefinition::new("job", "it is missing: the fields of the job, at least `url`"));
        };
        let named = |name: &str, message: String| {
            BadDefinition::new(
                if name.is_empty() { "job".to_owned() } else { format!("job.{name}") },
                message,
            )
        };
        let parsed = JsonJob::parse(job.get().as_bytes(), bytes_max)
            .map_err(|error| named(error.field().unwrap_or_default(), error.to_string()))?;
        let has = |name: &str| {
            let given = parsed.fields.iter().any(|(own, _)| own.as_ref() == name.as_bytes());
            given || name == "key" && parsed.key.is_some()
        };
        if let Some((name, why)) = REFUSED.iter().find(|(name, _)| has(name)) {
            return Err(named(name, format!("leave it out: {why}")));
        }
        let given = headers(&parsed.fields);
        match HEADERS.iter().find(|own| given.keys().any(|name| name.eq_ignore_ascii_case(own))) {
            Some(own) => {
                Err(named("headers", format!("the header `{own}` is set by each tick; leave it out")))
            }
            None => Ok(parsed.fields),
        }
    }
}

fn unknown(members: &Map<String, Value>) -> Vec<BadDefinition> {
    let names = members.keys().filter(|name| !MEMBERS.contains(&name.as_str()));
    let hint = |name: &str| match meant(name, MEMBERS) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known are {}", MEMBERS.join(", ")),
    };
    names.map(|name| BadDefinition::new(name, format!("it is not known here; {}", hint(name)))).collect()
}

fn wrong_kind(name: &str, value: &Value) -> Option<BadDefinition> {
    let one_of = |known: &[&str]| {
        let message = format!("write one of {}", known.join(", "));
        (!value.as_str().is_some_and(|text| known.contains(&text))).then_some(message)
    };
    let message = match name {
        "catch_up" => one_of(&["one", "all", "none"]),
        "overlap" => one_of(&["allow", "skip"]),
        "job" => (!value.is_object()).then(|| "it must be a table with the fields of the job".to_owned()),
        _ => (!value.is_string()).then(|| "it must be a text".to_owned()),
    };
    message.map(|message| BadDefinition::new(name, message))
}

fn duration(member: &str, text: &str) -> Result<Duration, BadDefinition> {
    humantime::parse_duration(text)
        .map_err(|error| BadDefinition::new(member, format!("{error}; write 30s, 5m, 1h or 1d")))
}

#[cfg(test)]
mod tests;
