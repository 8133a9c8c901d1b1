//! The egress policy: which addresses jobs may reach. Jobs name addresses that other people chose, so what is
//! not on the public internet is refused unless it is allowed.

mod net;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

pub use net::{Net, is_global};

/// Which addresses jobs may reach: all global ones, and what the rules allow.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    /// What is allowed besides global addresses.
    pub allow: Vec<Allow>,
}

/// A rule that allows addresses which are not global.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    target: Target,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Net(Net),
    Host(String),
}

/// An address that no rule allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}{of} is not a public address; `--egress-allow {address}` (POSTRIDER_EGRESS_ALLOW) allows it",
    of = if *host == address.to_string() { String::new() } else { format!(" ({host})") })]
pub struct Refusal {
    /// The host as the job names it.
    pub host: String,
    /// The address that it has.
    pub address: IpAddr,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not NET, HOST or either with :PORT, as 10.0.0.0/8, hooks.internal:8080 or [::1]:80")]
pub struct BadRule(String);

impl Egress {
    /// Whether a connection to this address may be made.
    ///
    /// # Errors
    /// The refusal, to be told to whoever reads the dead letters.
    pub fn check(&self, host: &str, address: IpAddr, port: u16) -> Result<(), Refusal> {
        let address = net::canonical(address);
        if is_global(address) || self.allow.iter().any(|rule| rule.covers(host, address, port)) {
            return Ok(());
        }
        Err(Refusal { host: host.to_owned(), address })
    }
}

impl Allow {
    fn covers(&self, host: &str, address: IpAddr, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
            && match &self.target {
                Target::Net(net) => net.contains(address),
                Target::Host(own) => host.trim_end_matches('.').eq_ignore_ascii_case(own),
            }
    }
}

impl FromStr for Allow {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule(text.to_owned());
        // A bare IPv6 network has colons of its own.
        if let Ok(net) = text.parse() {
            return Ok(Self { target: Target::Net(net), port: None });
        }
        let (target, port) = match text.rsplit_once(':') {
            Some((target, port)) => (target, Some(port.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let bare = target.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(target);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let target = match bare.parse() {
            Ok(net) => Target::Net(net),
            // A network that is none, as 10.0.0.0/99, must not pass for a host.
            Err(_) if !bare.is_empty() && bare.bytes().all(is_host) => Target::Host(bare.to_owned()),
            Err(_) => return Err(bad()),
        };
        Ok(Self { target, port })
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Net(net) => write!(f, "{net}")?,
            Target::Host(host) => f.write_str(host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &[&str], host: &str, address: &str, port: u16) -> bool {
        let egress = Egress { allow: rules.iter().map(|rule| rule.parse().unwrap()).collect() };
        egress.check(host, address.parse().unwrap(), port).is_ok()
    }

    #[test]
    fn only_global_addresses_are_reached_without_a_rule() {
        assert!(check(&[], "example.org", "93.184.216.34", 443));
        assert!(!check(&[], "localhost", "127.0.0.1", 80));
        assert!(!check(&[], "x", "::ffff:127.0.0.1", 80), "an IPv4 address in IPv6 clothes");
    }

    #[test]
    fn a_rule_allows_a_network_a_host_or_a_port_of_them() {
        assert!(check(&["127.0.0.0/8"], "localhost", "127.1.2.3", 80));
        assert!(check(&["127.0.0.1"], "x", "::ffff:127.0.0.1", 80));
        assert!(check(&["::1"], "x", "::1", 80));
        assert!(check(&["[::1]:80"], "x", "::1", 80));
        assert!(!check(&["[::1]:81"], "x", "::1", 80));
        assert!(check(&["hooks.internal:8080"], "Hooks.internal.", "10.0.0.9", 8080));
        assert!(!check(&["hooks.internal:8080"], "hooks.internal", "10.0.0.9", 80));
        assert!(!check(&["hooks.internal"], "evil.internal", "10.0.0.9", 80));
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_refused() {
        for wrong in ["", "10.0.0.0/99", "10.0.0.0/8/8", ":80", "host:port", "a b", "host:99999", "*"] {
            assert!(wrong.parse::<Allow>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_refusal_names_the_flag_that_helps() {
        let refusal = Egress::default().check("db", "10.0.0.1".parse().unwrap(), 80).unwrap_err();
        assert!(refusal.to_string().contains("--egress-allow 10.0.0.1"));
    }
}
