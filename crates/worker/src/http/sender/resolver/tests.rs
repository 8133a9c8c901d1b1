//! Tests of lookups against a small name server, and against a resolver that blocks.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Condvar;
use std::sync::atomic::AtomicUsize;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use postrider_queue::names::WORKER_FAULT;
use telemetry::ErrorType;
use tempfile::TempDir;

use super::super::error::error_type;
use super::lookup_permits::PERMITS_EACH;
use super::*;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);
const FOUND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

/// A system's resolver: `stuck.*` blocks until [`System::end`], `broken.*` fails, `empty.*` has no address, and all
/// others are found.
struct System {
    asked: AtomicUsize,
    is_over: Mutex<bool>,
    called: Condvar,
}

impl System {
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
        Ok(vec![FOUND])
    }

    /// Unblocks stuck lookups: the runtime waits for its threads.
    fn end(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.called.notify_all();
    }
}

/// Ends the system's resolver when the test ends, also if it fails.
struct Ended(&'static System);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A name server, and the files that name it and a host. It does not answer for `dead*`, knows no `missing*`, has no
/// address for `empty*`, and all others have [`FOUND`]. It answers queries for IPv6 only where it has nothing.
struct Network {
    folder: TempDir,
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Network {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (port, asked) = (socket.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                if let Some(answer) = answer(&query) {
                    counter.fetch_add(1, Ordering::SeqCst);
                    socket.send_to(&answer.to_vec().unwrap(), peer).unwrap();
                }
            }
        });
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("hosts"), "10.0.0.1 known.test\n").unwrap();
        std::fs::write(folder.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        Self { folder, port, asked }
    }

    fn resolver(&self, timeout: Duration) -> Resolver {
        let file = |name| self.folder.path().join(name);
        let servers = NameServers::new(file("hosts"), file("resolv.conf"), self.port);
        Resolver::with(Source::NameServers(Box::new(servers)), timeout)
    }
}

fn answer(query: &Message) -> Option<Message> {
    let question = query.queries.first()?;
    let name = question.name().to_string();
    let has_nothing = name.starts_with("missing") || name.starts_with("empty");
    if name.starts_with("dead") || (question.query_type() == RecordType::AAAA && !has_nothing) {
        return None;
    }
    let mut answer = Message::response(query.id, query.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.add_query(question.clone());
    if name.starts_with("missing") {
        answer.metadata.response_code = ResponseCode::NXDomain;
    } else if question.query_type() == RecordType::A && !name.starts_with("empty") {
        let IpAddr::V4(address) = FOUND else { return None };
        answer.add_answer(Record::from_rdata(question.name().clone(), 60, RData::A(A(address))));
    }
    Some(answer)
}

/// Begins lookups of this number of dead names, and waits until they have all permits that they can get.
async fn look_up_dead_names(resolver: &Resolver, count: usize) -> Vec<tokio::task::JoinHandle<()>> {
    let look_up = |number| {
        let resolver = resolver.clone();
        tokio::spawn(async move { drop(resolver.lookup(&format!("dead{number}.test.")).await) })
    };
    let tasks = (0..count).map(look_up).collect();
    while resolver.0.permits.free().1 > PERMITS_EACH.saturating_sub(count) {
        tokio::task::yield_now().await;
    }
    tasks
}

#[tokio::test]
async fn a_lookup_that_does_not_end_is_a_dns_timeout() {
    let network = Network::new();
    let error = network.resolver(SHORT).lookup("dead.test.").await.unwrap_err();
    assert!(error.is::<DnsTimeout>(), "{error}");
    assert_eq!(error_type(&*error), ErrorType::DnsTimeout);
    assert_eq!(error.to_string(), "the host was not resolved within 20ms");
}

#[tokio::test]
async fn names_that_were_answered_and_names_in_the_hosts_file_wait_for_no_dead_name() {
    let network = Network::new();
    let resolver = network.resolver(LONG);
    assert_eq!(resolver.lookup("alive.test.").await.unwrap(), [FOUND], "also without an answer for IPv6");
    let dead = look_up_dead_names(&resolver, 2 * PERMITS_EACH).await;
    assert_eq!(resolver.lookup("alive.test.").await.unwrap(), [FOUND]);
    assert_eq!(resolver.lookup("KNOWN.test").await.unwrap(), [IpAddr::from([10, 0, 0, 1])]);
    dead.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn a_lookup_that_nobody_waits_for_has_no_place() {
    let network = Network::new();
    let resolver = network.resolver(LONG);
    for task in look_up_dead_names(&resolver, 2 * PERMITS_EACH).await {
        task.abort();
        let _ = task.await;
    }
    assert_eq!(resolver.0.permits.free(), (PERMITS_EACH, PERMITS_EACH));
    assert!(resolver.0.running().is_empty());
    assert_eq!(resolver.lookup("new.test.").await.unwrap(), [FOUND]);
}

#[tokio::test]
async fn waiting_for_a_place_is_no_failure_of_the_destination() {
    let network = Network::new();
    let resolver = network.resolver(LONG);
    let dead = look_up_dead_names(&resolver, PERMITS_EACH).await;
    let (lookup, has_permit) = resolver.begin("new.test.");
    assert!(tokio::time::timeout(SHORT, lookup).await.is_err());
    assert!(!has_permit.load(Ordering::Relaxed));
    dead.iter().for_each(|task| task.abort());
    let impatient = Resolver::with(Source::System(|_| Ok(Vec::new())), SHORT);
    let _all =
        futures_util::future::join_all((0..PERMITS_EACH).map(|_| impatient.0.permits.take("a.test"))).await;
    let error = impatient.lookup("b.test").await.unwrap_err();
    assert!(error.is::<NoLookupPermit>(), "{error}");
}

#[tokio::test]
async fn without_a_name_server_the_worker_is_at_fault() {
    let mut network = Network::new();
    // Nothing listens there, so that the kernel refuses the query.
    network.port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = network.resolver(SHORT).lookup("alive.test.").await.unwrap_err();
    assert_eq!(error_type(&*error), WORKER_FAULT, "{error}");
    assert!(error.is::<NoNameServer>(), "{error}");
}

#[tokio::test]
async fn a_name_server_s_answers_are_distinguished() {
    let network = Network::new();
    let resolver = network.resolver(LONG);
    let found = tokio::time::timeout(LONG, resolver.lookup("alive.test.")).await.expect("in time");
    assert_eq!(found.unwrap(), [FOUND]);
    for host in ["missing.test.", "empty.test.", "with..dots"] {
        let error = tokio::time::timeout(LONG, resolver.lookup(host)).await.expect("in time").unwrap_err();
        assert_eq!(error_type(&*error), ErrorType::Dns, "{host}: {error}");
    }
}

#[tokio::test]
async fn changed_files_are_read_again() {
    let network = Network::new();
    let resolver = network.resolver(LONG);
    assert_eq!(resolver.lookup("known.test").await.unwrap(), [IpAddr::from([10, 0, 0, 1])]);
    std::fs::write(network.folder.path().join("hosts"), "10.0.0.22 known.test\n").unwrap();
    let changed = IpAddr::from([10, 0, 0, 22]);
    let read = async {
        while resolver.lookup("known.test").await.unwrap() != [changed] {
            tokio::time::sleep(SHORT).await;
        }
    };
    tokio::time::timeout(LONG, read).await.expect("the file is read again");
}

#[tokio::test]
async fn the_result_of_a_lookup_is_not_cached() {
    let network = Network::new();
    let resolver = network.resolver(LONG);
    for asked in 1..=3 {
        assert_eq!(resolver.lookup("alive.test.").await.unwrap(), [FOUND]);
        assert_eq!(network.asked.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test]
async fn with_the_system_s_resolver_a_stuck_name_has_one_thread_and_delays_no_other() {
    static SYSTEM: System = System::new();
    let _ended = Ended(&SYSTEM);
    let resolver = Resolver::with(Source::System(|host| SYSTEM.answer(host)), LONG);
    let look_up = |_| {
        let resolver = resolver.clone();
        tokio::spawn(async move { resolver.lookup("stuck.test").await })
    };
    let mut stuck: Vec<_> = (0..2 * PERMITS_EACH).map(look_up).collect();
    while SYSTEM.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // Nobody waits any more, but the thread goes on.
    for task in stuck.drain(PERMITS_EACH..) {
        task.abort();
    }
    assert_eq!(resolver.lookup("other.test").await.unwrap(), [FOUND]);
    stuck.push(look_up(0));
    // The runtime polls at most 61 tasks between two polls of this one: now all of them wait.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    SYSTEM.end();
    for task in stuck {
        assert_eq!(task.await.unwrap().unwrap(), [FOUND], "all share the one result");
    }
    assert_eq!(SYSTEM.asked.load(Ordering::SeqCst), 2, "one call for each name");
    assert_eq!(resolver.0.permits.free(), (PERMITS_EACH, PERMITS_EACH));
    for host in ["broken.test", "empty.test"] {
        assert_eq!(error_type(&*resolver.lookup(host).await.unwrap_err()), ErrorType::Dns);
    }
}
