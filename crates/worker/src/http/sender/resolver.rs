//! The system's resolver. It blocks, so it runs on tokio's blocking threads: on a limited number of them, and
//! on one thread for each name, so that a name whose servers do not respond delays no other.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::error::{BoxError, DnsError, DnsTimeout};

/// Concurrent lookups: half of tokio's blocking threads. A lookup without waiters counts until it ends.
const MOST: usize = 256;

/// The result of a lookup, shared by all its waiters.
type Found = Result<Vec<IpAddr>, Arc<io::Error>>;
type Asked = watch::Receiver<Option<Found>>;

/// Resolves names. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    room: Arc<Semaphore>,
    /// The lookups under way, by name. Concurrent lookups of the same name share one query.
    running: Arc<Mutex<HashMap<String, Asked>>>,
    timeout: Duration,
    system: fn(&str) -> io::Result<Vec<IpAddr>>,
}

impl Resolver {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)), running: Arc::default(), timeout, system }
    }

    /// All addresses of a host, of both families.
    pub(super) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, BoxError> {
        let found = match tokio::time::timeout(self.timeout, self.ask(host)).await {
            Ok(found) => found.map_err(DnsError)?,
            Err(_) => return Err(DnsTimeout(self.timeout).into()),
        };
        if found.is_empty() { Err(DnsError(io::ErrorKind::NotFound.into()).into()) } else { Ok(found) }
    }

    async fn ask(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let running = under_way(&self.running(), host);
        let mut asked = match running {
            Some(asked) => asked,
            None => self.begin(host).await?,
        };
        let found = asked.wait_for(Option::is_some).await.map_err(io::Error::other)?;
        let found = found.as_ref().ok_or(io::ErrorKind::Other)?;
        found.clone().map_err(|error| io::Error::new(error.kind(), error))
    }

    /// Begins a lookup once there is room, unless another task has begun one of the same name by then.
    async fn begin(&self, host: &str) -> io::Result<Asked> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let mut running = self.running();
        if let Some(asked) = under_way(&running, host) {
            return Ok(asked);
        }
        let (tell, asked) = watch::channel(None);
        running.insert(host.to_owned(), asked.clone());
        let (own, host) = (self.clone(), host.to_owned());
        tokio::task::spawn_blocking(move || {
            let found = (own.system)(&host).map_err(Arc::new);
            own.running().remove(&host);
            drop(room);
            // There may be no waiters any more.
            let _ = tell.send(Some(found));
        });
        Ok(asked)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Asked>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lookup of a name that is still running.
fn under_way(running: &HashMap<String, Asked>, host: &str) -> Option<Asked> {
    running.get(host).filter(|asked| asked.has_changed().is_ok()).cloned()
}

fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, PoisonError};

    use super::super::error::error_type;
    use super::*;
    use telemetry::ErrorType;

    /// A name server: `stuck.*` blocks until [`Server::end`], `broken.*` fails, `empty.*` has no address, and
    /// all others are found.
    struct Server {
        asked: AtomicUsize,
        is_over: Mutex<bool>,
        called: Condvar,
    }

    impl Server {
        const fn new() -> Self {
            Self { asked: AtomicUsize::new(0), is_over: Mutex::new(false), called: Condvar::new() }
        }

        fn answer(&self, host: &str) -> io::Result<Vec<IpAddr>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            match host.split('.').next() {
                Some("stuck") => {
                    let over = self.is_over.lock().unwrap();
                    drop(self.called.wait_while(over, |over| !*over).unwrap());
                }
                Some("broken") => return Err(io::Error::other("no such name")),
                Some("empty") => return Ok(Vec::new()),
                _ => {}
            }
            Ok(vec![Ipv4Addr::LOCALHOST.into()])
        }

        /// Unblocks stuck lookups: the runtime waits for its threads.
        fn end(&self) {
            *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.called.notify_all();
        }
    }

    /// Ends the server when the test ends, also if it fails.
    struct Ended(&'static Server);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.end();
        }
    }

    fn resolver(timeout: Duration, system: fn(&str) -> io::Result<Vec<IpAddr>>) -> Resolver {
        Resolver { system, ..Resolver::new(timeout) }
    }

    #[tokio::test]
    async fn a_lookup_that_does_not_end_is_a_dns_timeout() {
        static SERVER: Server = Server::new();
        let _ended = Ended(&SERVER);
        let resolver = resolver(Duration::from_millis(20), |host| SERVER.answer(host));
        let error = resolver.lookup("stuck.test").await.unwrap_err();
        assert!(error.is::<DnsTimeout>(), "{error}");
        assert_eq!(error_type(&*error), ErrorType::DnsTimeout);
        assert_eq!(error.to_string(), "the host was not resolved within 20ms");
    }

    #[tokio::test]
    async fn a_stuck_name_delays_no_other_however_often_it_is_looked_up() {
        static SERVER: Server = Server::new();
        let _ended = Ended(&SERVER);
        let resolver = resolver(Duration::from_secs(30), |host| SERVER.answer(host));
        let stuck: Vec<_> = (0..2 * MOST)
            .map(|_| {
                let resolver = resolver.clone();
                tokio::spawn(async move { resolver.lookup("stuck.test").await })
            })
            .collect();
        while SERVER.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(resolver.lookup("other.test").await.unwrap(), [Ipv4Addr::LOCALHOST]);
        assert_eq!(SERVER.asked.load(Ordering::SeqCst), 2, "one lookup for each name");
        SERVER.end();
        for asker in stuck {
            assert_eq!(asker.await.unwrap().unwrap(), [Ipv4Addr::LOCALHOST], "all share the one result");
        }
        assert!(resolver.running().is_empty());
        assert_eq!(resolver.room.available_permits(), MOST);
    }

    #[tokio::test]
    async fn the_result_of_a_lookup_is_not_cached() {
        static SERVER: Server = Server::new();
        let resolver = resolver(Duration::from_secs(30), |host| SERVER.answer(host));
        for asked in 1..=3 {
            let error = resolver.lookup("broken.test").await.unwrap_err();
            assert_eq!(error_type(&*error), ErrorType::Dns);
            assert_eq!(SERVER.asked.load(Ordering::SeqCst), asked);
        }
        assert_eq!(error_type(&*resolver.lookup("empty.test").await.unwrap_err()), ErrorType::Dns);
    }

    #[tokio::test]
    async fn a_lookup_that_waits_for_room_times_out_as_well() {
        let resolver = resolver(Duration::from_millis(20), |_| Ok(vec![Ipv4Addr::LOCALHOST.into()]));
        let room = resolver.room.clone().acquire_many_owned(MOST as u32).await.unwrap();
        assert!(resolver.lookup("a.test").await.unwrap_err().is::<DnsTimeout>());
        drop(room);
        let found = Resolver { timeout: Duration::from_secs(30), ..resolver }.lookup("a.test").await;
        assert_eq!(found.unwrap(), [Ipv4Addr::LOCALHOST]);
    }
}
