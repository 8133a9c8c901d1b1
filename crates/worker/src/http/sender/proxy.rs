//! The outbound proxy, and the hosts that are reached without it.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use postrider_queue::job::Host;

use crate::http::egress::{BadRule, Rule, canonical};

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

/// Hosts that are reached without the proxy, as the environment variable `NO_PROXY` of other programs names them:
/// a name also covers its subdomains, and may begin with a dot. Everything else is a [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt(Vec<Rule>);

impl FromStr for Exempt {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let name = text.strip_prefix('.').unwrap_or(text);
        let rule: Rule = name.parse().map_err(|_| BadRule::of(text))?;
        let below = format!("*.{name}").parse();
        Ok(Self(std::iter::once(rule).chain(below).collect()))
    }
}

/// Whether a host is covered by its name, or by its address where the URL has it as one.
pub(super) fn is_exempt(host: &str, port: u16, exempt: &[Exempt]) -> bool {
    let address = match Host::parse(host) {
        Ok(Host::Address(address)) if !exempt.is_empty() => Some(canonical(address)),
        _ => None,
    };
    exempt.iter().flat_map(|own| &own.0).any(|rule| match address {
        Some(address) => rule.covers(host, address, port),
        None => rule.covers_name(host, port),
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
    fn a_host_is_exempt_with_its_subdomains_and_an_address_in_every_spelling() {
        let exempt = ["example.org", ".internal", "db.test:81", "10.0.0.0/8", "::1", "*.below.test"]
            .map(|text| text.parse::<Exempt>().unwrap());
        for host in
            ["example.org", "Hooks.Example.org.", "db.internal", "10.1.2.3", "[::1]", "0xa.1", "a.below.test"]
        {
            assert!(is_exempt(host, 80, &exempt), "{host}");
        }
        for host in ["badexample.org", "example.org.evil", "org", "", "11.1.2.3", "db.test", "below.test"] {
            assert!(!is_exempt(host, 80, &exempt), "{host}");
        }
        assert!(is_exempt("a.db.test", 81, &exempt));
    }

    #[test]
    fn text_that_is_not_a_host_is_refused() {
        for wrong in ["", ".", "10.0.0.0/33", "http://a.test", "a b"] {
            let error = wrong.parse::<Exempt>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{wrong}` is not a rule")), "{error}");
        }
    }
}
