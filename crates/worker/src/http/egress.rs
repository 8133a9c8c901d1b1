//! The egress policy: which destinations jobs may reach. Jobs contain addresses that other people chose, so
//! an address that is not on the public internet is refused unless it is allowed.
//!
//! A destination must pass all of these, in this order:
//!
//! 1. its scheme is one of `schemes`, its port one of `ports`, if these are given;
//! 2. no rule of `deny` covers it;
//! 3. a rule of `only` covers it, if there are any;
//! 4. its address is public (`special.rs`) and none of this machine's, or a rule of `allow` covers it.
//!
//! [`Egress::check_name`] decides what needs no address, before the name is resolved. [`Egress::check`]
//! and [`Egress::check_own`] decide the rest for each address. An IPv4 address is the same in all its forms ([`canonical`]): a rule
//! for the IPv4 address covers all forms, and a rule of `deny` for one form covers that form.

mod check;
mod rule;
mod special;

use std::net::IpAddr;

pub use rule::{BadRule, Rule};
pub(crate) use special::{Special, canonical};

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

/// Nobody is advised to open a metadata service: it gives credentials to every client.
fn advice(address: IpAddr) -> String {
    if special::is_metadata(address) {
        return "no job needs it".to_owned();
    }
    format!("`--egress-allow {address}` (POSTRIDER_EGRESS_ALLOW) allows it")
}

#[cfg(test)]
mod tests;
