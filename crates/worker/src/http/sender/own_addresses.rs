//! The addresses of this machine's interfaces.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use tracing::warn;

/// Addresses change rarely. They are read again when a connection is made this long after they were read.
const READ_INTERVAL: Duration = Duration::from_secs(30);

/// The addresses, read when they are needed. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct OwnAddresses {
    known: Arc<Mutex<Known>>,
    read: fn() -> io::Result<Arc<[IpAddr]>>,
}

#[derive(Debug, Default)]
struct Known {
    at: Option<Instant>,
    addresses: Arc<[IpAddr]>,
    has_failed: bool,
}

impl OwnAddresses {
    pub(super) fn new() -> Self {
        Self { known: Arc::default(), read: interfaces }
    }

    /// The addresses at `now`. If they cannot be read, those that were read last.
    pub(super) fn get(&self, now: Instant) -> Arc<[IpAddr]> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.at.is_some_and(|at| now.saturating_duration_since(at) < READ_INTERVAL) {
            return Arc::clone(&known.addresses);
        }
        known.at = Some(now);
        match (self.read)() {
            Ok(addresses) => {
                known.addresses = addresses;
                known.has_failed = false;
            }
            Err(error) if !known.has_failed => {
                known.has_failed = true;
                warn!(%error, "cannot read the addresses of this machine, so jobs may reach those that are public");
            }
            Err(_) => {}
        }
        Arc::clone(&known.addresses)
    }
}

fn interfaces() -> io::Result<Arc<[IpAddr]>> {
    let addresses = getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|own| IpAddr::V4(own.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|own| IpAddr::V6(own.ip())))
    });
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    #[test]
    fn the_loopback_address_is_one_of_this_machine() {
        let own = OwnAddresses::new().get(Instant::now());
        assert!(own.contains(&Ipv4Addr::LOCALHOST.into()), "{own:?}");
    }

    #[test]
    fn the_addresses_are_read_again_after_a_time_and_kept_where_that_fails() {
        static READS: AtomicU8 = AtomicU8::new(0);
        let read = || match READS.fetch_add(1, Ordering::SeqCst) {
            1 => Err(io::Error::other("no netlink")),
            number => Ok(Arc::from([IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))])),
        };
        let (own, start) = (OwnAddresses { read, ..OwnAddresses::new() }, Instant::now());
        let last = |seconds: u64| match own.get(start + Duration::from_secs(seconds))[..] {
            [IpAddr::V4(own)] => own.octets()[3],
            ref others => panic!("{others:?}"),
        };
        assert_eq!([last(0), last(29), last(30), last(59), last(60)], [0, 0, 0, 0, 2]);
    }
}
