//! No address passes the egress policy that is not public, by a second list: ranges of numbers.

use std::net::IpAddr;

use postrider_queue::job::Host;
use postrider_worker::internals::{Egress, Rule};

/// First and last address of what no job may reach, of IPv4.
const CLOSED_V4: &[(u32, u32)] = &[
    (0x0000_0000, 0x00ff_ffff),
    (0x0a00_0000, 0x0aff_ffff),
    (0x6440_0000, 0x647f_ffff),
    (0x7f00_0000, 0x7fff_ffff),
    (0xa83f_8110, 0xa83f_8110),
    (0xa9fe_0000, 0xa9fe_ffff),
    (0xac10_0000, 0xac1f_ffff),
    (0xc000_0000, 0xc000_00ff),
    (0xc000_0200, 0xc000_02ff),
    (0xc058_6300, 0xc058_63ff),
    (0xc0a8_0000, 0xc0a8_ffff),
    (0xc612_0000, 0xc613_ffff),
    (0xc633_6400, 0xc633_64ff),
    (0xcb00_7100, 0xcb00_71ff),
    (0xe000_0000, 0xffff_ffff),
];

/// 17 bytes or more: a family, an address, and the length of a rule's network. Else the text of a host.
pub(crate) fn check(data: &[u8]) {
    match data {
        [family, bytes @ ..] if bytes.len() >= 17 && *family < 2 => {
            let mut bits = [0; 16];
            bits.copy_from_slice(&bytes[..16]);
            let v6 = u128::from_be_bytes(bits);
            let address: IpAddr =
                if *family == 0 { ((v6 >> 96) as u32).to_be_bytes().into() } else { bits.into() };
            judged(&address.to_string(), address);
            covered(address, bytes[16]);
        }
        _ => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            if let Ok(Host::Address(address)) = Host::parse(text) {
                judged(text, address);
                assert_eq!(
                    Egress::default().check_name("http", text, 80).is_ok(),
                    is_open(address),
                    "{text} is {address}"
                );
            }
        }
    }
}

fn judged(host: &str, address: IpAddr) {
    let verdict = Egress::default().check(host, address, 80);
    assert_eq!(verdict.is_ok(), is_open(address), "{address}: {verdict:?}");
    let Err(refusal) = verdict else { return };
    // The flag that the refusal names helps, and helps for nothing but this address.
    let text = refusal.to_string();
    if text.ends_with("no job needs it") {
        return assert!(text.contains("service"), "{text}");
    }
    let flag = text.split("`--egress-allow ").nth(1).and_then(|rest| rest.split('`').next()).expect("a flag");
    let rule: Rule = flag.parse().expect("the flag is a rule");
    let egress = Egress { allow: vec![rule], ..Egress::default() };
    assert_eq!(egress.check(host, address, 80), Ok(()), "{text}");
    for other in ["10.99.99.99", "fd99::99"] {
        let other: IpAddr = other.parse().expect("an address");
        assert!(other == address || egress.check("other", other, 80).is_err(), "{text}");
    }
}

fn is_open(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_open_v4(v4.to_bits()),
        IpAddr::V6(v6) => is_open_v6(v6.to_bits()),
    }
}

fn is_open_v4(bits: u32) -> bool {
    !CLOSED_V4.iter().any(|(first, last)| (*first..=*last).contains(&bits))
}

fn is_open_v6(bits: u128) -> bool {
    let low = bits as u32;
    // An IPv4 address in other clothes: ::ffff:0:0/96 and 64:ff9b::/96.
    if bits >> 32 == 0xffff || bits >> 32 == 0x64_ff9b_0000_0000_0000_0000 {
        return is_open_v4(low);
    }
    let groups: Vec<u16> = (0..8).rev().map(|group| (bits >> (16 * group)) as u16).collect();
    let closed = !(0x2000..=0x3fff).contains(&groups[0])
        || (groups[0] == 0x2001 && groups[1] < 0x200)
        || (groups[0] == 0x2001 && groups[1] == 0xdb8)
        || (groups[0] == 0x3fff && groups[1] < 0x1000);
    let through_6to4 = groups[0] == 0x2002 && !is_open_v4(u32::from(groups[1]) << 16 | u32::from(groups[2]));
    let isatap = (groups[4] == 0 || groups[4] == 0x200) && groups[5] == 0x5efe && !is_open_v4(low);
    !(closed || through_6to4 || isatap)
}

/// A network holds exactly the addresses that begin as it does.
fn covered(address: IpAddr, bits: u8) {
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits % (most + 1);
    // `::ffff:a.b.c.d/n` means IPv4, and beyond that network all.
    if address.is_ipv6() && address.to_canonical().is_ipv4() {
        return;
    }
    let rule: Rule = format!("{address}/{bits}").parse().expect("a network is a rule");
    let deny =
        Egress { deny: vec![rule.clone()], allow: vec!["*".parse().expect("a rule")], ..Egress::default() };
    let denied = |address: IpAddr| deny.check("host", address, 80).is_err();
    assert!(denied(address), "{rule} and {address}");
    if bits > 0 {
        // With its last bit that counts turned over, it is another network's.
        let other: IpAddr = match address {
            IpAddr::V4(v4) => std::net::Ipv4Addr::from_bits(v4.to_bits() ^ 1 << (32 - bits)).into(),
            IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() ^ 1 << (128 - bits)).into(),
        };
        assert!(!denied(other), "{rule} and {other}");
    }
}
