//! Parts of replies.

use e2e::resp::Reply;

use crate::redis::Bytes;

/// A part of a reply.
pub(crate) fn parts(reply: &Reply) -> &[Reply] {
    if let Reply::Array(parts) = reply { parts } else { &[] }
}

pub(crate) fn bytes(reply: &Reply) -> Bytes {
    if let Reply::Bulk(bytes) = reply { bytes.clone() } else { vec![] }
}

pub(crate) fn number(reply: Option<&Reply>) -> u64 {
    if let Some(Reply::Integer(number)) = reply { number.unsigned_abs() } else { 0 }
}
