//! Patterns of hosts.

use std::fmt;
use std::str::FromStr;

/// A host, all hosts below a name, or all; on one port or on any. Written `HOST`, `*.HOST` or `*`, each also with
/// `:PORT`; an IPv6 address in brackets. Hosts are compared as they are written in URLs, not by their addresses: without
/// regard to case, and to a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// In lower case; empty for all hosts, and with a leading dot for the hosts below a name.
    host: String,
    port: Option<u16>,
}

/// A host that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no host: write HOST, *.HOST or *, each also with :PORT, as api.example.org or *.internal:8080"
)]
pub struct BadHostPattern(String);

impl HostPattern {
    /// The port that it is limited to.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether a URL's host is covered. `port` is also that which the scheme implies; `None` if it is unknown.
    pub fn covers(&self, host: &str, port: Option<u16>) -> bool {
        (self.port.is_none() || self.port == port) && covers(&self.host, host)
    }
}

/// Whether a host is `own`, or below it if `own` begins with a dot. All are below an empty one.
pub(crate) fn covers(own: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if own.is_empty() {
        return true;
    }
    let Some(start) = host.len().checked_sub(own.len()) else { return false };
    let may_be_longer = start > 0 && own.starts_with('.');
    (start == 0 || may_be_longer) && host.as_bytes()[start..].eq_ignore_ascii_case(own.as_bytes())
}

impl FromStr for HostPattern {
    type Err = BadHostPattern;

    fn from_str(text: &str) -> Result<Self, BadHostPattern> {
        let bad = || BadHostPattern(text.to_owned());
        let (host, port) = split_port(text).ok_or_else(bad)?;
        let host = match host {
            "*" => String::new(),
            _ => match host.strip_prefix("*.") {
                Some(name) => format!(".{}", read_host(name).ok_or_else(bad)?),
                None => read_host(host).ok_or_else(bad)?,
            },
        };
        Ok(Self { host, port })
    }
}

/// The parts of `TEXT` or `TEXT:PORT`: a text and the port at its end; `None` if that is not a port. `[::1]` is an address without one.
pub fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port > 0)?;
            Some((host, Some(port)))
        }
        _ => Some((text, None)),
    }
}

/// The host of a URL, in lower case and without a dot at its end.
fn read_host(text: &str) -> Option<String> {
    let host = text.strip_suffix('.').unwrap_or(text);
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    is_host.then(|| host.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_str() {
            "" => f.write_str("*")?,
            host if host.starts_with('.') => write!(f, "*{host}")?,
            host => f.write_str(host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    fn covers(pattern: &str, url: &str) -> bool {
        let (pattern, uri): (HostPattern, Uri) =
            (pattern.parse().expect("a host"), url.parse().expect("a URL"));
        pattern.covers(uri.host().expect("an absolute URL"), crate::url::port(&uri))
    }

    #[test]
    fn a_host_is_covered_as_it_is_written_or_by_the_name_above_it() {
        for (host, url) in [
            ("example.org", "https://EXAMPLE.org/x"),
            ("example.org", "https://example.org.:8443/"),
            ("example.org.", "https://example.org/"),
            ("*.example.org", "http://a.b.example.org/"),
            ("example.org:443", "https://example.org/"),
            ("*:8080", "http://anything:8080/"),
            ("*", "http://anything/"),
            ("[::1]:80", "http://[::1]/"),
            ("127.0.0.1", "http://127.0.0.1:1/"),
        ] {
            assert!(covers(host, url), "{host} {url}");
        }
        for (host, url) in [
            ("example.org", "http://a.example.org/"),
            ("*.example.org", "http://example.org/"),
            ("*.example.org", "http://badexample.org/"),
            ("example.org:443", "http://example.org/"),
            ("example.org", "http://example.org.evil.test/"),
            ("example.org", "http://example.org@evil.test/"),
        ] {
            assert!(!covers(host, url), "{host} {url}");
        }
    }

    #[test]
    fn a_host_is_written_as_it_is_read_and_what_is_none_is_refused() {
        for host in ["a.test", "*.a.test:1", "*", "*:80", "[::1]", "[::1]:80"] {
            assert_eq!(host.parse::<HostPattern>().expect(host).to_string(), host);
        }
        for wrong in [
            "", "a b", "http://a", "a/b", "*a", "a.*", "a:0", "a:+1", "a:99999", "::1", "*.", "a..b", ".",
            "a..",
        ] {
            assert!(wrong.parse::<HostPattern>().unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }
}
