//! Arguments of scripts.

use bytes::Bytes;
use fred::types::Value;

use crate::job::{EntryId, Fields, Lease};

/// Sends a number as text: a script must not see it as a float.
pub(crate) fn number(number: u64) -> Value {
    // Most are delivery counts.
    const SMALL: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
    match SMALL.get(usize::try_from(number).unwrap_or(usize::MAX)) {
        Some(text) => Value::from_static_str(text),
        None => number.to_string().into(),
    }
}

/// Adds the entry and the delivery count of each lease.
pub(crate) fn push_leases(args: &mut Vec<Value>, leases: &[Lease]) {
    args.reserve(2 * leases.len());
    for (lease, id) in leases.iter().zip(ids(leases)) {
        args.push(id);
        args.push(number(lease.delivery));
    }
}

/// The ids of entries. All are slices of one text, so that an id costs no allocation, nor does its copy.
pub(crate) fn ids(leases: &[Lease]) -> impl Iterator<Item = Value> {
    let mut ids = String::with_capacity(leases.len() * EntryId::USUAL_LENGTH);
    let ends: Vec<usize> = leases
        .iter()
        .map(|lease| {
            lease.entry.push_to(&mut ids);
            ids.len()
        })
        .collect();
    let ids = Bytes::from(ids);
    let mut start = 0;
    ends.into_iter().map(move |end| Value::Bytes(ids.slice(std::mem::replace(&mut start, end)..end)))
}

pub(crate) fn push_fields(args: &mut Vec<Value>, fields: &Fields) {
    args.reserve(2 * fields.len());
    for (name, value) in fields {
        args.push(name.clone().into());
        args.push(value.clone().into());
    }
}
