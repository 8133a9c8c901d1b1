//! The outbound proxy, and the hosts that are reached without it.

use std::net::Ipv6Addr;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use postrider_queue::job::Host;

/// An HTTP proxy. Its `Debug` does not show the password.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// `http://HOST:PORT/`
    pub(super) uri: Uri,
    /// The header `proxy-authorization`, if the proxy has a user (RFC 9110 §11.7.2).
    pub(super) authorization: Option<HeaderValue>,
}

/// A proxy that cannot be used. The error does not repeat the text, which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy must be given as http://[USER:PASSWORD@]HOST:PORT")]
pub struct BadProxy;

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let rest = text.strip_prefix("http://").ok_or(BadProxy)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let uri: Uri = format!("http://{place}/").parse().map_err(|_| BadProxy)?;
        if uri.path() != "/" || uri.query().is_some() || uri.port_u16().unwrap_or(0) == 0 {
            return Err(BadProxy);
        }
        Ok(Self { uri, authorization: user.map(authorization).transpose()? })
    }
}

fn authorization(user: &str) -> Result<HeaderValue, BadProxy> {
    let plain = decoded(user).ok_or(BadProxy)?;
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain))).map_err(|_| BadProxy)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Decodes percent-encoding (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut plain = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2)?;
        plain.push(u8::from_str_radix(code, 16).ok()?);
        plain.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(plain)
}

/// Text that is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host: write a name or an address, as example.org or 192.0.2.1; networks, ports and `*` are \
     not supported here"
)]
pub struct BadExempt(String);

/// Checks a host that is reached without the proxy, as are its subdomains. It may begin with a dot.
///
/// # Errors
/// If it is neither a name nor an address.
pub fn exempt(text: &str) -> Result<String, BadExempt> {
    let host = text.strip_prefix('.').unwrap_or(text);
    let is_host = host.parse::<Ipv6Addr>().is_ok() || Host::parse(host).is_ok() && !host.starts_with('[');
    if is_host { Ok(text.to_owned()) } else { Err(BadExempt(text.to_owned())) }
}

/// Whether a host is in the list, or is a subdomain of a host in it.
pub(super) fn is_exempt(host: &str, exempt: &[String]) -> bool {
    let host = host.trim_end_matches('.');
    exempt.iter().any(|own| {
        let own = own.trim_start_matches('.');
        let Some(start) = host.len().checked_sub(own.len()) else { return false };
        let ends = host.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(own));
        ends && (start == 0 || host.as_bytes()[start - 1] == b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_may_have_a_user_whose_password_is_not_shown() {
        let proxy: Proxy = "http://me:p%40ss@proxy.internal:3128".parse().unwrap();
        assert_eq!(proxy.uri, "http://proxy.internal:3128/");
        assert_eq!(proxy.authorization.clone().unwrap(), "Basic bWU6cEBzcw==");
        assert!(!format!("{proxy:?}").contains("bWU6"), "{proxy:?}");
        assert_eq!("http://[::1]:3128/".parse::<Proxy>().unwrap().authorization, None);
    }

    #[test]
    fn text_that_is_not_a_proxy_is_refused() {
        for wrong in
            ["", "proxy:3128", "https://proxy:3128", "http://proxy", "http://p:1/x", "http://%zz@p:1"]
        {
            assert_eq!(wrong.parse::<Proxy>(), Err(BadProxy), "{wrong}");
        }
    }

    #[test]
    fn only_a_host_can_be_exempt() {
        for host in ["example.org", ".internal", "localhost", "192.0.2.1", "::1"] {
            assert_eq!(exempt(host), Ok(host.to_owned()));
        }
        for wrong in ["", "*", "*.example.org", "10.0.0.0/8", "http://a.test", "a.test:80", "a b", "[::1]"] {
            assert_eq!(exempt(wrong), Err(BadExempt(wrong.to_owned())));
        }
    }

    #[test]
    fn a_host_is_exempt_with_its_subdomains() {
        let exempt = ["example.org".to_owned(), ".internal".to_owned()];
        for host in ["example.org", "Hooks.Example.org.", "db.internal"] {
            assert!(is_exempt(host, &exempt), "{host}");
        }
        for host in ["badexample.org", "example.org.evil", "org", ""] {
            assert!(!is_exempt(host, &exempt), "{host}");
        }
    }
}
