//! The host of a URL: an address in any spelling, or a name. Pure.

use std::net::{IpAddr, Ipv4Addr};

/// The host of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address. Nothing needs to be resolved.
    Address(IpAddr),
    /// A name, without the dot at its end that makes it absolute.
    Name(&'a str),
}

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// `[fe80::1%25eth0]`, RFC 6874.
    #[error("has a zone id, which no destination needs; leave out `%` and the rest")]
    Zone,
    /// The text in brackets is not an IPv6 address.
    #[error("is not an IPv6 address in brackets, as [2001:db8::1]")]
    Bracketed,
    /// It ends in a number as an IPv4 address does.
    #[error("ends in a number and is not an IPv4 address, as 192.0.2.1")]
    Number,
    /// A name with characters beyond ASCII.
    #[error("has letters beyond ASCII; write the name in its DNS form, as xn--bcher-kva.example")]
    International,
    /// It is not a DNS name (RFC 1035 §2.3.4, with the underscore of RFC 2782).
    #[error("is not a host name: labels of 1 to 63 letters, digits, `-` or `_`, in all up to 253 characters")]
    Name,
}

impl<'a> Host<'a> {
    /// Parses the host of a URL; an IPv6 address is in brackets.
    ///
    /// A host whose last label is a number must be an IPv4 address (WHATWG URL §3.5), with 1 to 4 parts in
    /// decimal, octal or hex: `0x7f.1` and `2130706433` are 127.0.0.1, as for the system's resolver.
    ///
    /// # Errors
    /// [`BadHost`]. Its text continues a sentence that begins with the host.
    pub fn parse(text: &'a str) -> Result<Self, BadHost> {
        if let Some(rest) = text.strip_prefix('[') {
            let inner = rest.strip_suffix(']').ok_or(BadHost::Bracketed)?;
            if inner.contains('%') {
                return Err(BadHost::Zone);
            }
            return inner.parse().map(|v6| Self::Address(IpAddr::V6(v6))).map_err(|_| BadHost::Bracketed);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(BadHost::Empty);
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.bytes().all(|byte| byte.is_ascii_digit()) && !last.is_empty() || number(last).is_some() {
            return ipv4(name).map(|v4| Self::Address(IpAddr::V4(v4))).ok_or(BadHost::Number);
        }
        if !name.is_ascii() {
            return Err(BadHost::International);
        }
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(BadHost::Name);
        }
        Ok(Self::Name(name))
    }
}

impl Host<'_> {
    /// Whether it is a name that every resolver must resolve to loopback addresses (RFC 6761 §6.3).
    pub fn is_localhost(&self) -> bool {
        match self {
            Self::Address(_) => false,
            Self::Name(name) => {
                name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
            }
        }
    }

    /// Converts an IPv4-mapped IPv6 address (`::ffff:0:0/96`) to its IPv4 address.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(address.to_canonical()),
            name @ Self::Name(_) => name,
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Parses as POSIX `inet_aton`: the last part fills all remaining bytes.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let free = 32 - 8 * first.len() as u32;
    if free < 32 && *last >> free != 0 {
        return None;
    }
    let bits = first.iter().zip([24, 16, 8]).fold(*last, |bits, (part, shift)| bits | part << shift);
    Some(Ipv4Addr::from_bits(bits))
}

/// Parses a part of an IPv4 address: the prefix `0x` means hex, any other `0` octal.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` would accept a sign.
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, address: &str) {
        assert_eq!(Host::parse(text), Ok(Host::Address(address.parse().unwrap())), "{text}");
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        for spelling in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "017700000001",
            "0177.0.0.01",
            "0x7f.0.0x0.1",
            "00000177.1",
        ] {
            check(spelling, "127.0.0.1");
        }
        check("0", "0.0.0.0");
        check("4294967295", "255.255.255.255");
        check("1.2.65535", "1.2.255.255");
        check("[::1]", "::1");
        check("[::ffff:127.0.0.1]", "::ffff:127.0.0.1");
        check("[0:0:0:0:0:FFFF:7f00:1]", "::ffff:7f00:1");
    }

    #[test]
    fn a_name_is_a_name() {
        for name in ["h", "example.org", "Hooks_1.internal", "xn--bcher-kva.example", "0x7g", "1.a", "a-"] {
            assert_eq!(Host::parse(name), Ok(Host::Name(name)));
        }
        assert_eq!(Host::parse("localhost."), Ok(Host::Name("localhost")));
        let is_localhost = |text: &str| Host::parse(text).unwrap().is_localhost();
        assert!(["localhost", "LocalHost.", "db.localhost"].into_iter().all(is_localhost));
        assert!(!["localhost.example", "mylocalhost", "127.0.0.1"].into_iter().any(is_localhost));
    }

    #[test]
    fn any_other_text_is_refused_with_its_reason() {
        for (wrong, why) in [
            ("", BadHost::Empty),
            (".", BadHost::Empty),
            ("[]", BadHost::Bracketed),
            ("[::1", BadHost::Bracketed),
            ("[127.0.0.1]", BadHost::Bracketed),
            ("[v1.x]", BadHost::Bracketed),
            ("[[::1]]", BadHost::Bracketed),
            ("[fe80::1%25eth0]", BadHost::Zone),
            ("[fe80::1%eth0]", BadHost::Zone),
            ("256.0.0.1", BadHost::Number),
            ("1.2.3.4.5", BadHost::Number),
            ("4294967296", BadHost::Number),
            ("127.0.0.08", BadHost::Number),
            ("1.2.65536", BadHost::Number),
            ("a.1", BadHost::Number),
            ("1..1", BadHost::Number),
            ("+1", BadHost::Name),
            ("::1", BadHost::Name),
            ("a..b", BadHost::Name),
            (".a", BadHost::Name),
            ("a..", BadHost::Name),
            ("a!b", BadHost::Name),
            ("%31", BadHost::Name),
            ("x[", BadHost::Name),
            ("bücher.example", BadHost::International),
            ("１２７.0.0.a", BadHost::International),
        ] {
            assert_eq!(Host::parse(wrong), Err(why), "{wrong}");
        }
        assert_eq!(Host::parse(&"a".repeat(64)), Err(BadHost::Name));
        assert_eq!(Host::parse(&"ab.".repeat(85)), Err(BadHost::Name), "254 characters");
    }
}
