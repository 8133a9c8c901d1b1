//! The hosts that receive the context of a trace.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// The hosts that receive context. `OTEL_PROPAGATORS` decides which headers there are, this decides who gets them.
///
/// The ids of a trace reveal little to strangers; baggage may contain anything. So by default all hosts receive traces
/// and none receives baggage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Propagation {
    /// The hosts that get `traceparent` and `tracestate`. Default: all.
    pub traces: Recipients,
    /// The hosts that get `baggage`. Default: none.
    pub baggage: Vec<Recipient>,
}

/// A set of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recipients {
    /// Every host.
    #[default]
    All,
    /// These, and none where the list is empty.
    Only(Vec<Recipient>),
}

/// A host, all hosts below a name, or all; on one port or on any. Written `HOST`, `*.HOST` or `*`, each also with
/// `:PORT`; an IPv6 address in brackets. Hosts are compared as they are written in URLs, not by their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// In lower case; empty for all hosts, and with a leading dot for the hosts below a name.
    host: String,
    port: Option<u16>,
}

/// A host that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no host: write HOST, *.HOST or *, each also with :PORT, as api.example.org or *.internal:8080"
)]
pub struct BadRecipient(String);

impl Propagation {
    /// Sets [`traces`](Self::traces).
    #[must_use]
    pub fn traces(mut self, traces: Recipients) -> Self {
        self.traces = traces;
        self
    }

    /// Sets [`baggage`](Self::baggage).
    #[must_use]
    pub fn baggage(mut self, baggage: Vec<Recipient>) -> Self {
        self.baggage = baggage;
        self
    }

    /// Whether a URL's host gets `traceparent` and `tracestate`.
    pub fn traces_to(&self, uri: &Uri) -> bool {
        match &self.traces {
            Recipients::All => true,
            Recipients::Only(hosts) => covered(hosts, uri),
        }
    }

    /// Whether a URL's host gets `baggage`.
    pub fn baggage_to(&self, uri: &Uri) -> bool {
        covered(&self.baggage, uri)
    }
}

impl FromStr for Recipients {
    type Err = BadRecipient;

    /// `all`, `none`, or hosts separated by commas.
    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        match text.trim() {
            "all" => Ok(Self::All),
            "none" => Ok(Self::Only(vec![])),
            hosts => {
                hosts.split(',').map(|host| host.trim().parse()).collect::<Result<_, _>>().map(Self::Only)
            }
        }
    }
}

fn covered(hosts: &[Recipient], uri: &Uri) -> bool {
    if hosts.is_empty() {
        return false;
    }
    let (host, port) = (uri.host().unwrap_or_default(), crate::url::port(uri));
    hosts.iter().any(|own| own.covers(host, port))
}

impl Recipient {
    fn covers(&self, host: &str, port: Option<u16>) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if self.port.is_some() && self.port != port {
            return false;
        }
        match self.host.as_str() {
            "" => true,
            own if own.starts_with('.') => {
                host.len() > own.len()
                    && host.as_bytes()[host.len() - own.len()..].eq_ignore_ascii_case(own.as_bytes())
            }
            own => host.eq_ignore_ascii_case(own),
        }
    }
}

impl FromStr for Recipient {
    type Err = BadRecipient;

    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        let bad = || BadRecipient(text.to_owned());
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(read_port(port).ok_or_else(bad)?)),
            _ => (text, None),
        };
        let host = match host {
            "*" => String::new(),
            _ => match host.strip_prefix("*.") {
                Some(name) if is_host(name) => format!(".{}", name.to_ascii_lowercase()),
                None if is_host(host) => host.to_ascii_lowercase(),
                _ => return Err(bad()),
            },
        };
        Ok(Self { host, port })
    }
}

fn read_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

/// Whether a text can be the host of a URL.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.split('.').all(label)
}

impl fmt::Display for Recipient {
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
    use super::*;

    fn covers(host: &str, url: &str) -> bool {
        covered(&[host.parse().expect("a host")], &url.parse().expect("a URL"))
    }

    #[test]
    fn a_host_is_covered_as_it_is_written_or_by_the_name_above_it() {
        for (host, url) in [
            ("example.org", "https://EXAMPLE.org/x"),
            ("example.org", "https://example.org.:8443/"),
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
            assert_eq!(host.parse::<Recipient>().expect(host).to_string(), host);
        }
        for wrong in
            ["", "a b", "http://a", "a/b", "*a", "a.*", "a:0", "a:+1", "a:99999", "::1", "*.", "a..b"]
        {
            assert!(wrong.parse::<Recipient>().unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn recipients_are_a_word_or_hosts() {
        assert_eq!("all".parse(), Ok(Recipients::All));
        assert_eq!("none".parse(), Ok(Recipients::Only(vec![])));
        let two = Recipients::Only(vec!["a.test".parse().unwrap(), "*:80".parse().unwrap()]);
        assert_eq!("a.test, *:80".parse(), Ok(two));
        assert!("".parse::<Recipients>().is_err() && "a,,b".parse::<Recipients>().is_err());
    }

    #[test]
    fn by_default_all_get_traces_and_nobody_gets_baggage() {
        let (policy, uri) = (Propagation::default(), Uri::from_static("http://a.test/"));
        assert!(policy.traces_to(&uri) && !policy.baggage_to(&uri));
        let nobody = Propagation { traces: Recipients::Only(vec![]), baggage: vec!["*".parse().unwrap()] };
        assert!(!nobody.traces_to(&uri) && nobody.baggage_to(&uri));
    }
}
