//! Stream entries: their ids, their fields, and the right to work on one.

use std::fmt;

use bytes::Bytes;

/// The id of a stream entry, `MS-SEQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Unix milliseconds, by the Redis server's clock or as a producer set them.
    pub millis: u64,
    /// Counts within a millisecond.
    pub sequence: u64,
}

impl EntryId {
    /// Reads an id as Redis writes it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (millis, sequence) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { millis: millis.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// The right of this worker to work on one delivery of a job.
///
/// Redis knows it by entry, consumer and delivery count; the epoch tells deliveries apart that look the same
/// because the consumer group was made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The entry.
    pub entry: EntryId,
    /// How often the entry has been delivered, this time included.
    pub delivery: u64,
    /// How often this process has made the group anew.
    pub epoch: u32,
}

/// The fields of an entry in their order, names and values as they came.
pub type Fields = Vec<(Bytes, Bytes)>;

/// An entry that was read or taken over.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The right to work on it.
    pub lease: Lease,
    /// What it holds.
    pub fields: Fields,
}

/// More than this an entry may not hold, names and values together.
pub const MOST_BYTES: usize = 4 << 20;

impl Delivery {
    /// How much it holds, names and values together.
    pub fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether it holds more than an entry may.
    pub fn is_too_large(&self) -> bool {
        self.bytes() > MOST_BYTES
    }
}

/// The producer's W3C context in the fields of an entry, for reading.
pub struct Producer<'a>(pub &'a Fields);

impl telemetry::Carrier for Producer<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(own, _)| own.as_ref() == name.as_bytes());
        let (_, value) = values.next()?;
        if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
    }

    /// An entry that was read is not written.
    fn set(&mut self, _: &'static str, _: String) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_and_written_alike_and_ordered_by_time() {
        let id = EntryId::parse(b"1795396101000-12").unwrap();
        assert_eq!(id.to_string(), "1795396101000-12");
        assert!(id > EntryId::parse(b"1795396101000-2").unwrap());
        assert!(EntryId::parse(b"18446744073709551615-18446744073709551615").is_some());
        for wrong in ["", "1", "1-", "-1", "a-1", "1-1-1", "18446744073709551616-0"] {
            assert!(EntryId::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
