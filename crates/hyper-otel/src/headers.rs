//! HTTP headers as a carrier of context.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use otel_facade::Carrier;

/// A borrowed header map, and what may be written to it.
pub(crate) struct Headers<'a> {
    pub(crate) map: &'a mut HeaderMap,
    pub(crate) traces: bool,
    pub(crate) baggage: bool,
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

impl Carrier for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.map.get_all(name).iter();
        let only = values.next()?;
        if values.next().is_some() { None } else { only.to_str().ok() }
    }

    fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        let values: Option<Vec<&str>> =
            self.map.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        match values?.as_slice() {
            [] => None,
            [only] => Some(Cow::Borrowed(only)),
            several => Some(Cow::Owned(several.join(","))),
        }
    }

    fn set(&mut self, name: &'static str, value: String) {
        let may = if name == "baggage" { self.baggage } else { self.traces };
        if let (true, Ok(value)) = (may, HeaderValue::try_from(value)) {
            if name == "traceparent" {
                // The request's own value belongs to another span; this span's follows.
                self.map.remove(TRACESTATE);
                // A known name need not be checked for each request.
                self.map.insert(TRACEPARENT, value);
            } else {
                self.map.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(map: &mut HeaderMap) -> Headers<'_> {
        Headers { map, traces: true, baggage: true }
    }

    #[test]
    fn headers_that_may_be_split_are_joined() {
        let mut map = HeaderMap::new();
        assert_eq!(headers(&mut map).joined("tracestate"), None);
        map.append("tracestate", HeaderValue::from_static("a=1"));
        map.append("tracestate", HeaderValue::from_static("b=2"));
        assert_eq!(headers(&mut map).joined("tracestate").as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn a_header_that_stands_twice_is_not_read() {
        let mut map = HeaderMap::new();
        map.append("traceparent", HeaderValue::from_static("a"));
        assert_eq!(Headers { map: &mut map, traces: true, baggage: false }.get("traceparent"), Some("a"));
        map.append("traceparent", HeaderValue::from_static("b"));
        assert_eq!(Headers { map: &mut map, traces: true, baggage: false }.get("traceparent"), None);
    }

    #[test]
    fn only_what_may_be_sent_is_written_and_an_old_state_goes() {
        let written = |traces, baggage| {
            let mut map = HeaderMap::new();
            map.insert("tracestate", HeaderValue::from_static("old"));
            let mut headers = Headers { map: &mut map, traces, baggage };
            headers.set("traceparent", "t".to_owned());
            headers.set("baggage", "b".to_owned());
            ["traceparent", "tracestate", "baggage"].map(|name| map.contains_key(name))
        };
        assert_eq!(written(true, false), [true, false, false]);
        assert_eq!(written(false, true), [false, true, true]);
        assert_eq!(written(true, true), [true, false, true]);
    }
}
