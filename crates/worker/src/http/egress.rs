//! The egress policy: which destinations jobs may reach. Jobs contain addresses that other people chose, so
//! an address that is not on the public internet is refused unless it is allowed.
//!
//! A destination must pass all of these, in this order:
//!
//! 1. its scheme is one of `schemes`, its port one of `ports`, if these are given;
//! 2. no rule of `deny` covers it;
//! 3. a rule of `only` covers it, if there are any;
//! 4. its address is public ([`special`]) and none of this machine's, or a rule of `allow` covers it.
//!
//! [`Egress::check_name`] decides what needs no address, before the name is resolved. [`Egress::check`]
//! and [`Egress::check_own`] decide the rest for each address. An IPv4 address is the same in all its forms ([`canonical`]): a rule
//! for the IPv4 address covers all forms, and a rule of `deny` for one form covers that form.

mod rule;
mod special;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postrider_queue::job::Host;

pub use rule::{BadRule, Rule};
pub(crate) use special::{Special, canonical, special};

/// Which destinations jobs may reach: by default all public addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Egress {
    /// Destinations that are allowed besides public addresses.
    pub allow: Vec<Rule>,
    /// Destinations that are refused, even if another rule allows them.
    pub deny: Vec<Rule>,
    /// The only destinations that may be reached. Default: empty, which is no limit.
    pub only: Vec<Rule>,
    /// The ports that may be reached. Default: empty, which is no limit.
    pub ports: Vec<u16>,
    /// `http` or `https`. Default: empty, which is both.
    pub schemes: Vec<String>,
}

/// Why a destination may not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The scheme is not one of `schemes`.
    #[error("the scheme {scheme} is not one of `schemes` in [egress] of the configuration ({})", .schemes.join(", "))]
    Scheme {
        /// The job's.
        scheme: String,
        /// The policy's.
        schemes: Vec<String>,
    },
    /// The port is not one of `ports`.
    #[error("{host}: the port {port} is not one of `ports` in [egress] of the configuration")]
    Port {
        /// As the job names it.
        host: String,
        /// The job's.
        port: u16,
    },
    /// A rule of `deny` covers it.
    #[error(
        "{destination} is denied by the rule `{rule}` of `deny` in [egress] of the configuration, \
        which takes precedence over `allow`"
    )]
    Denied {
        /// The host, and its address if that is known.
        destination: String,
        /// The rule.
        rule: Rule,
    },
    /// No rule of `only` covers it.
    #[error(
        "{destination} is not covered by `only` in [egress] of the configuration; a rule there allows it"
    )]
    NotListed {
        /// The host, and its address if that is known.
        destination: String,
    },
    /// The address is not public and no rule of `allow` covers it.
    #[error(
        "{destination} is not a public address but {what} ({net}, {source}); {advice}",
        what = .special.what, net = .special.net, source = .special.source, advice = advice(*.address)
    )]
    Special {
        /// The host, and its address.
        destination: String,
        /// The canonical address.
        address: IpAddr,
        /// What it is.
        special: &'static Special,
    },
    /// The address is one of this machine, and no rule of `allow` covers it.
    #[error(
        "{destination} is an address of the machine that the worker runs on; {}", advice(*.address)
    )]
    Own {
        /// The host, and its address.
        destination: String,
        /// The canonical address.
        address: IpAddr,
    },
}

impl Egress {
    /// Checks what needs no address, so that no refused name is resolved. `host` is as in the URL.
    ///
    /// # Errors
    /// The refusal, for the dead letter.
    pub fn check_name(&self, scheme: &str, host: &str, port: u16) -> Result<(), Refusal> {
        if !self.schemes.is_empty() && !self.schemes.iter().any(|own| own == scheme) {
            return Err(Refusal::Scheme { scheme: scheme.to_owned(), schemes: self.schemes.clone() });
        }
        if !self.ports.is_empty() && !self.ports.contains(&port) {
            return Err(Refusal::Port { host: host.to_owned(), port });
        }
        match Host::parse(host) {
            Ok(Host::Address(address)) => return self.check(host, address, port),
            Ok(name) if name.is_localhost() => {
                let v4 = self.check(host, Ipv4Addr::LOCALHOST.into(), port);
                return v4.or_else(|refusal| {
                    self.check(host, Ipv6Addr::LOCALHOST.into(), port).map_err(|_| refusal)
                });
            }
            _ => {}
        }
        if let Some(rule) = self.deny.iter().find(|rule| rule.covers_name(host, port)) {
            return Err(Refusal::Denied { destination: host.to_owned(), rule: rule.clone() });
        }
        let admits = |rule: &Rule| rule.needs_address() || rule.covers_name(host, port);
        if !self.only.is_empty() && !self.only.iter().any(admits) {
            return Err(Refusal::NotListed { destination: host.to_owned() });
        }
        Ok(())
    }

    /// Checks one address of a host that has passed [`Egress::check_name`].
    ///
    /// # Errors
    /// The refusal, for the dead letter.
    pub fn check(&self, host: &str, came: IpAddr, port: u16) -> Result<(), Refusal> {
        let address = canonical(came);
        if let Some(rule) = self.deny.iter().find(|rule| rule.touches(host, came, port)) {
            return Err(Refusal::Denied { destination: named(host, address), rule: rule.clone() });
        }
        if !self.only.is_empty() && !self.only.iter().any(|rule| rule.covers(host, address, port)) {
            return Err(Refusal::NotListed { destination: named(host, address) });
        }
        let Some(special) = special(address) else { return Ok(()) };
        if self.allow.iter().any(|rule| rule.covers(host, address, port)) {
            return Ok(());
        }
        Err(Refusal::Special { destination: named(host, address), address, special })
    }

    /// Checks that an address that has passed [`Egress::check`] is none of this machine's `own`: services that listen
    /// on all of its addresses rarely mean to serve jobs.
    ///
    /// # Errors
    /// The refusal, for the dead letter.
    pub fn check_own(&self, host: &str, came: IpAddr, port: u16, own: &[IpAddr]) -> Result<(), Refusal> {
        let address = canonical(came);
        let is_own = own.iter().any(|own| rule::forms(came).any(|form| form == canonical(*own)));
        if !is_own || self.allow.iter().any(|rule| rule.covers(host, address, port)) {
            return Ok(());
        }
        Err(Refusal::Own { destination: named(host, address), address })
    }
}

/// Nobody is advised to open a metadata service: it gives credentials to every client.
fn advice(address: IpAddr) -> String {
    if special::is_metadata(address) {
        return "no job needs it".to_owned();
    }
    format!("`--egress-allow {address}` (POSTRIDER_EGRESS_ALLOW) allows it")
}

/// The address, and the host if that is not the address.
fn named(host: &str, address: IpAddr) -> String {
    let address = address.to_string();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if bare == address { address } else { format!("{address} ({host})") }
}

#[cfg(test)]
mod tests;
