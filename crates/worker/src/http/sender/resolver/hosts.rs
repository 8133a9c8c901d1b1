//! The names of `/etc/hosts`, which need no name server.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    pub(super) fn parse(text: &str) -> Self {
        let mut names = HashMap::<String, Vec<IpAddr>>::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            // An address with a zone, as of a link, cannot be dialled here.
            let Some(Ok(address)) = words.next().map(str::parse) else { continue };
            for name in words {
                let addresses = names.entry(plain(name)).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Self(names)
    }

    pub(super) fn get(&self, host: &str) -> Option<Vec<IpAddr>> {
        let host = plain(host);
        let found = self.0.get(&host).cloned();
        // RFC 6761 §6.3.
        let is_local = || host == "localhost" || host.ends_with(".localhost");
        found.or_else(|| is_local().then(|| vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]))
    }
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_all_addresses_of_its_lines() {
        let text = "\u{feff}# comment\n127.0.0.1\tlocalhost  Local.example # local.test\n\n::1 localhost\n\
                    10.0.0.1 a b\n10.0.0.1 a\nfe80::1%eth0 c\nnonsense d\n10.0.0.2\n";
        let hosts = Hosts::parse(text);
        let get = |name: &str| {
            hosts.get(name).map(|found| found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
        };
        for (name, expected) in [
            ("localhost", Some("127.0.0.1 ::1")),
            ("LOCALHOST.", Some("127.0.0.1 ::1")),
            ("local.example", Some("127.0.0.1")),
            ("a", Some("10.0.0.1")),
            ("b", Some("10.0.0.1")),
            ("my.localhost", Some("::1 127.0.0.1")),
            ("local.test", None),
            ("c", None),
            ("d", None),
        ] {
            assert_eq!(get(name).as_deref(), expected, "{name}");
        }
    }
}
