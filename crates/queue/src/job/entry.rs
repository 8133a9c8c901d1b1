//! Stream entries: their ids, their fields, and the right to work on one.

use std::fmt;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use telemetry::Context;

use super::headers::FIELD_BYTES_MAX;

/// The id of a stream entry, `MS-SEQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Unix milliseconds, by the Redis server's clock or as a producer set them.
    pub millis: u64,
    /// The number within the millisecond.
    pub sequence: u64,
}

impl EntryId {
    /// Reads an id as Redis writes it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (millis, sequence) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { millis: millis.parse().ok()?, sequence: sequence.parse().ok()? })
    }

    /// Adds its text.
    pub(crate) fn push_to(self, text: &mut String) {
        let mut digits = itoa::Buffer::new();
        text.push_str(digits.format(self.millis));
        text.push('-');
        text.push_str(digits.format(self.sequence));
    }

    /// Its text.
    pub(crate) fn text(self) -> Bytes {
        let mut text = String::with_capacity(Self::USUAL_LENGTH);
        self.push_to(&mut text);
        text.into()
    }

    /// The usual length of its text: 13 digits of a time, a dash, and a few more digits.
    pub(crate) const USUAL_LENGTH: usize = 17;
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// The right of this worker to work on one delivery of a job.
///
/// Redis identifies it by entry, consumer and delivery count. These can repeat after the consumer group was
/// recreated; then the epoch distinguishes the deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The entry.
    pub entry: EntryId,
    /// How often the entry has been delivered, including this time.
    pub delivery: u64,
    /// How often this process has recreated the group.
    pub epoch: u32,
}

/// The fields of an entry in their order, names and values unchanged.
pub type Fields = Vec<(Bytes, Bytes)>;

/// An entry that was fetched or taken over.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The right to work on it.
    pub lease: Lease,
    /// Its fields.
    pub fields: Fields,
    /// The first span of the job, if its fields contain no parent.
    pub first_span: OnceLock<Context>,
    /// The bytes of the entry, if Redis kept its large fields: it can only be dead-lettered.
    pub whole_bytes: Option<usize>,
    /// The maximum of [`Delivery::bytes`]. Default: [`ENTRY_BYTES_MAX`].
    pub bytes_max: usize,
}

/// The maximum size of a job in bytes, unless the worker has another one: names and values of the fields that its
/// producer gave.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

impl Delivery {
    /// A delivery without a span so far.
    pub fn new(lease: Lease, fields: Fields) -> Self {
        Self { lease, fields, first_span: OnceLock::new(), whole_bytes: None, bytes_max: ENTRY_BYTES_MAX }
    }

    /// The size of its producer's fields, names and values together. What the worker has added does not count, so
    /// that a job that was accepted once stays acceptable.
    pub fn bytes(&self) -> usize {
        let own = self.fields.iter().filter(|(name, _)| name.first() != Some(&b'_'));
        self.whole_bytes.unwrap_or_else(|| own.map(|(name, value)| name.len() + value.len()).sum())
    }

    /// The size of all fields that arrived, names and values together.
    pub fn bytes_here(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Copies the fields into their own memory: those of a reply share its memory, which is not freed before the
    /// last of them.
    pub(crate) fn detach(&mut self) {
        let mut copy = BytesMut::with_capacity(self.bytes_here());
        for part in self.fields.iter_mut().flat_map(|(name, value)| [name, value]) {
            copy.extend_from_slice(part);
            *part = copy.split().freeze();
        }
    }

    /// Whether it is larger than its maximum.
    pub fn is_too_large(&self) -> bool {
        self.bytes() > self.bytes_max
    }
}

/// Reads the producer's W3C context from the fields of an entry before the job is decoded: from the fields of
/// those names, or without a field `traceparent`, from the job's headers.
pub struct Producer<'a>(pub &'a Fields);

impl telemetry::Carrier for Producer<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let field = |name: &str| self.0.iter().find(|(own, _)| own.as_ref() == name.as_bytes());
        if field("traceparent").is_none()
            && let Some(header) = field("headers").and_then(|(_, headers)| header(headers, name))
        {
            return Some(header);
        }
        let mut values = self.0.iter().filter(|(own, _)| own.as_ref() == name.as_bytes());
        let (_, value) = values.next()?;
        if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
    }

    /// Does nothing: a fetched entry is not changed.
    fn set(&mut self, _: &'static str, _: String) {}
}

/// The only value of a header. Headers without the name are not parsed.
fn header<'a>(headers: &'a [u8], name: &str) -> Option<&'a str> {
    let is_name = |part: &[u8]| part.eq_ignore_ascii_case(name.as_bytes());
    if headers.len() > FIELD_BYTES_MAX || !headers.windows(name.len()).any(is_name) {
        return None;
    }
    let mut json = serde_json::Deserializer::from_slice(headers);
    json.deserialize_map(Header { name }).ok().flatten()
}

/// Finds a header in JSON.
struct Header<'a> {
    name: &'a str,
}

/// The value of a header in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values<'a> {
    One(&'a str),
    #[serde(borrow)]
    List(Vec<&'a str>),
}

impl<'de> Visitor<'de> for Header<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut headers: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = headers.next_key::<String>()? {
            if !name.eq_ignore_ascii_case(self.name) {
                headers.next_value::<IgnoredAny>()?;
                continue;
            }
            let values = match headers.next_value()? {
                Values::One(value) => vec![value],
                Values::List(values) => values,
            };
            for value in values {
                if found.replace(value).is_some() {
                    return Ok(None);
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use telemetry::Carrier;

    use super::*;

    #[test]
    fn a_producers_context_is_in_the_fields_or_in_the_headers() {
        let get = |pairs: &[(&'static str, &'static str)]| {
            let fields = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            Producer(&fields).get("traceparent").map(str::to_owned)
        };
        let headers = r#"{"x":["1"],"TraceParent":"p","y":{"traceparent":"no"}}"#;
        assert_eq!(get(&[("headers", headers)]).as_deref(), Some("p"));
        assert_eq!(get(&[("headers", r#"{"traceparent":["p"]}"#)]).as_deref(), Some("p"));
        assert_eq!(get(&[("headers", headers), ("traceparent", "f")]).as_deref(), Some("f"));
        assert_eq!(get(&[("traceparent", "f"), ("traceparent", "f")]), None);
        for none in [
            r#"{"traceparent":["p","q"]}"#,
            r#"{"traceparent":"p","TRACEPARENT":"q"}"#,
            "{\"traceparent\"",
            "[]",
        ] {
            assert_eq!(get(&[("headers", none)]), None, "{none}");
        }
    }

    #[test]
    fn an_id_is_read_and_written_alike_and_ordered_by_time() {
        let id = EntryId::parse(b"1795396101000-12").unwrap();
        assert_eq!(
            (id.to_string().as_str(), id.text().as_ref()),
            ("1795396101000-12", &b"1795396101000-12"[..])
        );
        assert!(id > EntryId::parse(b"1795396101000-2").unwrap());
        assert!(EntryId::parse(b"18446744073709551615-18446744073709551615").is_some());
        for wrong in ["", "1", "1-", "-1", "a-1", "1-1-1", "18446744073709551616-0"] {
            assert!(EntryId::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
