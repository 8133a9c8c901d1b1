//! Looks up the addresses of names. Concurrent lookups of a name share one query, which ends when nobody waits for it
//! any more. Names that were answered lately have their own permits, so that names whose servers do not respond
//! delay no other.

mod hosts;
mod lookup_permits;
mod name_servers;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

use super::error::{BoxError, DnsError, DnsTimeout, NoLookupPermit, NoNameServer};
use lookup_permits::{LookupPermit, LookupPermits};
use name_servers::NameServers;

/// The result of a lookup, shared by all its waiters.
type Found = Result<Vec<IpAddr>, Arc<io::Error>>;
type Lookup = Pin<Box<dyn Future<Output = Found> + Send>>;

/// Resolves names. Cheap to clone.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Inner>);

struct Inner {
    source: Source,
    permits: LookupPermits,
    /// The lookups under way, by name.
    running: Mutex<HashMap<String, RunningLookup>>,
    timeout: Duration,
}

enum Source {
    /// Asks the name servers of `/etc/resolv.conf`.
    NameServers(Box<NameServers>),
    /// Calls `getaddrinfo` or what a test replaces it with, on a thread. A call cannot be cancelled.
    System(fn(&str) -> io::Result<Vec<IpAddr>>),
}

impl Source {
    /// Whether a name server answers anything at all. The system's resolver is not known well enough.
    async fn answers(&self) -> bool {
        match self {
            Self::NameServers(servers) => servers.answer().await,
            Self::System(_) => true,
        }
    }
}

struct RunningLookup {
    lookup: WeakShared<Lookup>,
    has_permit: Arc<AtomicBool>,
}

impl Resolver {
    /// Asks the name servers itself, or lets the system's resolver do so.
    pub(super) fn new(timeout: Duration, system: bool) -> Self {
        let source = if system {
            Source::System(ask_system)
        } else {
            Source::NameServers(Box::new(NameServers::system()))
        };
        Self::with(source, timeout)
    }

    fn with(source: Source, timeout: Duration) -> Self {
        Self(Arc::new(Inner { source, permits: LookupPermits::new(), running: Mutex::default(), timeout }))
    }

    /// All addresses of a host, of both families.
    pub(super) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, BoxError> {
        let (lookup, has_permit) = self.begin(host);
        let timeout = self.0.timeout;
        let found = match tokio::time::timeout(timeout, lookup).await {
            Ok(found) => found,
            Err(_) if !has_permit.load(Ordering::Relaxed) => return Err(NoLookupPermit(timeout).into()),
            Err(_) => Err(Arc::new(io::ErrorKind::TimedOut.into())),
        };
        match found {
            Ok(found) if found.is_empty() => Err(DnsError(io::ErrorKind::NotFound.into()).into()),
            Ok(found) => Ok(by_family(found)),
            Err(_) if !self.0.source.answers().await => Err(NoNameServer.into()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(DnsTimeout(timeout).into()),
            Err(error) => Err(DnsError(io::Error::new(error.kind(), error)).into()),
        }
    }

    /// Joins the lookup of a name that is under way, or begins one.
    fn begin(&self, host: &str) -> (Shared<Lookup>, Arc<AtomicBool>) {
        let mut running = self.0.running();
        if let Some(found) = running.get(host)
            && let Some(lookup) = found.lookup.upgrade()
        {
            return (lookup, Arc::clone(&found.has_permit));
        }
        let has_permit = Arc::new(AtomicBool::new(false));
        let lookup = run(Arc::clone(&self.0), host.to_owned(), Arc::clone(&has_permit));
        let lookup = (Box::pin(lookup) as Lookup).shared();
        if matches!(self.0.source, Source::System(_)) {
            // A stuck name has one thread, whatever the number of its lookups.
            tokio::spawn(lookup.clone());
        }
        let weak = lookup.downgrade().expect("it was not polled yet");
        running.insert(host.to_owned(), RunningLookup { lookup: weak, has_permit: Arc::clone(&has_permit) });
        (lookup, has_permit)
    }
}

async fn run(inner: Arc<Inner>, host: String, has_permit: Arc<AtomicBool>) -> Found {
    let entry = RemoveOnDrop { inner, host };
    let Inner { source, permits, .. } = &*entry.inner;
    if let Source::NameServers(servers) = source
        && let Some(addresses) = servers.in_hosts(&entry.host)
    {
        return Ok(addresses);
    }
    let permit = permits.take(&entry.host).await;
    has_permit.store(true, Ordering::Relaxed);
    let found = match source {
        Source::NameServers(servers) => match servers.current() {
            Some(resolver) => servers.ask(&resolver, &entry.host).await,
            None => on_thread(ask_system, entry.host.clone(), permit).await,
        },
        Source::System(system) => on_thread(*system, entry.host.clone(), permit).await,
    };
    if !matches!(&found, Err(error) if error.kind() == io::ErrorKind::TimedOut) {
        permits.answered(&entry.host);
    }
    found
}

/// The permit is taken until the call ends.
async fn on_thread(system: fn(&str) -> io::Result<Vec<IpAddr>>, host: String, permit: LookupPermit) -> Found {
    let call = move || {
        let found = system(&host).map_err(Arc::new);
        drop(permit);
        found
    };
    let called = tokio::task::spawn_blocking(call).await;
    called.unwrap_or_else(|error| Err(Arc::new(io::Error::other(error))))
}

fn ask_system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Puts the family that this machine can reach first, as RFC 6724 does. IPv6 is preferred.
fn by_family(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let Some(v6) = addresses.iter().find(|address| address.is_ipv6()).copied() else { return addresses };
    if addresses.iter().any(IpAddr::is_ipv4) {
        // This sends nothing: it only looks for a route.
        let has_route = || UdpSocket::bind("[::]:0")?.connect((v6, 9));
        let prefers_v6 = has_route().is_ok();
        addresses.sort_by_key(|address| address.is_ipv6() != prefers_v6);
    }
    addresses
}

/// Removes a lookup from the list when it ends, or when nobody waits for it any more.
struct RemoveOnDrop {
    inner: Arc<Inner>,
    host: String,
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        self.inner.running().remove(&self.host);
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashMap<String, RunningLookup>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
