//! Parts of replies.

use e2e::resp::Reply;

use crate::redis::Bytes;

/// A part of a reply.
pub(super) fn parts(reply: &Reply) -> &[Reply] {
    if let Reply::Array(parts) = reply { parts } else { &[] }
}

pub(super) fn bytes(reply: &Reply) -> Bytes {
    if let Reply::Bulk(bytes) = reply { bytes.clone() } else { vec![] }
}

pub(super) fn number(reply: Option<&Reply>) -> u64 {
    if let Some(Reply::Integer(number)) = reply { number.unsigned_abs() } else { 0 }
}
