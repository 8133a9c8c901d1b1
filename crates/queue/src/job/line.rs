//! The line of an order key: its jobs, in the order in which they were enqueued. Pure.

use std::fmt;

use bytes::Bytes;
use sha1_smol::Sha1;

use super::entry::Fields;

/// The maximum length of an order key, bytes.
pub const ORDER_BYTES_MAX: usize = 256;

/// The line of an order key: the first 64 bits of the SHA-1 of the key, in 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId(u64);

impl LineId {
    /// The line of a key.
    pub fn of(key: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = Sha1::from(key).digest().bytes();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The place of a job in the line of its order key, as Redis sorts them: the line, the id that decides the position, and
/// the job id if it is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinePlace(Box<str>);

impl LinePlace {
    /// The place of the job with these fields and this id; `None` if it has no order key, or not a valid one.
    pub fn of(fields: &Fields, job_id: &[u8]) -> Option<Self> {
        let value = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let key = value("order").filter(|key| is_order_key(key))?;
        let position = value("_place").map_or(job_id, AsRef::as_ref);
        Some(Self::new(key, job_id, position))
    }

    fn new(key: &[u8], job_id: &[u8], position: &[u8]) -> Self {
        let job_id = String::from_utf8_lossy(job_id);
        let mut place = LineId::of(key).to_string();
        let numbers = std::str::from_utf8(position).ok().and_then(numbers);
        let id = match numbers {
            Some((millis, sequence)) => {
                for number in [millis, sequence] {
                    place.push(char::from(64 + number.len() as u8));
                    place.push_str(number);
                }
                format!("{millis}-{sequence}")
            }
            None => {
                place.push('@');
                String::new()
            }
        };
        if id != job_id {
            place.push(' ');
            place.push_str(&job_id);
        }
        Self(place.into())
    }

    /// A place that Redis returns; `None` for another text.
    pub fn parse(text: &str) -> Option<Self> {
        let place = Self(text.into());
        let is_line = text.is_char_boundary(16) && u64::from_str_radix(&text[..16], 16).is_ok();
        (is_line && !place.job_id().is_empty()).then_some(place)
    }

    /// Its text in Redis.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The line, in 16 hex digits.
    pub fn line(&self) -> &str {
        &self.0[..16]
    }

    /// The id of the job that has it; empty if the text is none of ours.
    pub fn job_id(&self) -> String {
        let rest = &self.0[16..];
        match rest.split_once(' ') {
            Some((_, job_id)) => job_id.to_owned(),
            None => self.position().unwrap_or_default(),
        }
    }

    /// The id that decides the position.
    pub fn position(&self) -> Option<String> {
        let numbers = self.0[16..].split(' ').next()?;
        let is_letter = |own: char| own.is_ascii_uppercase();
        let mut parts = numbers.strip_prefix(is_letter)?.split(is_letter);
        let (millis, sequence) = (parts.next()?, parts.next()?);
        Some(format!("{millis}-{sequence}"))
    }
}

/// The digits at the beginning of an id: `MS-SEQ`, and whatever follows.
fn numbers(id: &str) -> Option<(&str, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (millis, rest) = id.split_at(digits(id));
    let rest = rest.strip_prefix('-')?;
    let sequence = &rest[..digits(rest)];
    let is_number = |text: &str| (1..=20).contains(&text.len());
    (is_number(millis) && is_number(sequence)).then_some((millis, sequence))
}

/// Whether it can be an order key: 1 to 256 bytes.
pub(super) fn is_order_key(key: &Bytes) -> bool {
    (1..=ORDER_BYTES_MAX).contains(&key.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(fields: &[(&'static str, &'static str)], job_id: &str) -> Option<String> {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        LinePlace::of(&fields, job_id.as_bytes()).map(|place| place.as_str().to_owned())
    }

    #[test]
    fn a_place_is_sorted_by_the_id_of_its_job() {
        // SHA-1 of `a`: 86f7e437faa5a7fc…
        let a = |job_id: &str| place(&[("order", "a")], job_id).unwrap();
        assert_eq!(a("1795396101000-3"), "86f7e437faa5a7fcM1795396101000A3");
        let ids = ["7-1", "7-9", "7-10", "1795396101000-0", "1795396101000-18446744073709551615"];
        let mut sorted = ids.map(a);
        sorted.sort();
        assert_eq!(sorted, ids.map(a));
        assert_eq!(place(&[("url", "x")], "7-1"), None);
        assert_eq!(place(&[("order", "")], "7-1"), None);
    }

    #[test]
    fn a_replay_that_takes_a_place_keeps_its_own_id() {
        let replay = place(&[("order", "a"), ("_place", "7-1")], "9-0").unwrap();
        assert_eq!(replay, "86f7e437faa5a7fcA7A1 9-0");
        let parsed = LinePlace::parse(&replay).unwrap();
        assert_eq!((parsed.job_id().as_str(), parsed.position().as_deref()), ("9-0", Some("7-1")));
        assert!(replay > place(&[("order", "a")], "7-1").unwrap());
        assert!(replay < place(&[("order", "a")], "7-2").unwrap());
    }

    #[test]
    fn every_job_id_has_a_place_that_names_it() {
        for job_id in ["7-1", "7-1-8-2", "made_up", "7", "7-", "123456789012345678901-0"] {
            let place = LinePlace::parse(&place(&[("order", "a")], job_id).unwrap()).unwrap();
            assert_eq!((place.job_id().as_str(), place.line()), (job_id, "86f7e437faa5a7fc"));
        }
        for other in ["", "86f7e437faa5a7fc", "!7-1", "86f7e437faa5a7fc@"] {
            assert_eq!(LinePlace::parse(other), None, "{other}");
        }
    }
}
