//! HTTP headers as a carrier of context.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use telemetry::Carrier;

/// A borrowed header map.
pub(crate) struct Headers<'a>(pub(crate) &'a mut HeaderMap);

impl Carrier for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let only = values.next()?;
        if values.next().is_some() { None } else { only.to_str().ok() }
    }

    fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        let values: Option<Vec<&str>> =
            self.0.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        match values?.as_slice() {
            [] => None,
            [only] => Some(Cow::Borrowed(only)),
            several => Some(Cow::Owned(several.join(","))),
        }
    }

    fn set(&mut self, name: &'static str, value: String) {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.0.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_may_be_split_are_joined() {
        let mut map = HeaderMap::new();
        assert_eq!(Headers(&mut map).joined("tracestate"), None);
        map.append("tracestate", HeaderValue::from_static("a=1"));
        map.append("tracestate", HeaderValue::from_static("b=2"));
        assert_eq!(Headers(&mut map).joined("tracestate").as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn a_header_that_stands_twice_is_not_read() {
        let mut map = HeaderMap::new();
        map.append("traceparent", HeaderValue::from_static("a"));
        assert_eq!(Headers(&mut map).get("traceparent"), Some("a"));
        map.append("traceparent", HeaderValue::from_static("b"));
        assert_eq!(Headers(&mut map).get("traceparent"), None);
    }
}
