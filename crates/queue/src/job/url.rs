//! The field `url`, by the WHATWG URL standard, as browsers, httpx and requests take it. Pure.

use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::{ParseError, Url};

use super::host::Host;
use super::{Malformed, quoted};

/// Where a job is sent.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The URL with its host in DNS form and everything else percent-encoded, without user information and fragment.
    pub uri: Uri,
    /// The header `authorization` that the URL's user information means (RFC 7617).
    pub authorization: Option<HeaderValue>,
}

impl Destination {
    /// Reads the field `url` of a job.
    ///
    /// # Errors
    /// What is wrong with it. The text is not repeated, except its host: it may contain secrets.
    pub fn parse(field: &Bytes) -> Result<Self, Malformed> {
        if is_plain(field) {
            return Ok(Self { uri: uri(field.clone())?, authorization: None });
        }
        let text = std::str::from_utf8(field)
            .map_err(|_| Malformed::new("field `url` is not text: it must be UTF-8"))?;
        let destination = Self::of_url(parse(text)?)?;
        check(&destination.uri)?;
        Ok(destination)
    }

    fn of_url(mut url: Url) -> Result<Self, Malformed> {
        let authorization = authorization(&url);
        // They fail only for URLs without a host.
        let _ = (url.set_username(""), url.set_password(None));
        url.set_fragment(None);
        Ok(Self { uri: uri(String::from(url).into())?, authorization })
    }
}

fn uri(text: Bytes) -> Result<Uri, Malformed> {
    Uri::from_maybe_shared(text).map_err(|error| Malformed::new(format!("field `url` is not a URL: {error}")))
}

fn parse(text: &str) -> Result<Url, Malformed> {
    // The standard drops them without a word.
    if text.bytes().any(|byte| byte < b' ') {
        return Err(Malformed::new(
            "field `url` has a control character, as a tab or a line break; remove it",
        ));
    }
    let scheme =
        text.trim_start_matches(' ').split_once(':').map(|(scheme, rest)| (scheme, rest.starts_with('/')));
    match scheme {
        Some((scheme, _)) if ["http", "https"].iter().any(|own| scheme.eq_ignore_ascii_case(own)) => {}
        Some((scheme, true))
            if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !scheme.is_empty() =>
        {
            let scheme = quoted(scheme);
            return Err(Malformed::new(format!(
                "field `url`: the scheme {scheme} is neither http nor https"
            )));
        }
        _ => {
            let error = "field `url` must be absolute: it has no scheme; write https://example.org/hook";
            return Err(Malformed::new(error));
        }
    }
    Url::parse(text).map_err(|error| {
        Malformed::new(match error {
            ParseError::InvalidPort => PORT.to_owned(),
            ParseError::InvalidIpv4Address => {
                "field `url`: the host ends in a number and is not an IPv4 address, as 192.0.2.1".to_owned()
            }
            ParseError::InvalidIpv6Address => {
                "field `url`: the host is not an IPv6 address in brackets, as [2001:db8::1], without a zone"
                    .to_owned()
            }
            error => format!("field `url` is not a URL: {error}"),
        })
    })
}

const PORT: &str = "field `url`: the port must be 1 to 65535";

/// What the standard allows and no destination has.
fn check(uri: &Uri) -> Result<(), Malformed> {
    let host = uri.host().unwrap_or_default();
    Host::parse(host)
        .map_err(|error| Malformed::new(format!("field `url`: the host {} {error}", quoted(host))))?;
    if uri.port_u16() == Some(0) { Err(Malformed::new(PORT)) } else { Ok(()) }
}

fn authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether the standard leaves the URL as it is, and [`check`] accepts it. Most are so, and cost no second copy.
fn is_plain(url: &[u8]) -> bool {
    let (rest, implied): (_, &[u8]) = match (url.strip_prefix(b"http://"), url.strip_prefix(b"https://")) {
        (Some(rest), _) => (rest, b"80"),
        (_, Some(rest)) => (rest, b"443"),
        _ => return false,
    };
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = match authority.iter().position(|byte| *byte == b':') {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => (authority, &b"1"[..]),
    };
    is_plain_host(host) && is_plain_port(port, implied) && is_plain_path(path)
}

/// A name in lower case, or an IPv4 address in its usual form.
fn is_plain_host(host: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let Some(host) = std::str::from_utf8(host).ok().filter(|host| host.bytes().all(|byte| is_plain(&byte)))
    else {
        return false;
    };
    let last = host.bytes().rposition(|byte| byte == b'.').map_or(0, |dot| dot + 1);
    match host.as_bytes().get(last) {
        Some(b'0'..=b'9') => host.parse::<Ipv4Addr>().is_ok(),
        // A name in its DNS form may be one without a meaning.
        Some(_) => !host.contains("xn--") && Host::parse(host).is_ok(),
        None => false,
    }
}

fn is_plain_port(port: &[u8], implied: &[u8]) -> bool {
    (1..=5).contains(&port.len())
        && port[0] != b'0'
        && port.iter().all(u8::is_ascii_digit)
        && port != implied
        && (port.len() < 5 || port <= &b"65535"[..])
}

/// Only characters that are not encoded, and no segment that may be `.` or `..`.
fn is_plain_path(path: &[u8]) -> bool {
    let mut before = b' ';
    path.iter().all(|byte| {
        let is_dot = before == b'/' && matches!(byte, b'.' | b'%');
        before = *byte;
        PLAIN[usize::from(*byte)] && !is_dot
    })
}

/// Characters that path and query have unencoded.
const PLAIN: [bool; 256] = {
    let (mut plain, mut at) = ([false; 256], 0);
    let others = b"-._~!$&()*+,;=:@/?%[]";
    while at < 128 {
        plain[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    at = 0;
    while at < others.len() {
        plain[others[at] as usize] = true;
        at += 1;
    }
    plain
};

#[cfg(test)]
mod tests;
