//! The traces of a job, and their addresses in the tracing backend.

use postrider_queue::job::Fields;
use postrider_queue::work::history;

use super::mask::field;

/// The trace of a job: that of its last attempt, else of what the worker or a tool did with it, else its producer's.
pub fn trace_id(fields: &Fields) -> Option<String> {
    let history = field(fields, "_history").and_then(history::last);
    let last = history.and_then(|last| last["trace_id"].as_str().map(str::to_owned));
    let origin = || ["_traceparent", "traceparent"].iter().find_map(|name| of_context(field(fields, name)?));
    last.filter(|id| is_trace_id(id)).or_else(origin)
}

/// The trace id of a `traceparent`.
fn of_context(traceparent: &[u8]) -> Option<String> {
    let id = std::str::from_utf8(traceparent).ok()?.split('-').nth(1)?;
    is_trace_id(id).then(|| id.to_owned())
}

/// The address of a trace; `None` if this is no trace id. `pattern` has `{trace_id}` in place of it.
pub fn trace_address(pattern: &str, trace_id: &str) -> Option<String> {
    is_trace_id(trace_id).then(|| pattern.replace("{trace_id}", trace_id))
}

fn is_trace_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, String)]) -> Option<String> {
        trace_id(&pairs.iter().map(|(name, value)| ((*name).into(), value.clone().into())).collect())
    }

    #[test]
    fn the_last_attempt_has_the_trace_of_a_job() {
        let id = |digit: &str| digit.repeat(32);
        let context = |digit: &str| format!("00-{}-b7ad6b7169203331-01", id(digit));
        let history = |id: &str| {
            format!(r#"[{{"attempt":1,"trace_id":"{}"}},{{"attempt":2,"trace_id":"{id}"}}]"#, "9".repeat(32))
        };
        let producer = ("traceparent", context("a"));
        let kept = ("_traceparent", context("b"));
        assert_eq!(of(&[producer.clone(), kept.clone(), ("_history", history(&id("c")))]), Some(id("c")));
        assert_eq!(of(&[producer.clone(), kept, ("_history", history("x"))]), Some(id("b")));
        assert_eq!(of(&[producer]), Some(id("a")));
        assert_eq!(of(&[("traceparent", "00-x-y-01".to_owned())]), None);
    }

    #[test]
    fn only_a_trace_id_becomes_an_address() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let address = trace_address("http://t/{trace_id}?x", id);
        assert_eq!(address.as_deref(), Some("http://t/0af7651916cd43dd8448eb211c80319c?x"));
        assert_eq!(trace_address("http://t/{trace_id}", "../../x"), None);
    }
}
