//! A rule covers destinations: `NET`, `HOST`, `*.HOST` or `*`, each also with `:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper_otel::{HostPattern, split_port};
use ipnet::IpNet;
use postrider_queue::job::Host;

use super::special::{METADATA, canonical, carried};

/// Destinations: a network, a host, all hosts below a name, or all; on one port or on all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(Target);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Net(IpNet, Option<u16>),
    Hosts(HostPattern),
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a rule: NET, HOST, *.HOST or *, each also with :PORT, as 10.0.0.0/8, hooks.internal:8080, \
     *.example.org, *:25 or [::1]:80"
)]
pub struct BadRule(String);

impl BadRule {
    /// The error for a text.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Rule {
    /// Whether a host is covered by its name or spelling alone, for any address.
    pub(crate) fn covers_name(&self, host: &str, port: u16) -> bool {
        match &self.0 {
            Target::Net(..) => false,
            Target::Hosts(hosts) => hosts.covers(host, Some(port)),
        }
    }

    /// Whether a host with this address is covered; the address must be canonical.
    pub(crate) fn covers(&self, host: &str, address: IpAddr, port: u16) -> bool {
        match &self.0 {
            Target::Net(net, own) => own.is_none_or(|own| own == port) && net.contains(&address),
            Target::Hosts(hosts) => hosts.covers(host, Some(port)),
        }
    }

    /// Whether a host is covered by any of the [`forms`] of its address.
    pub(super) fn touches(&self, host: &str, resolved: IpAddr, port: u16) -> bool {
        forms(resolved).any(|address| self.covers(host, address, port))
    }

    /// Whether it needs an address to decide whether it covers a host.
    pub(super) fn needs_address(&self) -> bool {
        matches!(self.0, Target::Net(..))
    }

    /// Whether it covers a metadata service of a cloud, which gives credentials to every client.
    pub fn opens_metadata(&self) -> bool {
        let port = match &self.0 {
            Target::Net(_, port) => *port,
            Target::Hosts(hosts) => hosts.port(),
        };
        let port = port.unwrap_or(80);
        METADATA.iter().any(|text| text.parse().is_ok_and(|address| self.covers("", address, port)))
    }
}

/// An address in its forms: unchanged, as the IPv4 address that it is equivalent to, and as the IPv4 address that its
/// packets are tunnelled to.
pub(super) fn forms(resolved: IpAddr) -> impl Iterator<Item = IpAddr> {
    let wrapped = match resolved {
        IpAddr::V6(v6) => carried(v6).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    [Some(resolved), Some(canonical(resolved)), wrapped].into_iter().flatten()
}

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        // A bare IPv6 network contains colons.
        let target = network(text).map(|net| Target::Net(net, None)).or_else(|| read_target(text));
        target.map(Self).ok_or_else(|| BadRule::of(text))
    }
}

fn read_target(text: &str) -> Option<Target> {
    let (target, port) = split_port(text)?;
    let bare = target.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // `::1:80` is ambiguous, `[fd00::/8]:80` is not.
    if (bare.is_some() || !target.contains(':'))
        && let Some(net) = network(bare.unwrap_or(target))
    {
        return Some(Target::Net(net, port));
    }
    match (target, Host::parse(target.strip_prefix("*.").unwrap_or(target))) {
        ("*", _) | (_, Ok(Host::Name(_))) => text.parse().ok().map(Target::Hosts),
        (_, Ok(Host::Address(address))) if !target.starts_with('*') => Some(Target::Net(one(address), port)),
        _ => None,
    }
}

/// `ADDRESS` or `ADDRESS/BITS`; an IPv4-mapped IPv6 network (below `::ffff:0:0/96`) is the IPv4 network.
fn network(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpNet>() {
        Ok(net) => net.trunc(),
        Err(_) => return text.parse().ok().map(one),
    };
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(bits)) if net.addr().is_ipv6() => IpNet::new(address, bits).ok(),
        _ => Some(net),
    }
}

/// One address. An IPv4-mapped IPv6 address is the IPv4 address.
fn one(address: IpAddr) -> IpNet {
    address.to_canonical().into()
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Net(net @ IpNet::V6(_), Some(port)) => write!(f, "[{net}]:{port}"),
            Target::Net(net, Some(port)) => write!(f, "{net}:{port}"),
            Target::Net(net, None) => write!(f, "{net}"),
            Target::Hosts(hosts) => write!(f, "{hosts}"),
        }
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
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
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
    fn a_network_is_written_by_its_first_address_and_contains_its_own_family_only() {
        for (text, written) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd12::1/8", "fd00::/8"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(rule(text).to_string(), written, "{text}");
        }
        let covers = |net: &str, address: &str| rule(net).covers("h", address.parse().unwrap(), 80);
        assert!(covers("0.0.0.0/0", "255.1.2.3") && !covers("0.0.0.0/0", "::1"));
        assert!(covers("::/0", "ff02::1") && !covers("::/0", "1.2.3.4"));
        assert!(covers("172.16.0.0/12", "172.31.255.255") && !covers("172.16.0.0/12", "172.32.0.0"));
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
