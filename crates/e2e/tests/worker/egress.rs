//! Tests of the egress policy: what must not be reached is dead-lettered without a packet, and the next job is delivered.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use e2e::process::{Build, Postrider};
use e2e::queue::{DeadLetter, Queue};
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use e2e::world::World;

e2e::in_both_builds!(
    addresses_that_are_not_public_are_refused_in_every_form,
    the_rules_of_the_file_are_asked_in_their_order,
    an_allowed_address_is_reached_by_every_spelling,
    a_redirect_to_a_metadata_service_is_not_followed,
    a_wrong_rule_is_reported_with_its_line,
    a_rule_that_opens_metadata_services_causes_a_warning,
);

/// Hosts of URLs that no job may reach, and how `_error` begins.
const FORBIDDEN: &[(&str, &str)] = &[
    ("127.0.0.1", "127.0.0.1 is not a public address but loopback (127.0.0.0/8, RFC 1122)"),
    ("127.255.255.254", "127.255.255.254 is not a public address but loopback"),
    ("127.0.0.1.", "127.0.0.1 is not a public address but loopback"),
    ("１２７.0.0.1", "127.0.0.1 is not a public address but loopback"),
    ("%31%32%37.0.0.1", "127.0.0.1 is not a public address but loopback"),
    ("user:secret@127.0.0.1", "127.0.0.1 is not a public address but loopback"),
    ("localhost", "127.0.0.1 (localhost) is not a public address but loopback"),
    ("LOCALHOST.", "127.0.0.1 (localhost.) is not a public address but loopback"),
    ("2130706433", "127.0.0.1 is not a public address but loopback"),
    ("0x7f000001", "127.0.0.1 is not a public address but loopback"),
    ("0X7f.1", "127.0.0.1 is not a public address but loopback"),
    ("017700000001", "127.0.0.1 is not a public address but loopback"),
    ("0177.0.0.01", "127.0.0.1 is not a public address but loopback"),
    ("127.1", "127.0.0.1 is not a public address but loopback"),
    ("0", "0.0.0.0 is not a public address but this network (0.0.0.0/8, RFC 791)"),
    ("0.0.0.0", "0.0.0.0 is not a public address but this network"),
    ("10.0.0.1", "10.0.0.1 is not a public address but private (10.0.0.0/8, RFC 1918)"),
    ("172.31.255.255", "172.31.255.255 is not a public address but private"),
    ("192.168.0.1", "192.168.0.1 is not a public address but private"),
    ("169.254.169.254", "169.254.169.254 is not a public address but the metadata service of clouds"),
    ("2852039166", "169.254.169.254 is not a public address but the metadata service"),
    ("169.254.1.1", "169.254.1.1 is not a public address but link-local"),
    ("100.100.100.200", "100.100.100.200 is not a public address but the metadata service of Alibaba"),
    ("100.64.0.1", "100.64.0.1 is not a public address but shared with the provider"),
    ("168.63.129.16", "168.63.129.16 is not a public address but the platform service of Azure"),
    ("192.0.0.1", "192.0.0.1 is not a public address but reserved for protocols"),
    ("192.0.2.1", "192.0.2.1 is not a public address but reserved for documentation"),
    ("198.18.0.1", "198.18.0.1 is not a public address but reserved for benchmarks"),
    ("224.0.0.1", "224.0.0.1 is not a public address but multicast"),
    ("240.0.0.1", "240.0.0.1 is not a public address but reserved"),
    ("255.255.255.255", "255.255.255.255 is not a public address but broadcast"),
    ("[::]", ":: is not a public address but this host"),
    ("[::1]", "::1 is not a public address but loopback (::1/128, RFC 4291)"),
    ("[0:0:0:0:0:0:0:1]", "::1 is not a public address but loopback"),
    ("[::ffff:127.0.0.1]", "127.0.0.1 ([::ffff:7f00:1]) is not a public address but loopback"),
    ("[::ffff:7f00:1]", "127.0.0.1 ([::ffff:7f00:1]) is not a public address but loopback"),
    ("[::127.0.0.1]", "::7f00:1 is not a public address but IPv4-compatible"),
    ("[64:ff9b::7f00:1]", "127.0.0.1 ([64:ff9b::7f00:1]) is not a public address but loopback"),
    ("[64:ff9b:1::a00:1]", "64:ff9b:1::a00:1 is not a public address but reserved for this network's NAT64"),
    ("[2002:7f00:1::]", "2002:7f00:1:: is not a public address but loopback"),
    ("[2001::7f00:1]", "2001::7f00:1 is not a public address but Teredo"),
    ("[2001:db8::1]", "2001:db8::1 is not a public address but reserved for documentation"),
    ("[fc00::1]", "fc00::1 is not a public address but unique-local"),
    ("[fd00:ec2::254]", "fd00:ec2::254 is not a public address but the metadata service of AWS"),
    ("[fe80::1]", "fe80::1 is not a public address but link-local"),
    ("[fec0::1]", "fec0::1 is not a public address but site-local"),
    ("[ff02::1]", "ff02::1 is not a public address but multicast"),
    ("[5f00::1]", "5f00::1 is not a public address but reserved for segment routing"),
];

/// Listeners that must never see a connection, on the loopback addresses of both families.
struct Trap {
    listeners: Vec<TcpListener>,
    port: u16,
}

impl Trap {
    fn set() -> Trap {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let port = v4.local_addr().expect("a listener has an address").port();
        // A machine without IPv6, or one that has given the port away there, has one trap less.
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok();
        let listeners: Vec<_> = std::iter::once(v4).chain(v6).collect();
        for listener in &listeners {
            listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        }
        Trap { listeners, port }
    }

    /// A connection waits to be accepted, even after its client is gone.
    fn assert_untouched(&self) {
        for listener in &self.listeners {
            let accepted = listener.accept().map(|(_, peer)| peer);
            assert_eq!(
                accepted.expect_err("nobody has connected").kind(),
                ErrorKind::WouldBlock,
                "{listener:?}"
            );
        }
    }
}

/// Lets a worker meet all the URLs and then one that may be reached; returns the dead letters by URL, in order.
fn refused(worker: &mut Postrider, queue: Queue<'_>, sink: &Sink, urls: &[String]) -> Vec<DeadLetter> {
    let job_ids: Vec<String> = urls.iter().map(|url| queue.enqueue(&[("url", url)])).collect();
    queue.enqueue(&[("url", sink.url("/next"))]);
    sink.wait_for_path("/next", 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    let dead = queue.dead();
    assert_eq!(dead.len(), urls.len(), "{dead:#?}");
    let letters = urls.iter().zip(job_ids).map(|(url, job_id)| {
        let letter = dead.iter().find(|letter| letter.field("url").as_ref() == Some(url));
        let letter = letter.unwrap_or_else(|| panic!("{url} is not dead-lettered: {dead:#?}")).clone();
        assert_eq!((letter.reason().as_str(), letter.field("_job_id")), ("refused", Some(job_id)), "{url}");
        assert_eq!(letter.field("_attempt").as_deref(), Some("0"), "no attempt was made: {letter:?}");
        let entry = letter.field("_job_id").unwrap_or_default();
        let line = worker.wait_for_log(&format!("{entry:?}"), DEADLINE);
        assert!(line.contains("job dead-lettered") && line.contains(&error(&letter)), "{line}");
        letter
    });
    letters.collect()
}

fn error(letter: &DeadLetter) -> String {
    letter.field("_error").unwrap_or_default()
}

fn addresses_that_are_not_public_are_refused_in_every_form(build: Build) {
    let (redis, sink, trap) = (RedisServer::start(), Sink::start(), Trap::set());
    let queue = Queue::new(&redis, "default");
    let allow = format!("127.0.0.1:{}", sink.address().port());
    let mut worker = Postrider::ready_worker(build, &redis, &[], &[("POSTRIDER_EGRESS_ALLOW", &allow)]);
    let mut urls = Vec::new();
    for (host, _) in FORBIDDEN {
        urls.push(format!("http://{host}:{}/", trap.port));
        urls.push(format!("https://{host}:{}/?x={host}", trap.port));
    }
    let letters = refused(&mut worker, queue, &sink, &urls);
    trap.assert_untouched();
    for ((host, text), letters) in FORBIDDEN.iter().zip(letters.chunks(2)) {
        for letter in letters {
            let shown = error(letter);
            assert!(shown.starts_with(text), "{host}: {shown}");
            if shown.contains(" service ") {
                assert!(shown.ends_with("no job needs it"), "{host}: {shown}");
                continue;
            }
            let address = shown.split(' ').next().unwrap_or_default();
            let flag = format!("`--egress-allow {address}` (POSTRIDER_EGRESS_ALLOW) allows it");
            assert!(shown.ends_with(&flag), "{host}: {shown}");
        }
    }
}

fn the_rules_of_the_file_are_asked_in_their_order(build: Build) {
    let (redis, sink, trap) = (RedisServer::start(), Sink::start(), Trap::set());
    let queue = Queue::new(&redis, "default");
    let (open, closed) = (sink.address().port(), trap.port);
    let config = TextFile::new(&format!(
        "[egress]\nallow = [\"127.0.0.0/8\", \"::1\"]\n\
         deny = [\"127.0.0.2\", \"127.0.0.9:{closed}\", \"*.denied.invalid\"]\n\
         only = [\"127.0.0.0/8\", \"localhost\", \"*.denied.invalid\"]\n\
         ports = [{open}, {closed}]\nschemes = [\"http\"]\n",
    ));
    let mut worker = Postrider::ready_worker(build, &redis, &["--config", config.path()], &[]);
    let cases = [
        (format!("https://127.0.0.1:{closed}/"), "the scheme https is not one of `schemes`".to_owned()),
        ("http://127.0.0.1:1/".to_owned(), "127.0.0.1: the port 1 is not one of `ports`".to_owned()),
        (format!("http://127.0.0.2:{closed}/"), "127.0.0.2 is denied by the rule `127.0.0.2/32`".to_owned()),
        (format!("http://0x7f.2:{closed}/"), "127.0.0.2 is denied by the rule".to_owned()),
        (
            format!("http://[::ffff:127.0.0.2]:{closed}/"),
            "127.0.0.2 ([::ffff:7f00:2]) is denied by the rule".to_owned(),
        ),
        (
            format!("http://127.0.0.9:{closed}/"),
            format!("127.0.0.9 is denied by the rule `127.0.0.9/32:{closed}`"),
        ),
        (
            format!("http://x.denied.invalid:{closed}/"),
            "x.denied.invalid is denied by the rule `*.denied.invalid`".to_owned(),
        ),
        (format!("http://[::1]:{closed}/"), "::1 is not covered by `only`".to_owned()),
    ];
    let urls: Vec<String> = cases.iter().map(|(url, _)| url.clone()).collect();
    let letters = refused(&mut worker, queue, &sink, &urls);
    trap.assert_untouched();
    for ((url, text), letter) in cases.iter().zip(letters) {
        let shown = error(&letter);
        assert!(shown.starts_with(text) && shown.contains("[egress] of the configuration"), "{url}: {shown}");
    }
}

fn an_allowed_address_is_reached_by_every_spelling(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker_with(&[], &[("POSTRIDER_EGRESS_ALLOW", "127.0.0.1")]);
    let port = sink.address().port();
    let hosts =
        ["127.0.0.1", "127.0.0.1.", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"];
    for (number, host) in hosts.iter().enumerate() {
        queue.enqueue(&[("url", format!("http://{host}:{port}/{number}"))]);
    }
    sink.wait_for(hosts.len(), DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 0, "{:#?}", queue.dead());
    for (number, host) in hosts.iter().enumerate() {
        assert_eq!(sink.requests_to(&format!("/{number}")).len(), 1, "{host}");
    }
}

fn a_redirect_to_a_metadata_service_is_not_followed(build: Build) {
    let (redis, sink, trap) = (RedisServer::start(), Sink::start(), Trap::set());
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(build, &redis, &[], &[]);
    let targets = ["http://169.254.169.254/latest/".to_owned(), format!("http://127.0.0.1:{}/", trap.port)];
    let mut paths = Vec::new();
    for code in [301, 302, 303, 307, 308] {
        paths.extend(targets.iter().map(|target| format!("/redirect/{code}?{target}")));
    }
    for path in &paths {
        queue.enqueue(&[("url", sink.url(path))]);
    }
    queue.enqueue(&[("url", sink.url("/next"))]);
    sink.wait_for_path("/next", 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    trap.assert_untouched();
    let dead = queue.dead();
    assert_eq!(dead.len(), paths.len(), "{dead:#?}");
    for letter in &dead {
        assert_eq!(letter.reason(), "final_status", "{letter:?}");
        assert!(error(letter).contains("answered 30"), "{letter:?}");
    }
    assert!(paths.iter().all(|path| sink.requests_to(path).len() == 1), "each was asked once");
    assert_eq!(sink.requests().len(), paths.len() + 1);
}

fn a_wrong_rule_is_reported_with_its_line(build: Build) {
    let text = "[egress]\nallow = [\"10.0.0.0/99\"]\nports = [0]\nschemes = [\"ftp\"]\nonly = []\n";
    let config = TextFile::new(text);
    let output = Postrider::run(build, &["worker", "--config", config.path()], &[], DEADLINE);
    assert_eq!(output.code(), 2, "{output:?}");
    for part in ["line 2: `allow`: `10.0.0.0/99` is not a rule", "line 3: ", "line 4: ", "line 5: "] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
    let output = Postrider::run(build, &["worker", "--egress-allow", "10.0.0.0/99"], &[], DEADLINE);
    assert_eq!(output.code(), 2, "{output:?}");
    assert!(output.stderr.contains("`10.0.0.0/99` is not a rule"), "{}", output.stderr);
}

fn a_rule_that_opens_metadata_services_causes_a_warning(build: Build) {
    let redis = RedisServer::start();
    let allow = [("POSTRIDER_EGRESS_ALLOW", "10.0.0.0/8,0.0.0.0/0")];
    let worker = Postrider::ready_worker(build, &redis, &[], &allow);
    let log = worker.log();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("metadata services")).collect();
    assert_eq!(warnings.len(), 1, "{log:#?}");
    assert!(warnings[0].contains("0.0.0.0/0") && !warnings[0].contains("10.0.0.0/8"), "{warnings:?}");
}
