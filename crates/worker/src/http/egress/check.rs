//! Checks a destination, and refuses it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postrider_queue::job::Host;

use super::rule::{self, Rule};
use super::special::{canonical, special};
use super::{Egress, Refusal};

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
    pub fn check(&self, host: &str, resolved: IpAddr, port: u16) -> Result<(), Refusal> {
        let address = canonical(resolved);
        if let Some(rule) = self.deny.iter().find(|rule| rule.touches(host, resolved, port)) {
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
    pub fn check_own(&self, host: &str, resolved: IpAddr, port: u16, own: &[IpAddr]) -> Result<(), Refusal> {
        let address = canonical(resolved);
        let is_own = own.iter().any(|own| rule::forms(resolved).any(|form| form == canonical(*own)));
        if !is_own || self.allow.iter().any(|rule| rule.covers(host, address, port)) {
            return Ok(());
        }
        Err(Refusal::Own { destination: named(host, address), address })
    }
}

/// The address, and the host if that is not the address.
fn named(host: &str, address: IpAddr) -> String {
    let address = address.to_string();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if bare == address { address } else { format!("{address} ({host})") }
}
