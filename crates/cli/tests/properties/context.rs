//! Whatever a producer wrote to `traceparent` and `tracestate`, it is a context by W3C Trace Context §3.2 or none,
//! and a context is written as it was read.

use telemetry::{Carrier, Context};

struct Fields<'a> {
    traceparent: &'a str,
    tracestate: Option<&'a str>,
}

impl Carrier for Fields<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            "traceparent" => Some(self.traceparent),
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn set(&mut self, _: &'static str, _: String) {}
}

/// `traceparent`, and after a line feed `tracestate`.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (traceparent, tracestate) = match text.split_once('\n') {
        Some((traceparent, tracestate)) => (traceparent, Some(tracestate)),
        None => (text, None),
    };
    let context = Context::extract(&Fields { traceparent, tracestate });
    let Some(written) = context.traceparent() else { return };
    let parts: Vec<&str> = written.split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{written}");
    assert!(
        parts.iter().all(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))),
        "{written}"
    );
    assert!(parts[1..3].iter().all(|id| id.bytes().any(|byte| byte != b'0')), "{written}");
    // Version 00, and later ones that begin alike, are read; their ids are kept.
    assert!(
        traceparent.trim().get(3..52).is_some_and(|ids| ids.eq_ignore_ascii_case(&written[3..52])),
        "{text}"
    );
}
