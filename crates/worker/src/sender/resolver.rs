//! The system's resolver, which blocks: on threads beside, and not on all of them at once.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::error::{DnsError, DnsTimeout};

/// Lookups at once: half of the threads that tokio has for what blocks. One that nobody waits for any more
/// counts until it ends.
const MOST: usize = 256;

/// Resolves names. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    room: Arc<Semaphore>,
    timeout: Duration,
}

impl Resolver {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)), timeout }
    }

    /// All addresses of a host, of both families.
    pub(super) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, super::connector::BoxError> {
        let found = match tokio::time::timeout(self.timeout, self.ask(host.to_owned())).await {
            Ok(found) => found.map_err(DnsError)?,
            Err(_) => return Err(DnsTimeout(self.timeout).into()),
        };
        if found.is_empty() { Err(DnsError(io::ErrorKind::NotFound.into()).into()) } else { Ok(found) }
    }

    async fn ask(&self, host: String) -> io::Result<Vec<IpAddr>> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (host.as_str(), 0).to_socket_addrs();
            drop(room);
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}
