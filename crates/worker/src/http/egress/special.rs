//! Addresses that are not on the public internet.
//!
//! An IPv4 address is public if it is not listed here. An IPv6 address is public if it is not listed here and
//! is in 2000::/3, the only part that is allocated (RFC 4291 §2.4). An address that carries an IPv4 address
//! is as public as that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A network that is not public.
#[derive(Debug, PartialEq, Eq)]
pub struct Special {
    /// The addresses.
    pub net: IpNet,
    /// What they are.
    pub what: &'static str,
    /// The document that reserves them.
    pub source: &'static str,
}

const fn v4(first: [u8; 4], bits: u8, what: &'static str, source: &'static str) -> Special {
    let [a, b, c, d] = first;
    Special { net: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)), what, source }
}

/// From the first four of an address's eight groups.
const fn v6(first: [u16; 4], bits: u8, what: &'static str, source: &'static str) -> Special {
    let [a, b, c, d] = first;
    Special { net: net_v6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), bits), what, source }
}

const fn net_v6(first: Ipv6Addr, bits: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(first, bits))
}

/// The IANA IPv4 Special-Purpose Address Registry (RFC 6890 and its updates), multicast, and addresses that
/// clouds reserve. The first match counts.
///
/// The networks of the registry that are globally reachable are left out: 192.31.196.0/24 and 192.175.48.0/24
/// (AS112, RFC 7535 and 7534) and 192.52.193.0/24 (AMT, RFC 7450). 192.0.0.9 and 192.0.0.10 are globally
/// reachable, too, but they are anycast addresses of the local network's equipment (RFC 7723, RFC 8155), not
/// destinations.
static SPECIAL_V4: [Special; 20] = [
    v4([169, 254, 169, 254], 32, "the metadata service of clouds", "RFC 3927"),
    v4([100, 100, 100, 200], 32, "the metadata service of Alibaba Cloud", "RFC 6598"),
    v4([192, 0, 0, 192], 32, "the metadata service of Oracle Cloud", "RFC 6890"),
    // A public address that is routed only inside Azure's own networks, where it serves the machine's
    // configuration and certificates.
    v4([168, 63, 129, 16], 32, "the platform service of Azure", "Azure"),
    v4([0, 0, 0, 0], 8, "this network", "RFC 791"),
    v4([10, 0, 0, 0], 8, "private", "RFC 1918"),
    v4([100, 64, 0, 0], 10, "shared with the provider", "RFC 6598"),
    v4([127, 0, 0, 0], 8, "loopback", "RFC 1122"),
    v4([169, 254, 0, 0], 16, "link-local", "RFC 3927"),
    v4([172, 16, 0, 0], 12, "private", "RFC 1918"),
    v4([192, 0, 0, 0], 24, "reserved for protocols", "RFC 6890"),
    v4([192, 0, 2, 0], 24, "reserved for documentation", "RFC 5737"),
    v4([192, 88, 99, 0], 24, "reserved for relays of 6to4", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private", "RFC 1918"),
    v4([198, 18, 0, 0], 15, "reserved for benchmarks", "RFC 2544"),
    v4([198, 51, 100, 0], 24, "reserved for documentation", "RFC 5737"),
    v4([203, 0, 113, 0], 24, "reserved for documentation", "RFC 5737"),
    v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    v4([255, 255, 255, 255], 32, "broadcast", "RFC 8190"),
    v4([240, 0, 0, 0], 4, "reserved", "RFC 1112"),
];

/// The IANA IPv6 Special-Purpose Address Registry, as above. 2001::/23 is listed as a whole: its globally
/// reachable parts (anycast of PCP, TURN and SRP, AMT, AS112, ORCHIDv2, DRIP) serve no HTTP.
static SPECIAL_V6: [Special; 18] = [
    Special { net: METADATA_AWS, what: "the metadata service of AWS", source: "RFC 4193" },
    Special { net: METADATA_GOOGLE, what: "the metadata service of Google Cloud", source: "RFC 4193" },
    Special { net: UNSPECIFIED, what: "this host", source: "RFC 4291" },
    Special { net: LOOPBACK, what: "loopback", source: "RFC 4291" },
    v6([0, 0, 0, 0], 96, "IPv4-compatible, which is deprecated", "RFC 4291 §2.5.5.1"),
    v6([0x64, 0xff9b, 1, 0], 48, "reserved for this network's NAT64", "RFC 8215"),
    v6([0x100, 0, 0, 0], 64, "reserved for discarding", "RFC 6666"),
    v6([0x100, 0, 0, 1], 64, "a dummy", "RFC 9780"),
    v6([0x2001, 0, 0, 0], 32, "Teredo", "RFC 4380"),
    v6([0x2001, 2, 0, 0], 48, "reserved for benchmarks", "RFC 5180"),
    v6([0x2001, 0, 0, 0], 23, "reserved for protocols", "RFC 2928"),
    v6([0x2001, 0xdb8, 0, 0], 32, "reserved for documentation", "RFC 3849"),
    v6([0x3fff, 0, 0, 0], 20, "reserved for documentation", "RFC 9637"),
    v6([0x5f00, 0, 0, 0], 16, "reserved for segment routing", "RFC 9602"),
    v6([0xfc00, 0, 0, 0], 7, "unique-local", "RFC 4193"),
    v6([0xfe80, 0, 0, 0], 10, "link-local", "RFC 4291"),
    v6([0xfec0, 0, 0, 0], 10, "site-local", "RFC 3879"),
    v6([0xff00, 0, 0, 0], 8, "multicast", "RFC 4291"),
];

const UNSPECIFIED: IpNet = net_v6(Ipv6Addr::UNSPECIFIED, 128);
const LOOPBACK: IpNet = net_v6(Ipv6Addr::LOCALHOST, 128);
const METADATA_AWS: IpNet = net_v6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128);
const METADATA_GOOGLE: IpNet = net_v6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128);

const HANDED_OUT_V6: IpNet = net_v6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
static RESERVED_V6: Special = v6([0, 0, 0, 0], 0, "reserved", "RFC 4291 §2.4");

/// Addresses at which clouds respond to every client inside, some of them with credentials.
pub(super) const METADATA: [&str; 6] =
    ["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"];

/// Whether it is the address of such a service.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    METADATA.iter().any(|text| text.parse() == Ok(address))
}

/// The special network of an address; `None` if the address is public. It must be [`canonical`].
pub(crate) fn special(address: IpAddr) -> Option<&'static Special> {
    let among = |nets: &'static [Special]| nets.iter().find(|special| special.net.contains(&address));
    match address {
        IpAddr::V4(_) => among(&SPECIAL_V4),
        IpAddr::V6(v6) => among(&SPECIAL_V6)
            .or_else(|| carried(v6).and_then(|v4| special(v4.into())))
            .or_else(|| (!HANDED_OUT_V6.contains(&address)).then_some(&RESERVED_V6)),
    }
}

/// The IPv4 address that an IPv6 address is equivalent to, else the address itself: `::ffff:0:0/96` on this
/// machine (RFC 4291 §2.5.5.2), `64:ff9b::/96` behind a NAT64, which reaches all of IPv4 by it (RFC 6052
/// §2.1).
///
/// A network can choose another prefix for its NAT64, which cannot be known here; deny the prefix in such a
/// network.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.to_bits() >> 32 == 0x0064_ff9b_u128 << 64 => low(v6, 0).into(),
        canonical => canonical,
    }
}

/// The IPv4 address of the gateway or host that packets to an IPv6 address are tunnelled to: 6to4 (RFC 3056
/// §2) and ISATAP (RFC 5214 §6.1).
pub(super) fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x2002, ..] => Some(low(address, 80)),
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Some(low(address, 0)),
        _ => None,
    }
}

fn low(address: Ipv6Addr, shift: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((address.to_bits() >> shift) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(address: &str) -> Option<&'static str> {
        special(canonical(address.parse().unwrap())).map(|special| special.what)
    }

    /// First and last address of each network, and what they are.
    const RANGES: &[(&str, &str, &str)] = &[
        ("0.0.0.0", "0.255.255.255", "this network"),
        ("10.0.0.0", "10.255.255.255", "private"),
        ("100.64.0.0", "100.127.255.255", "shared with the provider"),
        ("127.0.0.0", "127.255.255.255", "loopback"),
        ("169.254.0.0", "169.254.255.255", "link-local"),
        ("172.16.0.0", "172.31.255.255", "private"),
        ("192.0.0.0", "192.0.0.255", "reserved for protocols"),
        ("192.0.2.0", "192.0.2.255", "reserved for documentation"),
        ("192.88.99.0", "192.88.99.255", "reserved for relays of 6to4"),
        ("192.168.0.0", "192.168.255.255", "private"),
        ("198.18.0.0", "198.19.255.255", "reserved for benchmarks"),
        ("198.51.100.0", "198.51.100.255", "reserved for documentation"),
        ("203.0.113.0", "203.0.113.255", "reserved for documentation"),
        ("224.0.0.0", "239.255.255.255", "multicast"),
        ("240.0.0.0", "255.255.255.254", "reserved"),
        ("::2", "::fffe:ffff", "IPv4-compatible, which is deprecated"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "reserved for this network's NAT64"),
        ("100::", "100::ffff:ffff:ffff:ffff", "reserved for discarding"),
        ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", "a dummy"),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
        ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved for protocols"),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "reserved for benchmarks"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "reserved for documentation"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved for documentation"),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved for segment routing"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique-local"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
        ("0:0:1::", "63:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
        ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
        ("e000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ];

    #[test]
    fn the_first_and_the_last_address_of_a_special_network_are_special() {
        for (first, last, name) in RANGES {
            assert_eq!((what(first), what(last)), (Some(*name), Some(*name)), "{first} to {last}");
        }
        for (one, name) in [
            ("::", "this host"),
            ("::1", "loopback"),
            ("255.255.255.255", "broadcast"),
            ("169.254.169.254", "the metadata service of clouds"),
            ("168.63.129.16", "the platform service of Azure"),
            ("fd00:ec2::254", "the metadata service of AWS"),
            ("fd20:ce::254", "the metadata service of Google Cloud"),
        ] {
            assert_eq!(what(one), Some(name), "{one}");
        }
    }

    #[test]
    fn the_addresses_beside_special_networks_are_public() {
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "192.31.196.1",
            "192.175.48.1",
            "8.8.8.8",
            "2000::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2606:4700::1111",
            "2a00:1450::1",
            "2620:4f:8000::1",
            "3ffe::1",
            "3fff:1000::",
        ] {
            assert_eq!(what(public), None, "{public}");
        }
    }

    #[test]
    fn an_address_that_carries_an_ipv4_address_is_as_public_as_that() {
        for (private, public) in [
            ("::ffff:127.0.0.1", "::ffff:8.8.8.8"),
            ("64:ff9b::7f00:1", "64:ff9b::8.8.8.8"),
            ("64:ff9b::169.254.169.254", "64:ff9b::1.1.1.1"),
            ("2002:7f00:1::", "2002:808:808::1"),
            ("2002:a00:1:1:2:3:4:5", "2002:b00::"),
            ("2a00:1450::5efe:10.0.0.1", "2a00:1450::5efe:8.8.8.8"),
            ("2a00:1450::200:5efe:192.168.1.1", "2a00:1450::200:5efe:1.1.1.1"),
        ] {
            assert!(what(private).is_some(), "{private}");
            assert_eq!(what(public), None, "{public}");
        }
    }

    #[test]
    fn all_metadata_services_are_special() {
        for address in METADATA {
            assert!(what(address).is_some_and(|what| what.contains("service")), "{address}");
        }
    }
}
