//! The known methods; all others are `_OTHER`.

use http::Method;
use otel_facade::intern;

use crate::pattern::list;

/// The known methods. Default: those of RFC 9110, PATCH and QUERY. Compared exactly, since methods are
/// case-sensitive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods(Option<Vec<&'static str>>);

const KNOWN: &[&str] =
    &["POST", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY"];

impl Methods {
    /// These and no others, separated by commas: the value of `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    pub fn listed(text: &str) -> Self {
        Self(Some(list(text).filter_map(|method| intern(method.to_owned())).collect()))
    }

    pub(crate) fn known(&self, method: &Method) -> Option<&'static str> {
        let known = self.0.as_deref().unwrap_or(KNOWN);
        known.iter().copied().find(|known| *known == method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_the_place_of_the_known_methods() {
        let known = |methods: &Methods, text: &str| methods.known(&text.parse().expect("a method"));
        let standard = Methods::default();
        assert_eq!(["GET", "get", "PURGE"].map(|method| known(&standard, method)), [Some("GET"), None, None]);
        let listed = Methods::listed("GET, PURGE");
        assert_eq!(
            ["GET", "PURGE", "POST"].map(|method| known(&listed, method)),
            [Some("GET"), Some("PURGE"), None]
        );
    }
}
