//! Asks the name servers of `/etc/resolv.conf`, without a thread, so that a lookup can be cancelled.

use std::fs;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use hickory_resolver::config::{ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Resolver, TokioResolver};
use tracing::warn;

use super::Found;
use super::hosts::Hosts;

/// How often the two files are checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long one family is waited for after the other is known (RFC 8305 §3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long an answer proves that name servers work, and how long silence proves the opposite.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// Time for an answer to a question that every name server can answer at once.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Queries on one connection to a name server. The permits of lookups are the bound.
const QUERIES_MAX: usize = 4096;

pub(super) struct NameServers {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    /// The port of the name servers; tests have another.
    port: u16,
    files: Mutex<Files>,
    health: Mutex<AnswerTimes>,
}

/// When name servers answered last, and when they last answered nothing.
#[derive(Default)]
struct AnswerTimes {
    answered: Option<Instant>,
    silent: Option<Instant>,
}

/// What the files contained when they changed last.
#[derive(Default)]
struct Files {
    checked: Option<Instant>,
    versions: [Option<Version>; 2],
    hosts: Arc<Hosts>,
    resolver: Option<TokioResolver>,
}

/// Inode, size, and time of the last change.
type Version = (u64, u64, i64, i64);

impl NameServers {
    pub(super) fn system() -> Self {
        Self::new("/etc/hosts".into(), "/etc/resolv.conf".into(), 53)
    }

    pub(super) fn new(hosts: PathBuf, resolv_conf: PathBuf, port: u16) -> Self {
        Self { hosts, resolv_conf, port, files: Mutex::default(), health: Mutex::default() }
    }

    /// The addresses of a name in `/etc/hosts`.
    pub(super) fn in_hosts(&self, host: &str) -> Option<Vec<IpAddr>> {
        let hosts = self.read(|files| Arc::clone(&files.hosts));
        hosts.get(host)
    }

    /// A resolver for the name servers; `None` if `/etc/resolv.conf` names none.
    pub(super) fn current(&self) -> Option<TokioResolver> {
        self.read(|files| files.resolver.clone())
    }

    /// All addresses of a name, of both families.
    pub(super) async fn ask(&self, resolver: &TokioResolver, host: &str) -> Found {
        let name = Name::from_str_relaxed(host)
            .map_err(|error| Arc::new(io::Error::new(io::ErrorKind::InvalidInput, error.to_string())))?;
        let family = |kind| {
            let name = name.clone();
            async move {
                let found = resolver.lookup(name, kind).await;
                if is_answer(&found) {
                    self.health().answered = Some(Instant::now());
                }
                match found {
                    Ok(found) => {
                        Ok(found.answers().iter().filter_map(|record| record.data.ip_addr()).collect())
                    }
                    Err(error) if error.is_no_records_found() && !error.is_nx_domain() => Ok(Vec::new()),
                    Err(error) => Err(Arc::new(described(&error))),
                }
            }
        };
        both(family(RecordType::AAAA), family(RecordType::A)).await
    }

    /// Whether any name server answers: to other questions lately, else to one for the root, which all know. A name
    /// whose own servers are dead makes a name server wait, and is no sign that it is dead itself.
    pub(super) async fn answer(&self) -> bool {
        let Some(resolver) = self.current() else { return true };
        let is_recent = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < HEALTH_INTERVAL);
        {
            let health = self.health();
            if is_recent(health.answered) || is_recent(health.silent) {
                return is_recent(health.answered);
            }
        }
        let probe = resolver.lookup(Name::root(), RecordType::NS);
        let answered = tokio::time::timeout(PROBE_TIMEOUT, probe).await.is_ok_and(|found| is_answer(&found));
        let mut health = self.health();
        *(if answered { &mut health.answered } else { &mut health.silent }) = Some(Instant::now());
        answered
    }

    fn health(&self) -> MutexGuard<'_, AnswerTimes> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, get: impl FnOnce(&Files) -> T) -> T {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.checked.is_none_or(|checked| checked.elapsed() >= CHECK_INTERVAL) {
            files.checked = Some(Instant::now());
            let versions = [&self.hosts, &self.resolv_conf].map(version);
            if versions[0] != files.versions[0] {
                files.hosts = Arc::new(Hosts::parse(&fs::read_to_string(&self.hosts).unwrap_or_default()));
            }
            if versions[1] != files.versions[1] {
                files.resolver = self.resolver();
            }
            files.versions = versions;
        }
        get(&files)
    }

    fn resolver(&self) -> Option<TokioResolver> {
        let read = fs::read(&self.resolv_conf).map_err(|error| error.to_string());
        let built = read.and_then(|text| {
            let (config, options) = parse_resolv_conf(text).map_err(|error| error.to_string())?;
            build(&config, options, self.port).map_err(|error| error.to_string())
        });
        let path = self.resolv_conf.display();
        built
            .inspect_err(|error| warn!("cannot use {path}: {error}; names are left to the system's resolver"))
            .ok()
    }
}

fn version(path: &PathBuf) -> Option<Version> {
    let data = fs::metadata(path).ok()?;
    Some((data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}

fn build(config: &ResolverConfig, options: ResolverOpts, port: u16) -> Result<TokioResolver, NetError> {
    let mut servers = config.name_servers().to_vec();
    servers
        .iter_mut()
        .flat_map(|server| &mut server.connections)
        .for_each(|connection| connection.port = port);
    let config = ResolverConfig::from_parts(config.domain().cloned(), config.search().to_vec(), servers);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    // A name may get other addresses at any time, and name servers cache.
    builder.options_mut().cache_size = 0;
    builder.options_mut().max_active_requests = QUERIES_MAX;
    builder.build()
}

/// Whether a name server has sent a response, of whatever kind.
fn is_answer<T>(found: &Result<T, NetError>) -> bool {
    matches!(found, Ok(_) | Err(NetError::Dns(_) | NetError::Truncated | NetError::Proto(_)))
}

fn described(error: &NetError) -> io::Error {
    match error {
        _ if error.is_nx_domain() => io::Error::new(io::ErrorKind::NotFound, "the name does not exist"),
        NetError::Timeout => io::Error::new(io::ErrorKind::TimedOut, "no name server answered"),
        NetError::Io(error) => io::Error::new(error.kind(), error.to_string()),
        _ => io::Error::other(error.to_string()),
    }
}

/// The addresses of both families. A family whose answer does not come delays the other one only a little.
async fn both(one: impl Future<Output = Found>, other: impl Future<Output = Found>) -> Found {
    let one = pin!(one);
    let other = pin!(other);
    let (first, rest) = match select(one, other).await {
        Either::Left((first, rest)) => (first, Either::Left(rest)),
        Either::Right((first, rest)) => (first, Either::Right(rest)),
    };
    match first {
        Ok(mut addresses) if !addresses.is_empty() => {
            if let Ok(Ok(more)) = tokio::time::timeout(RESOLUTION_DELAY, rest).await {
                addresses.extend(more);
            }
            Ok(addresses)
        }
        first => match (first, rest.await) {
            (_, Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(none), Ok(_)) => Ok(none),
        },
    }
}
