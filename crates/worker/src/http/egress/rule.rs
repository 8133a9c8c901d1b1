//! A rule covers destinations: `NET`, `HOST`, `*.HOST` or `*`, each also with `:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use postrider_queue::job::Host;

use super::net::Net;
use super::special::{METADATA, canonical, carried};

/// Destinations: a network, a host, all hosts below a name, or all; on one port or on all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    target: Target,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Net(Net),
    Host(String),
    /// The name with its first dot: `.example.org`.
    Below(String),
    All,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a rule: NET, HOST, *.HOST or *, each also with :PORT, as 10.0.0.0/8, hooks.internal:8080, \
     *.example.org, *:25 or [::1]:80"
)]
pub struct BadRule(String);

impl Rule {
    /// Whether a host is covered by its name or spelling alone, for any address.
    pub(super) fn covers_name(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.port.is_none_or(|own| own == port)
            && match &self.target {
                Target::Net(_) => false,
                Target::Host(own) => host.eq_ignore_ascii_case(own),
                Target::Below(own) => ends_with(host, own),
                Target::All => true,
            }
    }

    /// Whether a host with this address is covered; the address must be canonical.
    pub(super) fn covers(&self, host: &str, address: IpAddr, port: u16) -> bool {
        match &self.target {
            Target::Net(net) => self.port.is_none_or(|own| own == port) && net.contains(address),
            _ => self.covers_name(host, port),
        }
    }

    /// Whether a host is covered by any form of its address: unchanged, as the IPv4 address that it is
    /// equivalent to, or as the IPv4 address that its packets are tunnelled to.
    pub(super) fn touches(&self, host: &str, came: IpAddr, port: u16) -> bool {
        let wrapped = match came {
            IpAddr::V6(v6) => carried(v6).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        let mut forms = [Some(came), Some(canonical(came)), wrapped].into_iter().flatten();
        forms.any(|address| self.covers(host, address, port))
    }

    /// Whether it needs an address to decide whether it covers a host.
    pub(super) fn needs_address(&self) -> bool {
        matches!(self.target, Target::Net(_))
    }

    /// Whether it covers a metadata service of a cloud, which gives credentials to every client.
    pub fn opens_metadata(&self) -> bool {
        let port = self.port.unwrap_or(80);
        METADATA.iter().any(|text| text.parse().is_ok_and(|address| self.covers("", address, port)))
    }
}

fn ends_with(host: &str, end: &str) -> bool {
    host.len() > end.len() && host.as_bytes()[host.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
}

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        // A bare IPv6 network contains colons.
        if let Ok(net) = text.parse() {
            return Ok(Self { target: Target::Net(net), port: None });
        }
        let bad = || BadRule(text.to_owned());
        let (target, port) = match text.rsplit_once(':') {
            // `[::1]` is an address without a port.
            Some((target, port)) if !port.ends_with(']') => (target, Some(read_port(port).ok_or_else(bad)?)),
            _ => (text, None),
        };
        Ok(Self { target: read_target(target).ok_or_else(bad)?, port })
    }
}

fn read_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

fn read_target(text: &str) -> Option<Target> {
    if text == "*" {
        return Some(Target::All);
    }
    if let Some(name) = text.strip_prefix("*.") {
        return match Host::parse(name) {
            Ok(Host::Name(name)) => Some(Target::Below(format!(".{name}"))),
            _ => None,
        };
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // `::1:80` is ambiguous, `[fd00::/8]:80` is not.
    if (bare.is_some() || !text.contains(':'))
        && let Ok(net) = bare.unwrap_or(text).parse()
    {
        return Some(Target::Net(net));
    }
    match Host::parse(text) {
        Ok(Host::Address(address)) => Some(Target::Net(Net::one(address))),
        Ok(Host::Name(name)) => Some(Target::Host(name.to_owned())),
        Err(_) => None,
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Net(net) if self.port.is_some() && net.is_v6() => write!(f, "[{net}]")?,
            Target::Net(net) => write!(f, "{net}")?,
            Target::Host(host) => f.write_str(host)?,
            Target::Below(name) => write!(f, "*{name}")?,
            Target::All => f.write_str("*")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for (text, written) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8:80", "10.0.0.0/8:80"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("0x7f.1:80", "127.0.0.1/32:80"),
            ("::1", "::1/128"),
            ("[::1]", "::1/128"),
            ("[::1]:80", "[::1/128]:80"),
            ("[fd00::/8]:443", "[fd00::/8]:443"),
            ("fd00::/8", "fd00::/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("hooks.internal.:8080", "hooks.internal:8080"),
            ("*.example.org", "*.example.org"),
            ("*:25", "*:25"),
            ("*", "*"),
        ] {
            assert_eq!(rule(text).to_string(), written, "{text}");
            assert_eq!(rule(written), rule(text), "{text}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_refused() {
        for wrong in [
            "",
            " ",
            "a b",
            ":80",
            "*:",
            "*:0",
            "*:+1",
            "*x",
            "*.",
            "*.1",
            "a.*",
            "**",
            "*.*.org",
            "host:port",
            "host:99999",
            "host:0",
            "10.0.0.0/99",
            "10.0.0.0/8/8",
            "256.1.1.1",
            "fd00::/8:80",
            "[::1",
            "[::1]80",
            "[h]:80",
            "http://h/",
            "h/8",
            "bücher.example",
            "[fe80::1%eth0]",
        ] {
            let error = wrong.parse::<Rule>().expect_err(wrong).to_string();
            assert!(error.starts_with(&format!("`{wrong}` is not a rule")), "{error}");
        }
    }

    #[test]
    fn a_star_covers_subdomains_and_not_the_name_itself() {
        let below = rule("*.Example.org:443");
        assert!(below.covers_name("a.example.ORG.", 443) && below.covers_name("a.b.example.org", 443));
        for other in ["example.org", "badexample.org", "example.org.evil"] {
            assert!(!below.covers_name(other, 443), "{other}");
        }
        assert!(!below.covers_name("a.example.org", 80));
    }

    #[test]
    fn rules_that_open_the_metadata_services_are_recognized() {
        for open in
            ["0.0.0.0/0", "::/0", "169.254.0.0/16", "169.254.169.254:80", "fd00::/8", "*", "100.64.0.0/10"]
        {
            assert!(rule(open).opens_metadata(), "{open}");
        }
        for closed in ["10.0.0.0/8", "127.0.0.0/8", "192.168.1.1", "hooks.internal", "*.internal"] {
            assert!(!rule(closed).opens_metadata(), "{closed}");
        }
    }
}
