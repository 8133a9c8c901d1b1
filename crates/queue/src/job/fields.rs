//! The known fields of an entry by name, each at most once.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use telemetry::Carrier;

use super::Malformed;
use super::entry::Fields;

/// The W3C context of a producer. Every build keeps and forwards it unparsed. It comes from the fields of
/// these names, or from the headers of the job.
#[derive(Clone, Debug, Default)]
pub struct ProducerContext {
    /// `traceparent`.
    pub traceparent: Option<Bytes>,
    /// `tracestate`.
    pub tracestate: Option<Bytes>,
    /// `baggage`.
    pub baggage: Option<Bytes>,
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

impl ProducerContext {
    /// Moves the context out of the job's headers, where some producers put it. A field takes precedence over
    /// the header of its name. A field `traceparent` also takes precedence over the header `tracestate`,
    /// which belongs to another span.
    pub(super) fn completed_by(self, headers: &mut HeaderMap) -> Self {
        if headers.is_empty() {
            return self;
        }
        let (traceparent, tracestate) = (take(headers, &TRACEPARENT), take(headers, &TRACESTATE));
        let baggage = self.baggage.or(take(headers, &BAGGAGE));
        match (self.traceparent, traceparent) {
            (Some(traceparent), _) => {
                Self { traceparent: Some(traceparent), tracestate: self.tracestate, baggage }
            }
            (None, Some(traceparent)) => Self { traceparent: Some(traceparent), tracestate, baggage },
            (None, None) => Self { traceparent: None, tracestate: self.tracestate.or(tracestate), baggage },
        }
    }

    fn field(&self, name: &str) -> Option<&Bytes> {
        match name {
            "traceparent" => self.traceparent.as_ref(),
            "tracestate" => self.tracestate.as_ref(),
            "baggage" => self.baggage.as_ref(),
            _ => None,
        }
    }
}

/// Removes a header. Joins several values with commas, as RFC 9110, §5.3, allows.
fn take(headers: &mut HeaderMap, name: &HeaderName) -> Option<Bytes> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let joined = values.fold(Cow::Borrowed(first.as_bytes()), |joined, value| {
        [&*joined, b",", value.as_bytes()].concat().into()
    });
    let joined = Bytes::from(joined.into_owned());
    headers.remove(name);
    Some(joined)
}

impl Carrier for ProducerContext {
    fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.field(name)?).ok()
    }

    /// Does nothing: a decoded job is not changed.
    fn set(&mut self, _: &'static str, _: String) {}
}

/// The fields that begin with `_`: the worker's own record of the job. A producer's value counts only if it
/// is valid.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// The job id, if the job was in the stream before under another entry id.
    pub job_id: Option<Bytes>,
    /// When it was enqueued, Unix milliseconds.
    pub at: Option<u64>,
    /// Whether its producer's delay is over: it was scheduled for that time, or has passed it.
    pub has_waited: bool,
    /// How many attempts were made.
    pub attempts: u32,
    /// The parent span of the attempts, if the producer gave none.
    pub traceparent: Option<Bytes>,
    /// A JSON list of the attempts.
    pub history: Option<Bytes>,
    /// The mark of a job that its flow held and then admitted.
    pub admitted: Option<Admitted>,
    /// The job id of the dead letter that was replayed as this job.
    pub replay_of: Option<Bytes>,
    /// The job id of the job whose end this one reports.
    pub callback_of: Option<Bytes>,
    /// The id whose place in its line the job has, if it is not its own.
    pub place: Option<Bytes>,
    /// Since when the job waited for its turn before this delivery, Unix milliseconds.
    pub line_since: Option<u64>,
}

/// The mark of a job that its flow held and then admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is within the flow's limit, and its token was taken.
    Yes,
    /// It is the trial of whether the destination answers again.
    Trial,
    /// It exceeds the flow's limit, but may be too old to wait any longer.
    Old,
}

impl Admitted {
    /// The text of the field `_admitted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Trial => "trial",
            Self::Old => "old",
        }
    }

    /// The mark in a job's fields.
    pub fn of(fields: &Fields) -> Option<Self> {
        fields.iter().rfind(|(name, _)| name == "_admitted").and_then(|(_, value)| Self::parse(value))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        [Self::Yes, Self::Trial, Self::Old].into_iter().find(|own| own.as_str().as_bytes() == text)
    }
}

macro_rules! known_fields {
    ($($name:ident),+ $(,)?) => {
        /// The names of the fields that a producer may give.
        pub const FIELDS: &[&str] = &[$(stringify!($name),)+];

        /// The known fields of an entry, unchanged.
        #[derive(Default)]
        pub(super) struct Known {
            $(pub(super) $name: Option<Bytes>,)+
            /// The names of the first few fields that are not known.
            pub(super) unknown: Vec<Bytes>,
            pub(super) trail: Trail,
        }

        impl Known {
            fn slot(&mut self, name: &[u8]) -> Option<(&'static str, &mut Option<Bytes>)> {
                $(if name == stringify!($name).as_bytes() {
                    return Some((stringify!($name), &mut self.$name));
                })+
                None
            }
        }
    };
}

known_fields! {
    url, method, headers, body, label, delay_ms, not_before, expires_at, timeout_ms, max_attempts, retry, flow,
    order, secret, result_ttl_ms, on_success, on_failure, traceparent, tracestate, baggage, v,
}

/// How many unknown names are kept.
const UNKNOWN_MAX: usize = 8;

impl Known {
    pub(super) fn pick(fields: &Fields) -> Result<Self, Malformed> {
        let mut known = Self::default();
        for (name, value) in fields {
            if name.first() == Some(&b'_') {
                known.trail.take(name, value);
            } else if let Some((name, slot)) = known.slot(name) {
                if slot.replace(value.clone()).is_some() {
                    return Err(Malformed::new(format!("field `{name}` is given twice; give it once")));
                }
            } else if known.unknown.len() < UNKNOWN_MAX {
                known.unknown.push(name.clone());
            }
        }
        Ok(known)
    }
}

impl Trail {
    fn take(&mut self, name: &[u8], value: &Bytes) {
        match name {
            b"_job_id" if is_job_id(value) => self.job_id = Some(value.clone()),
            b"_enqueued_at" => self.at = number(value),
            b"_waited" => self.has_waited = value == "1",
            b"_attempt" => {
                // A higher number is invalid: no job can have more attempts.
                let made = number(value).and_then(|made| u32::try_from(made).ok());
                self.attempts = made.filter(|made| *made <= 100).unwrap_or(0);
            }
            b"_traceparent" if value.len() <= 128 => self.traceparent = Some(value.clone()),
            b"_replay_of" if is_job_id(value) => self.replay_of = Some(value.clone()),
            b"_callback_of" if is_job_id(value) => self.callback_of = Some(value.clone()),
            b"_place" if is_job_id(value) => self.place = Some(value.clone()),
            b"_line_since" => self.line_since = number(value),
            b"_admitted" => self.admitted = Admitted::parse(value),
            b"_history" => self.history = Some(value.clone()),
            _ => {}
        }
    }
}

/// 1 to 16 digits and nothing else: no sign, no fraction, no exponent.
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = (1..=16).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Whether it can be a job's label: 1 to 128 printable ASCII characters without a blank.
pub(crate) fn is_label(text: &[u8]) -> bool {
    (1..=128).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

/// Whether it can be a job id: `[A-Za-z0-9_-]{1,128}`.
pub fn is_job_id(text: &[u8]) -> bool {
    (1..=128).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-')
}
