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

/// The absolute URL without what may be secret: user info, and the values of query parameters that are known
/// to hold secrets, become `REDACTED`. Everything else stays as it was written. At most 2,048 bytes.
pub fn redacted(uri: &Uri) -> String {
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
        push_query(query, &mut url);
    }
    url.truncate(url.floor_char_boundary(LONGEST));
    url
}

fn push_query(query: &str, url: &mut String) {
    for (index, pair) in query.split('&').enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret)) => {
                let _ = write!(url, "{name}=REDACTED");
            }
            _ => url.push_str(pair),
        }
    }
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
