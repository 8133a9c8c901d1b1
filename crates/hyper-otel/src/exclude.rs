//! Requests that are not recorded.

use http::Uri;

use crate::pattern::{Pattern, list};

/// URLs whose requests are not recorded and get no context. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded(Vec<Pattern>);

impl Excluded {
    /// Patterns separated by commas, in which `*` matches any text: `health.example.org`,
    /// `*.internal:8080`, `https://example.org/status*`, `*/healthz`. Compared with the URL without its query
    /// and user information, without regard to case. One without a scheme matches both, one without a port
    /// URLs without one, one without a path all paths.
    pub fn listed(text: &str) -> Self {
        let whole = |pattern: &str| {
            let (scheme, rest) = pattern.split_once("://").unwrap_or(("*", pattern));
            let path = if rest.contains('/') { "" } else { "/*" };
            Pattern::new(&format!("{scheme}://{rest}{path}"))
        };
        Self(list(text).map(whole).collect())
    }

    pub(crate) fn has(&self, uri: &Uri) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let url = format!("{}://{authority}{}", uri.scheme_str().unwrap_or_default(), uri.path());
        self.0.iter().any(|pattern| pattern.matches(&url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_about_host_port_and_path() {
        let has = |patterns: &str, url: &str| Excluded::listed(patterns).has(&url.parse().expect("a URL"));
        for (patterns, url) in [
            ("a.test", "http://a.test/x?y"),
            ("other.test, A.test", "https://a.test"),
            ("*.test:8080", "http://me:pw@a.test:8080/"),
            ("https://a.test/status*", "https://a.test/status/1"),
            ("*/healthz", "http://a.test/healthz?x=1"),
        ] {
            assert!(has(patterns, url), "{patterns} {url}");
        }
        for (patterns, url) in [
            ("", "http://a.test/"),
            ("a.test", "http://b.a.test/"),
            ("a.test", "http://a.test:8080/"),
            ("https://a.test", "http://a.test/"),
            ("a.test/status", "http://a.test/status/1"),
        ] {
            assert!(!has(patterns, url), "{patterns} {url}");
        }
    }
}
