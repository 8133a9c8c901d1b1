//! Networks, and which addresses are on the public internet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    bits: u8,
}

impl Net {
    const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    const fn v6(first: u16, second: u16, third: u16, bits: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)), bits }
    }

    /// Whether the network holds an address. An IPv4 network holds no IPv6 address, nor the other way round.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Net {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| ()))?;
        if bits > most { Err(()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The IPv4 address that an IPv6 address stands for on this machine (RFC 4291 §2.5.5), else itself.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// What is not globally reachable by the IANA special-purpose registries (RFC 6890 and its updates), and
/// multicast.
const SPECIAL_V4: [Net; 16] = [
    Net::v4(0, 0, 0, 0, 8),       // this network, RFC 791
    Net::v4(10, 0, 0, 0, 8),      // private, RFC 1918
    Net::v4(100, 64, 0, 0, 10),   // shared, RFC 6598
    Net::v4(127, 0, 0, 0, 8),     // loopback, RFC 1122
    Net::v4(169, 254, 0, 0, 16),  // link-local with the clouds' metadata services, RFC 3927
    Net::v4(172, 16, 0, 0, 12),   // private, RFC 1918
    Net::v4(192, 0, 0, 0, 24),    // protocol assignments, RFC 6890
    Net::v4(192, 0, 2, 0, 24),    // documentation, RFC 5737
    Net::v4(192, 88, 99, 0, 24),  // 6to4 relays, RFC 7526
    Net::v4(192, 168, 0, 0, 16),  // private, RFC 1918
    Net::v4(198, 18, 0, 0, 15),   // benchmarks, RFC 2544
    Net::v4(198, 51, 100, 0, 24), // documentation, RFC 5737
    Net::v4(203, 0, 113, 0, 24),  // documentation, RFC 5737
    Net::v4(224, 0, 0, 0, 4),     // multicast, RFC 5771
    Net::v4(240, 0, 0, 0, 4),     // reserved, RFC 1112
    Net::v4(255, 255, 255, 255, 32),
];

/// Of IPv6 only 2000::/3 is handed out (RFC 4291 §2.4), and these parts of it are special.
const GLOBAL_V6: Net = Net::v6(0x2000, 0, 0, 3);
const SPECIAL_V6: [Net; 4] = [
    Net::v6(0x2001, 0, 0, 23),     // protocol assignments with Teredo, RFC 2928, RFC 4380
    Net::v6(0x2001, 0xdb8, 0, 32), // documentation, RFC 3849
    Net::v6(0x2002, 0, 0, 16),     // 6to4, which carries any IPv4 address, RFC 3056
    Net::v6(0x3fff, 0, 0, 20),     // documentation, RFC 9637
];

/// Whether an address is on the public internet. NAT64 (`64:ff9b::/96`), which carries any IPv4 address, is
/// not; neither are unique-local, link-local and site-local addresses.
pub fn is_global(address: IpAddr) -> bool {
    let special = |nets: &[Net]| nets.iter().any(|net| net.contains(address));
    match address {
        IpAddr::V4(_) => !special(&SPECIAL_V4),
        IpAddr::V6(_) => GLOBAL_V6.contains(address) && !special(&SPECIAL_V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_global() {
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.255.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "::7f00:1",
            "5f00::1",
        ] {
            assert!(!is_global(canonical(special.parse().unwrap())), "{special}");
        }
        assert!(!is_global(canonical("::ffff:10.0.0.1".parse().unwrap())));
    }

    #[test]
    fn public_addresses_are_global() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "198.17.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_global(public.parse().unwrap()), "{public}");
        }
        assert!(is_global(canonical("::ffff:8.8.8.8".parse().unwrap())));
    }
}
