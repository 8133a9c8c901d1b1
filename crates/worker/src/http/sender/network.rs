//! Distinguishes a network that is gone from a destination that is: the first is no fault of any job.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the network may be held to be gone although it has routes. Then the attempts count: all destinations may
/// have ceased to exist.
const OUTAGE_MAX: Duration = Duration::from_secs(600);

/// What attempts show about the network of this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Network(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether there may be an outage: read by each attempt.
    is_suspect: AtomicBool,
    outage: Mutex<Option<Outage>>,
    has_route: fn() -> bool,
}

/// Addresses that could not be reached since the last one that could.
#[derive(Debug)]
struct Outage {
    since: Instant,
    first: IpAddr,
    has_others: bool,
}

impl Network {
    pub(super) fn new() -> Self {
        Self::with(has_route)
    }

    fn with(has_route: fn() -> bool) -> Self {
        Self(Arc::new(Shared { is_suspect: AtomicBool::new(false), outage: Mutex::default(), has_route }))
    }

    /// A destination was reached.
    pub(super) fn reached(&self) {
        if self.0.is_suspect.load(Ordering::Relaxed) {
            self.0.is_suspect.store(false, Ordering::Relaxed);
            *self.0.outage.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Whether the network is gone, after an address could not be reached: this machine has no route, or no other
    /// address was reached since the first failure, and several were tried.
    pub(super) fn is_gone(&self, address: SocketAddr, now: Instant) -> bool {
        let mut outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.is_suspect.store(true, Ordering::Relaxed);
        let ip = address.ip();
        let outage = outage.get_or_insert(Outage { since: now, first: ip, has_others: false });
        outage.has_others |= outage.first != ip;
        let is_short = now.saturating_duration_since(outage.since) < OUTAGE_MAX;
        outage.has_others && is_short || !(self.0.has_route)()
    }
}

/// Whether there is a route to anywhere but this machine; also if the kernel does not tell.
fn has_route() -> bool {
    let text = |path: &str| std::fs::read_to_string(path);
    match (text("/proc/net/route"), text("/proc/net/ipv6_route")) {
        (Ok(v4), v6) => v4.lines().skip(1).any(is_v4_route) || v6.is_ok_and(|v6| v6.lines().any(is_v6_route)),
        (Err(_), _) => true,
    }
}

const UP: u32 = 1;
const REJECTS: u32 = 0x200;

fn leads_away(interface: &str, flags: &str) -> bool {
    interface != "lo" && u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & (UP | REJECTS) == UP)
}

/// `IFACE DESTINATION GATEWAY FLAGS …`
fn is_v4_route(line: &str) -> bool {
    let mut columns = line.split_whitespace();
    columns.next().zip(columns.nth(2)).is_some_and(|(interface, flags)| leads_away(interface, flags))
}

/// `DESTINATION LENGTH SOURCE LENGTH HOP METRIC REFERENCES USE FLAGS IFACE`; each interface has link-local and multicast
/// routes, which lead nowhere.
fn is_v6_route(line: &str) -> bool {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [destination, .., flags, interface] = columns[..] else { return false };
    !destination.starts_with("fe80") && !destination.starts_with("ff") && leads_away(interface, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, number], 80))
    }

    #[test]
    fn one_destination_is_at_fault_itself_and_several_alone_are_not() {
        let (network, start) = (Network::with(|| true), Instant::now());
        assert!(!network.is_gone(address(1), start) && !network.is_gone(address(1), start), "it alone");
        assert!(network.is_gone(address(2), start) && network.is_gone(address(1), start), "all");
        network.reached();
        assert!(!network.is_gone(address(1), start), "beside one that is reached");
        assert!(network.is_gone(address(2), start));
        assert!(!network.is_gone(address(2), start + OUTAGE_MAX), "not for ever");
    }

    #[test]
    fn without_a_route_the_network_is_gone() {
        let (network, now) = (Network::with(|| false), Instant::now());
        assert!(network.is_gone(address(1), now));
        network.reached();
        assert!(network.is_gone(address(1), now + OUTAGE_MAX), "this is certain");
    }

    #[test]
    fn routes_that_lead_nowhere_are_none() {
        let v4 = |line| is_v4_route(line);
        assert!(v4("eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0"));
        assert!(!v4("lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0"));
        assert!(!v4("*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0") && !v4(""));
        let v6 = |destination: &str, flags: &str, interface: &str| {
            let zeros = "0".repeat(32);
            is_v6_route(&format!(
                "{destination} 00 {zeros} 00 {zeros} 00000400 00000001 00000000 {flags} {interface}"
            ))
        };
        let all = "0".repeat(32);
        assert!(v6(&all, "00000003", "eth0"));
        assert!(!v6(&all, "00200200", "lo") && !v6("fe800000000000000000000000000000", "00000001", "eth0"));
        assert!(!v6("ff000000000000000000000000000000", "00000001", "eth0") && !is_v6_route(""));
        assert!(has_route() || std::fs::read_to_string("/proc/net/route").is_ok());
    }
}
