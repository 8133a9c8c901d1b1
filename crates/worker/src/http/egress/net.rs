//! Networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and the length of its prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    bits: u8,
}

/// The text is not `ADDRESS` or `ADDRESS/BITS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network, as 10.0.0.0/8")]
pub struct BadNet;

impl Net {
    pub(super) const fn v4(first: [u8; 4], bits: u8) -> Self {
        let [a, b, c, d] = first;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    /// From the first four of an address's eight groups.
    pub(super) const fn v6(first: [u16; 4], bits: u8) -> Self {
        let [a, b, c, d] = first;
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)), bits }
    }

    pub(super) const fn host_v6(bits: u128) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::from_bits(bits)), bits: 128 }
    }

    /// One address. An IPv4-mapped IPv6 address (`::ffff:0:0/96`) is the IPv4 address.
    pub fn one(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether it is an IPv6 network.
    pub fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether the network contains an address. An IPv4 network contains no IPv6 address, and vice versa.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()) & mask_v4(self.bits) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()) & mask_v6(self.bits) == 0
            }
            _ => false,
        }
    }
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl FromStr for Net {
    type Err = BadNet;

    fn from_str(text: &str) -> Result<Self, BadNet> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNet)?;
        let Some(bits) = bits else { return Ok(Self::one(address)) };
        // `parse` would accept a sign.
        if !bits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadNet);
        }
        let bits: u8 = bits.parse().map_err(|_| BadNet)?;
        match (address, address.to_canonical()) {
            (IpAddr::V4(v4), _) if bits <= 32 => {
                Ok(Self { address: Ipv4Addr::from_bits(v4.to_bits() & mask_v4(bits)).into(), bits })
            }
            (IpAddr::V6(_), IpAddr::V4(v4)) if (96..=128).contains(&bits) => {
                let bits = bits - 96;
                Ok(Self { address: Ipv4Addr::from_bits(v4.to_bits() & mask_v4(bits)).into(), bits })
            }
            (IpAddr::V6(v6), _) if bits <= 128 => {
                Ok(Self { address: Ipv6Addr::from_bits(v6.to_bits() & mask_v6(bits)).into(), bits })
            }
            _ => Err(BadNet),
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_by_its_first_address() {
        for (text, written) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd12::1/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ] {
            assert_eq!(text.parse::<Net>().unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn text_that_is_not_a_network_is_refused() {
        for wrong in
            ["", "/", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "::1%lo", "h/8"]
        {
            assert!(wrong.parse::<Net>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_contains_its_own_family_only() {
        let all_v4: Net = "0.0.0.0/0".parse().unwrap();
        let all_v6: Net = "::/0".parse().unwrap();
        assert!(all_v4.contains("255.1.2.3".parse().unwrap()) && !all_v4.contains("::1".parse().unwrap()));
        assert!(all_v6.contains("ff02::1".parse().unwrap()) && !all_v6.contains("1.2.3.4".parse().unwrap()));
        let net: Net = "172.16.0.0/12".parse().unwrap();
        assert!(net.contains("172.31.255.255".parse().unwrap()));
        assert!(!net.contains("172.32.0.0".parse().unwrap()));
    }
}
