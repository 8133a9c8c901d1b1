//! `tracestate`: W3C Trace Context, level 2, §3.3.

use opentelemetry::trace::TraceState;

/// §3.3.1.1.
const MEMBERS_MAX: usize = 32;

/// The members in their order, of each key the first. `None` where one is not valid, or there are too many.
pub(super) fn read(header: &str) -> Option<String> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    let mut count = 0;
    for member in header.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        count += 1;
        if !valid_key(key) || !valid_value(value) || count > MEMBERS_MAX {
            return None;
        }
        if members.iter().all(|(known, _)| *known != key) {
            members.push((key, value));
        }
    }
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if members.is_empty() { None } else { Some(members.join(",")) }
}

/// The API's type of it. `None` for keys that level 2 allows and the API forbids.
pub(super) fn parsed(members: &str) -> Option<TraceState> {
    let pairs = members.split(',').filter_map(|member| member.split_once('='));
    let state = TraceState::from_key_value(pairs).ok()?;
    (state.header() == members).then_some(state)
}

/// §3.3.1.3.1
fn valid_key(key: &str) -> bool {
    let first = key.bytes().next();
    key.len() <= 256
        && first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte))
}

/// §3.3.1.3.2
fn valid_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value.bytes().all(|byte| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_kept_in_order_or_dropped_whole() {
        assert_eq!(read("b=2, a@x=1,,").as_deref(), Some("b=2,a@x=1"));
        for wrong in ["A=1", "a", "a=", "@x=1", "a=1=2", "a=1,b", "é=1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_the_api_cannot_hold_is_known() {
        assert!(parsed("a=1,b@c=2").is_some());
        assert!(parsed("a@@b=1").is_none());
    }
}
