//! One case: a destination, or a proxy on the way to one, and the outcome of jobs to it.

use std::time::{Duration, Instant, SystemTime};

use e2e::hostile::{Behaviour, Certificate, Flaw, Hostile};
use e2e::process::{Build, Postrider};
use e2e::queue::{DeadLetter, Queue};
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually, eventually_or};

/// An attempt's limits are a fraction of this, also on a loaded machine.
const CASE_TIME_MAX: Duration = Duration::from_secs(20);
/// An attempt that ends at once takes less, also on a loaded machine.
const AT_ONCE: u64 = 5000;
/// The limit of each phase in milliseconds, except the connection's.
const LIMIT: u64 = 300;
/// The configuration of each case; the rows may add to it.
const HTTP: &str = "[http]\nconnect_timeout = \"2s\"\ntls_timeout = \"300ms\"\nheaders_timeout = \"300ms\"\n\
                    body_timeout = \"300ms\"\n";
pub(super) const H1: &[&str] = &["http/1.1"];
pub(super) const H2: &[&str] = &["h2"];

/// The outcome of a job.
pub(super) enum Expected {
    /// It is delivered, with this number of requests at the destination; 0 if it does not count them.
    Succeeded(usize),
    /// It is dead-lettered after two attempts, each of which ended with this error, or the status.
    Dead(&'static str),
    /// It is dead-lettered after its only attempt, which this status ended.
    Final(u16),
    /// It cost no attempt, and stays until its time is over.
    HandedBack,
}

/// A case.
pub(super) struct Case {
    pub(super) name: &'static str,
    play: Behaviour,
    certificate: Option<(Flaw, &'static [&'static str], bool)>,
    body: usize,
    jobs: usize,
    proxy: bool,
    host: Option<&'static str>,
    timeout: Option<u64>,
    http: &'static str,
    expected: Expected,
}

impl Case {
    pub(super) fn new(name: &'static str, play: Behaviour, expected: Expected) -> Case {
        let (certificate, body, jobs, proxy, host, timeout, http) = (None, 10, 1, false, None, None, "");
        Case { name, play, certificate, body, jobs, proxy, host, timeout, http, expected }
    }

    /// With TLS; `trusted` puts the certificate among the authorities.
    pub(super) fn tls(mut self, flaw: Flaw, protocols: &'static [&'static str], trusted: bool) -> Case {
        self.certificate = Some((flaw, protocols, trusted));
        self
    }

    /// With HTTP/2, and nothing wrong with its TLS.
    pub(super) fn h2(self) -> Case {
        self.tls(Flaw::None, H2, true)
    }

    pub(super) fn body(mut self, bytes: usize) -> Case {
        self.body = bytes;
        self
    }

    /// Sends jobs one after the other, so that each can use the connection of the one before.
    pub(super) fn jobs(mut self, jobs: usize) -> Case {
        self.jobs = jobs;
        self
    }

    pub(super) fn proxy(mut self) -> Case {
        self.proxy = true;
        self
    }

    pub(super) fn host(mut self, host: &'static str) -> Case {
        self.host = Some(host);
        self
    }

    /// The job's own deadline, in milliseconds.
    pub(super) fn timeout(mut self, millis: u64) -> Case {
        self.timeout = Some(millis);
        self
    }

    /// More lines of the table `[http]`, or others than usual.
    pub(super) fn http(mut self, lines: &'static str) -> Case {
        self.http = lines;
        self
    }

    fn url(&self, servers: &Servers) -> String {
        let target = servers.beyond.as_ref().unwrap_or(&servers.hostile);
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        let usual = if self.proxy { "localhost" } else { "127.0.0.1" };
        format!("{scheme}://{}:{}/path?token=hunter2", self.host.unwrap_or(usual), target.port())
    }

    fn job(&self, url: &str) -> Vec<(&'static str, String)> {
        let mut fields = vec![("url", url.to_owned()), ("body", "x".repeat(self.body))];
        // A delivered job must succeed with its only attempt.
        let attempts = if matches!(self.expected, Expected::Succeeded(_)) { "1" } else { "2" };
        fields.push(("max_attempts", attempts.to_owned()));
        fields.extend(self.timeout.map(|millis| ("timeout_ms", millis.to_string())));
        if matches!(self.expected, Expected::HandedBack) {
            let expires = SystemTime::now() + Duration::from_secs(2);
            let expires = expires.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
            fields.push(("expires_at", expires.as_millis().to_string()));
        }
        fields
    }
}

pub(super) fn answer(text: &str) -> Behaviour {
    Behaviour::Answer(text.as_bytes().to_vec())
}

/// Sends `begin`, and then `piece` again and again, as fast as possible.
pub(super) fn flood(begin: &str, piece: &str) -> Behaviour {
    Behaviour::Drip(begin.into(), piece.repeat(1 + 4096 / piece.len()).into(), Duration::ZERO)
}

pub(super) fn run(build: Build, cases: Vec<Case>) {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    for case in cases {
        println!("case: {}", case.name);
        play(build, &redis, &sink, &case);
        redis.command(&["FLUSHALL"]);
    }
}

/// Files and servers of a case, which must live as long.
struct Servers {
    hostile: Hostile,
    beyond: Option<Hostile>,
    config: TextFile,
    _ca: Option<TextFile>,
}

fn servers(case: &Case) -> Servers {
    let made = case.certificate.map(|(flaw, protocols, _)| Certificate::new(flaw, protocols));
    let is_own = |line: &&str| !case.http.contains(line.split(" =").next().unwrap_or_default());
    let mut text = HTTP.lines().filter(is_own).collect::<Vec<_>>().join("\n") + "\n" + case.http;
    let known = made.as_ref().filter(|_| matches!(case.certificate, Some((_, _, true))));
    let ca = known.map(|certificate| TextFile::new(&certificate.pem));
    if let Some(ca) = &ca {
        text.push_str(&format!("ca_files = [{:?}]\n", ca.path()));
    }
    let plain = matches!(case.certificate, Some((Flaw::Plain, ..)));
    let own = if case.proxy || plain { None } else { made.as_ref() };
    let hostile = Hostile::start(case.play.clone(), own);
    let mut beyond = None;
    if case.proxy {
        text.push_str(&format!("proxy = \"http://me:hunter2@127.0.0.1:{}\"\n", hostile.port()));
        text.push_str("no_proxy = [\"127.0.0.1\"]\n");
        beyond = Some(Hostile::start(answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), made.as_ref()));
    }
    Servers { hostile, beyond, config: TextFile::new(&text), _ca: ca }
}

fn play(build: Build, redis: &RedisServer, sink: &Sink, case: &Case) {
    let servers = servers(case);
    let queue = Queue::new(redis, "default");
    let retry = ["--retry-base", "20ms", "--retry-cap", "50ms"];
    // Each thread has its own connections, and what it has learned of destinations and the proxy.
    let arguments = [&["--config", servers.config.path(), "--threads", "1"], &retry[..]].concat();
    // A missing name server is not queried for long.
    let worker =
        Postrider::ready_worker(build, redis, &arguments, &[("RES_OPTIONS", "timeout:1 attempts:1")]);
    let (url, began) = (case.url(&servers), Instant::now());
    for _ in 0..case.jobs {
        queue.enqueue(&case.job(&url));
        if case.jobs > 1 {
            queue.wait_until_drained(DEADLINE);
        }
    }
    eventually_or(case.name, DEADLINE, || queue.drained());
    assert!(began.elapsed() < CASE_TIME_MAX, "{}: {:?}", case.name, began.elapsed());
    judge(case, &servers, &queue.dead());
    let before = sink.requests().len();
    queue.enqueue(&[("url", sink.url("/ok"))]);
    eventually("the next job", DEADLINE, || (sink.requests().len() > before).then_some(()));
    let log = worker.log().join("\n");
    assert!(!log.contains("hunter2"), "{}: {log}", case.name);
    let warnings = usize::from(matches!(case.expected, Expected::HandedBack));
    assert_eq!(log.matches("the proxy fails").count(), warnings, "{}: {log}", case.name);
}

fn judge(case: &Case, servers: &Servers, dead: &[DeadLetter]) {
    let name = case.name;
    if !matches!(case.expected, Expected::Succeeded(_)) {
        assert_eq!(dead.len(), case.jobs, "{name}: {dead:?}");
    }
    let is = |letter: &DeadLetter, reason: &str, attempts: &str| {
        let recorded = (letter.reason(), letter.field("_attempt").unwrap_or_default());
        assert_eq!(recorded, (reason.to_owned(), attempts.to_owned()), "{name}: {letter:?}");
    };
    match case.expected {
        Expected::Succeeded(requests) => {
            assert!(dead.is_empty(), "{name}: {dead:?}");
            if requests > 0 {
                assert_eq!(servers.hostile.heads().len(), requests, "{name}");
            }
        }
        Expected::Dead(error) => dead.iter().for_each(|letter| {
            is(letter, "attempts", "2");
            in_time(letter, [error; 2], case);
            let text = letter.field("_error").unwrap_or_default();
            let place = case.url(servers).split('/').nth(2).unwrap_or_default().to_owned();
            let shown = if error.parse::<u16>().is_ok() { format!("answered {error}") } else { place };
            assert!(text.contains(&shown) && !text.contains("hunter2"), "{name}: {text}");
        }),
        Expected::Final(status) => dead.iter().for_each(|letter| {
            is(letter, "final_status", "1");
            in_time(letter, [status.to_string().as_str()], case);
        }),
        Expected::HandedBack => dead.iter().for_each(|letter| {
            is(letter, "expired", "0");
            let errors: Vec<_> = attempts(letter).into_iter().map(|(error, _)| error).collect();
            assert!(!errors.is_empty() && errors.iter().all(|error| error == "proxy"), "{name}: {errors:?}");
        }),
    }
    if case.proxy {
        judge_proxy(case, servers);
    }
}

/// Checks that each attempt ended as expected, and that a limit ended it neither early nor much too late.
fn in_time<const N: usize>(letter: &DeadLetter, expected: [&str; N], case: &Case) {
    let attempts = attempts(letter);
    let errors: Vec<&str> = attempts.iter().map(|(error, _)| error.as_str()).collect();
    assert_eq!(errors, expected, "{}: {:?}", case.name, letter.field("_error"));
    for (error, millis) in attempts {
        let limit = case.timeout.unwrap_or(LIMIT);
        let least = if error.ends_with("_timeout") { limit } else { 0 };
        assert!((least..least + AT_ONCE).contains(&millis), "{}: {error} after {millis} ms", case.name);
    }
}

/// `error.type` of each attempt, or its status, and how many milliseconds it took.
fn attempts(letter: &DeadLetter) -> Vec<(String, u64)> {
    let history = letter.field("_history").unwrap_or_default();
    let history: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap_or_default();
    let of = |entry: &serde_json::Value| {
        let error = entry["error"].as_str().map_or_else(|| entry["status"].to_string(), str::to_owned);
        (error, entry["ms"].as_u64().unwrap_or(u64::MAX))
    };
    history.iter().map(of).collect()
}

fn judge_proxy(case: &Case, servers: &Servers) {
    let name = case.name;
    for head in servers.hostile.heads() {
        let begins = if case.certificate.is_some() { "CONNECT localhost:" } else { "POST http://localhost:" };
        assert!(head.starts_with(begins), "{name}: {head}");
        let authorization = "proxy-authorization: basic bwu6ahvudgvymg==";
        assert!(head.to_lowercase().contains(authorization), "{name}: {head}");
    }
    let beyond = servers.beyond.iter().flat_map(Hostile::heads).collect::<String>();
    assert!(!beyond.to_lowercase().contains("proxy-authorization"), "{name}: {beyond}");
}
