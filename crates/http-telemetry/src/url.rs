//! URLs as a span may show them.

use std::fmt::Write;

use http::Uri;

/// A longer URL is cut, since the SDK has no limit of its own.
const LONGEST: usize = 2048;

/// Query parameters whose values do not reach a span, compared without regard to case: those of the
/// conventions (`docs/http/http-spans.md`), of the Python instrumentation, and the common names of secrets.
const SECRET: [&str; 19] = [
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "awsaccesskeyid",
    "sig",
    "signature",
    "token",
    "access_token",
    "auth",
    "authorization",
    "key",
    "api_key",
    "apikey",
    "code",
    "password",
    "passwd",
    "secret",
    "client_secret",
];

/// What of a URL is not shown: user information, and the values of query parameters that are known to hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction(Option<Vec<String>>);

impl Redaction {
    /// Hides the values of these query parameters, and of no others. They are compared without regard to case.
    pub fn of_parameters<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Some(names.into_iter().map(str::to_owned).collect()))
    }

    fn hides(&self, name: &str) -> bool {
        match &self.0 {
            None => SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret)),
            Some(names) => names.iter().any(|secret| name.eq_ignore_ascii_case(secret)),
        }
    }

    /// The absolute URL with `REDACTED` in place of what is hidden. Everything else stays as it was written. At most
    /// 2,048 bytes.
    pub fn apply(&self, uri: &Uri) -> String {
        let mut url = String::with_capacity(128);
        if let Some(scheme) = uri.scheme_str() {
            url.push_str(scheme);
            url.push_str("://");
        }
        if let Some(authority) = uri.authority() {
            let authority = authority.as_str();
            match authority.rsplit_once('@') {
                Some((_, host)) => {
                    let _ = write!(url, "REDACTED:REDACTED@{host}");
                }
                None => url.push_str(authority),
            }
        }
        url.push_str(uri.path());
        if let Some(query) = uri.query() {
            self.push_query(query, &mut url);
        }
        url.truncate(url.floor_char_boundary(LONGEST));
        url
    }

    fn push_query(&self, query: &str, url: &mut String) {
        for (index, pair) in query.split('&').enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            match pair.split_once('=') {
                Some((name, _)) if self.hides(name) => {
                    let _ = write!(url, "{name}=REDACTED");
                }
                _ => url.push_str(pair),
            }
        }
    }
}

/// A URL as a span shows it where nothing else is set: [`Redaction::apply`] of the default.
pub fn redacted(uri: &Uri) -> String {
    Redaction::default().apply(uri)
}

/// The host without the brackets of an IPv6 address.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// The port, also where it is only implied by the scheme.
pub(crate) fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, shown: &str) {
        assert_eq!(redacted(&url.parse().unwrap()), shown);
    }

    #[test]
    fn secrets_are_redacted_and_nothing_else_is_changed() {
        check("http://me:pw@h:1/p", "http://REDACTED:REDACTED@h:1/p");
        check("https://h/a%20b?x=%2F&Sig=abc&y", "https://h/a%20b?x=%2F&Sig=REDACTED&y");
        check("https://h/?token=&a=b", "https://h/?token=REDACTED&a=b");
        check("http://h", "http://h/");
    }

    #[test]
    fn a_list_takes_the_place_of_the_known_parameters() {
        let url = "http://me@h/?token=a&Mine=b".parse().unwrap();
        let shown = Redaction::of_parameters(["mine"]).apply(&url);
        assert_eq!(shown, "http://REDACTED:REDACTED@h/?token=a&Mine=REDACTED");
    }

    #[test]
    fn a_long_url_is_cut() {
        let url = format!("http://h/{}", "x".repeat(5000));
        assert_eq!(redacted(&url.parse().unwrap()).len(), LONGEST);
    }

    #[test]
    fn the_port_is_known_without_being_written() {
        assert_eq!(port(&"https://h/".parse().unwrap()), Some(443));
        assert_eq!(port(&"http://h:8080/".parse().unwrap()), Some(8080));
    }
}
