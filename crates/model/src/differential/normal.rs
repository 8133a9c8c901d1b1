//! Brings replies into a form in which what may differ does not.

use e2e::resp::Reply;
use postrider_queue::internals::without_line;

use super::Step;

/// The names in the replies of `XINFO` that the model has.
const NAMES: [&[u8]; 6] =
    [b"name", b"consumers", b"pending", b"last-delivered-id", b"length", b"last-generated-id"];

/// The scripts that reply why a record is refused.
const ENDING: [&str; 6] = [
    "complete",
    "complete_with_result",
    "dead_letter",
    "dead_letter_entry",
    "cancel_ready",
    "cancel_waiting",
];

/// A reply without what may differ: the text of an error after its code, the order of a hash, what a version adds to
/// `XINFO`.
pub(super) fn reply(step: &Step, reply: Reply) -> Reply {
    let reply = code_only(reply);
    match step {
        Step::Command(words) if words[0] == b"HGETALL" => sorted_pairs(reply),
        Step::Command(words) if words[0] == b"XINFO" && words[1] == b"GROUPS" => match reply {
            Reply::Array(groups) => Reply::Array(groups.into_iter().map(known_pairs).collect()),
            other => other,
        },
        Step::Command(words) if words[0] == b"XINFO" => known_pairs(reply),
        Step::Script(call) if ENDING.contains(&call.script.trim_end_matches("_in_line")) => match reply {
            Reply::Array(parts) => Reply::Array(parts.into_iter().map(refusal_code).collect()),
            other => other,
        },
        Step::Script(call) if ["sweep", "control"].contains(&call.script) => sorted_rows(reply),
        _ => reply,
    }
}

/// Of a list of letters and why a record is refused: of the latter, the code. Redis 6.2 has none for a missing right.
fn refusal_code(part: Reply) -> Reply {
    let Reply::Bulk(text) = &part else { return part };
    let text = String::from_utf8_lossy(text);
    match without_line(&text).split_once(' ') {
        Some((code, _)) if code.bytes().all(|byte| byte.is_ascii_uppercase()) => Reply::Bulk(code.into()),
        Some(_) => Reply::Bulk("ERR".into()),
        None => part.clone(),
    }
}

fn code_only(reply: Reply) -> Reply {
    match reply {
        Reply::Error(text) => Reply::Error(text.split(' ').next().unwrap_or_default().to_owned()),
        Reply::Array(replies) => Reply::Array(replies.into_iter().map(code_only).collect()),
        Reply::Bulk(bytes) if bytes.starts_with(b"{") => match serde_json::from_slice(&bytes) {
            Ok(json) => Reply::Bulk(ordered(json).to_string().into_bytes()),
            Err(_) => Reply::Bulk(bytes),
        },
        other => other,
    }
}

/// An object with its fields in ascending order.
fn ordered(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name, ordered(value))).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            serde_json::Value::Object(fields.into_iter().collect())
        }
        other => other,
    }
}

fn pairs(reply: Reply) -> Vec<Reply> {
    let Reply::Array(flat) = reply else { return vec![reply] };
    let mut pairs: Vec<_> = flat.chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect();
    pairs.sort_by_key(|pair| format!("{pair:?}"));
    pairs
}

fn sorted_pairs(reply: Reply) -> Reply {
    Reply::Array(pairs(reply))
}

fn known_pairs(reply: Reply) -> Reply {
    let is_known = |pair: &Reply| match pair {
        Reply::Array(pair) => matches!(&pair[0], Reply::Bulk(name) if NAMES.contains(&name.as_slice())),
        _ => true,
    };
    Reply::Array(pairs(reply).into_iter().filter(is_known).collect())
}

/// The lists in a reply, each in a stable order.
fn sorted_rows(reply: Reply) -> Reply {
    let sorted = |part: Reply| match part {
        Reply::Array(mut rows) => {
            rows.sort_by_key(|row| format!("{row:?}"));
            Reply::Array(rows)
        }
        other => other,
    };
    match reply {
        Reply::Array(parts) => Reply::Array(parts.into_iter().map(sorted).collect()),
        other => other,
    }
}
