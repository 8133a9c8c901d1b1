//! Headers that become attributes on request.

use http::{HeaderMap, HeaderName, HeaderValue};
use otel_facade::{intern, semconv};

use crate::pattern::{Pattern, list};

/// Which headers of requests and responses become attributes. Default: none.
///
/// The values of headers that hold credentials are never shown: those of `authorization`,
/// `proxy-authorization`, `cookie` and `set-cookie`, and those that are marked as sensitive
/// ([`HeaderValue::set_sensitive`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    request: Vec<Pattern>,
    response: Vec<Pattern>,
    sanitized: Vec<Pattern>,
}

const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
const REDACTED: &str = "[REDACTED]";

impl Captured {
    /// Names of request headers, separated by commas; `*` matches any text. The value of
    /// `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST`.
    #[must_use]
    pub fn request(mut self, names: &str) -> Self {
        self.request = patterns(names);
        self
    }

    /// Names of response headers, in the same way. The value of
    /// `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE`.
    #[must_use]
    pub fn response(mut self, names: &str) -> Self {
        self.response = patterns(names);
        self
    }

    /// Names of headers whose values become `[REDACTED]`, besides those that always do. The value of
    /// `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS`.
    #[must_use]
    pub fn sanitized(mut self, names: &str) -> Self {
        self.sanitized = patterns(names);
        self
    }

    pub(crate) fn of_request(&self, headers: &HeaderMap, set: impl FnMut(&'static str, Vec<String>)) {
        self.show(&self.request, semconv::HTTP_REQUEST_HEADER, headers, set);
    }

    pub(crate) fn of_response(&self, headers: &HeaderMap, set: impl FnMut(&'static str, Vec<String>)) {
        self.show(&self.response, semconv::HTTP_RESPONSE_HEADER, headers, set);
    }

    fn show(
        &self,
        shown: &[Pattern],
        prefix: &str,
        headers: &HeaderMap,
        mut set: impl FnMut(&'static str, Vec<String>),
    ) {
        let mut show = |name: &HeaderName| {
            let values: Vec<String> =
                headers.get_all(name).iter().map(|value| self.value(name.as_str(), value)).collect();
            if let (false, Some(key)) = (values.is_empty(), intern(format!("{prefix}{name}"))) {
                set(key, values);
            }
        };
        // Without a listed name no header is read.
        if shown.iter().all(|pattern| pattern.exact().is_some()) {
            shown
                .iter()
                .filter_map(|name| HeaderName::try_from(name.exact()?).ok())
                .for_each(|name| show(&name));
        } else {
            headers.keys().filter(|name| any(shown, name.as_str())).for_each(show);
        }
    }

    fn value(&self, name: &str, value: &HeaderValue) -> String {
        if value.is_sensitive() || SECRET.contains(&name) || any(&self.sanitized, name) {
            REDACTED.to_owned()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        }
    }
}

fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// `.*` is also read as `*`: other instrumentations take regular expressions in these variables.
fn patterns(names: &str) -> Vec<Pattern> {
    list(names).map(|name| Pattern::new(&name.replace(".*", "*"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(
        captured: &Captured,
        headers: &[(&'static str, &'static str)],
    ) -> Vec<(&'static str, Vec<String>)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let mut shown = vec![];
        captured.of_request(&map, |key, values| shown.push((key, values)));
        shown
    }

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn what_is_asked_for_is_shown_with_all_its_values_and_nothing_else() {
        let headers = [("x-one", "1"), ("x-one", "2"), ("x-two", "3"), ("accept", "4")];
        assert_eq!(shown(&Captured::default(), &headers), []);
        let captured = Captured::default().request("X-One, absent");
        assert_eq!(shown(&captured, &headers), [("http.request.header.x-one", texts(&["1", "2"]))]);
        let names = |names: &str| {
            let shown = shown(&Captured::default().request(names), &headers);
            shown.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(names("x-.*"), ["http.request.header.x-one", "http.request.header.x-two"]);
        assert_eq!(names("*").len(), 3);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let headers = [("authorization", "Bearer hunter2"), ("x-key", "hunter2"), ("cookie", "hunter2")];
        let captured = Captured::default().request("*").sanitized("x-k.*");
        let shown = shown(&captured, &headers);
        assert_eq!(shown.len(), 3);
        assert!(shown.iter().all(|(_, values)| *values == texts(&["[REDACTED]"])), "{shown:?}");
    }

    #[test]
    fn a_value_that_is_marked_as_sensitive_is_never_shown() {
        let mut value = HeaderValue::from_static("hunter2");
        value.set_sensitive(true);
        let map = HeaderMap::from_iter([(HeaderName::from_static("x-api"), value)]);
        for names in ["*", "x-api"] {
            let mut shown = vec![];
            Captured::default().request(names).of_request(&map, |_, values| shown.extend(values));
            assert_eq!(shown, ["[REDACTED]"]);
        }
    }
}
