//! Hostile destinations and proxies: each ends as it should, within its time, and the next job is delivered.

use std::time::{Duration, Instant, SystemTime};

use e2e::hostile::{Certificate, Flaw, Hostile, Play};
use e2e::process::{Build, Postrider};
use e2e::queue::{DeadLetter, Queue};
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::{eventually, eventually_or};

e2e::in_both_builds!(
    connections_that_break,
    answers_that_are_none,
    answers_that_are_odd,
    answers_that_do_not_come,
    certificates,
    connections_that_had_been_used,
    proxies,
);

const SOON: Duration = Duration::from_secs(30);
/// An attempt's limits are a fraction of this, also on a loaded machine.
const LONGEST: Duration = Duration::from_secs(20);
/// Of each case; the rows may add to it.
const HTTP: &str = "[http]\nconnect_timeout = \"2s\"\ntls_timeout = \"300ms\"\nheaders_timeout = \"300ms\"\n\
                    body_timeout = \"300ms\"\n";

/// What becomes of a job.
enum Expected {
    /// It is delivered, with so many requests at the destination; 0 where that does not count them.
    Done(usize),
    /// It is buried after two attempts, each of which ended with this error, or the status.
    Dead(&'static str),
    /// It cost no attempt, and stays until its time is over.
    Released,
}

/// One case: a destination, or a proxy on the way to one.
struct Case {
    name: &'static str,
    play: Play,
    certificate: Option<(Flaw, &'static [&'static str], bool)>,
    body: usize,
    jobs: usize,
    proxy: bool,
    expected: Expected,
}

impl Case {
    fn new(name: &'static str, play: Play, expected: Expected) -> Case {
        Case { name, play, certificate: None, body: 10, jobs: 1, proxy: false, expected }
    }

    /// With TLS; `trusted` puts the certificate among the authorities.
    fn tls(mut self, flaw: Flaw, protocols: &'static [&'static str], trusted: bool) -> Case {
        self.certificate = Some((flaw, protocols, trusted));
        self
    }

    fn body(mut self, bytes: usize) -> Case {
        self.body = bytes;
        self
    }

    fn jobs(mut self, jobs: usize) -> Case {
        self.jobs = jobs;
        self
    }

    fn proxy(mut self) -> Case {
        self.proxy = true;
        self
    }
}

fn answer(text: &str) -> Play {
    Play::Answer(text.as_bytes().to_vec())
}

fn connections_that_break(build: Build) {
    run(
        build,
        vec![
            Case::new("refuse", Play::Refuse, Expected::Dead("connect")),
            Case::new("reset before the body", Play::ResetAtOnce, Expected::Dead("connection_reset")),
            Case::new("reset after the body", Play::ResetAfterRequest, Expected::Dead("connection_reset")),
            Case::new(
                "close without an answer",
                Play::AnswerAndClose(vec![]),
                Expected::Dead("connection_reset"),
            ),
        ],
    );
}

fn answers_that_are_none(build: Build) {
    let many: String = (0..300).map(|number| format!("x-{number}: 1\r\n")).collect();
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    run(
        build,
        vec![
            Case::new("status line", answer("HTTP/1.1 abc OK\r\n\r\n"), Expected::Dead("protocol")),
            Case::new("no HTTP", answer("SSH-2.0-OpenSSH_9.6\r\n\r\n"), Expected::Dead("protocol")),
            Case::new("a header of 1 MB", answer(&large), Expected::Dead("too_large")),
            Case::new(
                "300 headers",
                answer(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
                Expected::Dead("too_large"),
            ),
            Case::new(
                "lengths that differ",
                answer("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
                Expected::Dead("protocol"),
            ),
        ],
    );
}

fn answers_that_are_odd(build: Build) {
    let gzip = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 90000\r\n\r\n";
    let gzip = [gzip.as_bytes(), &[0x1f; 90_000]].concat();
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    run(
        build,
        vec![
            Case::new(
                "1xx first",
                answer(
                    "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                ),
                Expected::Done(1),
            ),
            Case::new("204", answer("HTTP/1.1 204 No Content\r\n\r\n"), Expected::Done(1)),
            Case::new(
                "200 headers",
                answer(&format!("HTTP/1.1 204 No Content\r\n{many}\r\n")),
                Expected::Done(1),
            ),
            Case::new("gzip bomb", Play::Answer(gzip), Expected::Done(1)),
            Case::new(
                "shorter than its length",
                Play::AnswerAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab".to_vec()),
                Expected::Done(1),
            ),
            Case::new(
                "chunked junk",
                answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\njunk"),
                Expected::Done(1),
            ),
        ],
    );
}

fn answers_that_do_not_come(build: Build) {
    let pause = Duration::from_millis(50);
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    run(
        build,
        vec![
            Case::new("no answer", Play::Silent, Expected::Dead("headers_timeout")),
            Case::new(
                "slow headers",
                Play::Drip(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".to_vec(), pause),
                Expected::Dead("headers_timeout"),
            ),
            Case::new("a stalled upload", Play::Deaf, Expected::Dead("upload_timeout")).body(4_000_000),
            Case::new(
                "a body that drips",
                Play::Drip(endless.clone(), b"1\r\nx\r\n".to_vec(), pause),
                Expected::Done(1),
            ),
            Case::new(
                "a body that floods",
                Play::Drip(
                    endless,
                    [b"2000\r\n".as_slice(), &[b'x'; 0x2000], b"\r\n"].concat(),
                    Duration::ZERO,
                ),
                Expected::Done(1),
            ),
        ],
    );
}

fn certificates(build: Build) {
    const H1: &[&str] = &["http/1.1"];
    let ok = || answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    run(
        build,
        vec![
            Case::new("trusted", ok(), Expected::Done(1)).tls(Flaw::None, H1, true),
            Case::new("unknown authority", ok(), Expected::Dead("tls")).tls(Flaw::None, H1, false),
            Case::new("expired", ok(), Expected::Dead("tls")).tls(Flaw::Expired, H1, true),
            Case::new("another host's", ok(), Expected::Dead("tls")).tls(Flaw::WrongHost, H1, true),
            Case::new("no handshake", Play::Deaf, Expected::Dead("tls_timeout")).tls(Flaw::None, H1, true),
        ],
    );
}

fn connections_that_had_been_used(build: Build) {
    run(
        build,
        vec![
            Case::new("close at reuse", Play::CloseAtReuse, Expected::Done(20)).jobs(20),
            Case::new("GOAWAY", Play::GoAway, Expected::Done(0)).tls(Flaw::None, &["h2"], true),
            Case::new("REFUSED_STREAM", Play::RefusedStream, Expected::Done(0)).tls(
                Flaw::None,
                &["h2"],
                true,
            ),
        ],
    );
}

fn proxies(build: Build) {
    let ok = answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let status = |line: &str| answer(&format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"));
    let https = |case: Case| case.proxy().tls(Flaw::None, &["http/1.1"], true);
    run(
        build,
        vec![
            Case::new("a proxy", ok, Expected::Done(1)).proxy(),
            https(Case::new("a tunnel", Play::Tunnel, Expected::Done(1))),
            Case::new("no proxy there", Play::Refuse, Expected::Released).proxy(),
            https(Case::new("no proxy there, for a tunnel", Play::Refuse, Expected::Released)),
            Case::new("407", status("407 Proxy Authentication Required"), Expected::Released).proxy(),
            https(Case::new(
                "407 to CONNECT",
                status("407 Proxy Authentication Required"),
                Expected::Released,
            )),
            https(Case::new("503 to CONNECT", status("503 Service Unavailable"), Expected::Released)),
        ],
    );
}

fn run(build: Build, cases: Vec<Case>) {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    for case in cases {
        println!("case: {}", case.name);
        play(build, &redis, &sink, case);
        redis.command(&["FLUSHALL"]);
    }
}

/// Files and servers of a case, as they must live as long.
struct Stage {
    hostile: Hostile,
    beyond: Option<Hostile>,
    config: tempfile::TempDir,
}

fn stage(case: &Case) -> Stage {
    let config = tempfile::tempdir().expect("the folder for temporary files can be written");
    let made = case.certificate.map(|(flaw, protocols, _)| Certificate::new(flaw, protocols));
    let mut text = HTTP.to_owned();
    if let (Some(certificate), Some((_, _, true))) = (&made, case.certificate) {
        let path = config.path().join("ca.pem");
        std::fs::write(&path, &certificate.pem).expect("a file can be written");
        text.push_str(&format!("ca_files = [{path:?}]\n"));
    }
    let own = if case.proxy { None } else { made.as_ref() };
    let hostile = Hostile::start(case.play.clone(), own);
    let mut beyond = None;
    if case.proxy {
        text.push_str(&format!("proxy = \"http://me:hunter2@127.0.0.1:{}\"\n", hostile.port()));
        text.push_str("no_proxy = [\"127.0.0.1\"]\n");
        beyond = Some(Hostile::start(answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), made.as_ref()));
    }
    std::fs::write(config.path().join("postrider.toml"), text).expect("a file can be written");
    Stage { hostile, beyond, config }
}

fn play(build: Build, redis: &RedisServer, sink: &Sink, case: Case) {
    let stage = stage(&case);
    let queue = Queue::new(redis, "default");
    let file = stage.config.path().join("postrider.toml");
    let arguments =
        ["--config", file.to_str().expect("the path is text"), "--retry-base", "20ms", "--retry-cap", "50ms"];
    let worker = Postrider::ready_worker(build, redis, &arguments, &[]);
    let target = stage.beyond.as_ref().unwrap_or(&stage.hostile);
    let scheme = if case.certificate.is_some() { "https" } else { "http" };
    let host = if case.proxy { "localhost" } else { "127.0.0.1" };
    let url = format!("{scheme}://{host}:{}/path?token=hunter2", target.port());
    let began = Instant::now();
    let expires = SystemTime::now() + Duration::from_secs(2);
    let expires = expires.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_millis();
    for _ in 0..case.jobs {
        let mut fields = vec![("url", url.clone()), ("body", "x".repeat(case.body))];
        // What is delivered must be with its only attempt.
        let attempts = if matches!(case.expected, Expected::Done(_)) { "1" } else { "2" };
        fields.push(("max_attempts", attempts.to_owned()));
        if matches!(case.expected, Expected::Released) {
            fields.push(("expires_at", expires.to_string()));
        }
        queue.enqueue(&fields);
        if case.jobs > 1 {
            // One after the other, so that each finds the connection of the one before.
            eventually_or("the job's end", SOON, || queue.drained());
        }
    }
    eventually_or(case.name, SOON, || queue.drained());
    assert!(began.elapsed() < LONGEST, "{}: {:?}", case.name, began.elapsed());
    judge(&case, &stage, &queue.dead());
    let before = sink.requests().len();
    queue.enqueue(&[("url", sink.url("/ok"))]);
    eventually("the next job", SOON, || (sink.requests().len() > before).then_some(()));
    let log = worker.log().join("\n");
    assert!(!log.contains("hunter2"), "{}: {log}", case.name);
}

fn judge(case: &Case, stage: &Stage, dead: &[DeadLetter]) {
    let name = case.name;
    match case.expected {
        Expected::Done(requests) => {
            assert!(dead.is_empty(), "{name}: {dead:?}");
            if requests > 0 {
                assert_eq!(stage.hostile.heads().len(), requests, "{name}");
            }
        }
        Expected::Dead(error) => {
            let letter = &dead[0];
            assert_eq!(
                (letter.reason(), letter.field("_attempt")),
                ("attempts".into(), Some("2".into())),
                "{name}"
            );
            assert_eq!(errors(letter), [error, error], "{name}: {:?}", letter.field("_error"));
            let text = letter.field("_error").unwrap_or_default();
            let place = format!("127.0.0.1:{}", stage.hostile.port());
            assert!(text.contains(&place) && !text.contains("hunter2"), "{name}: {text}");
        }
        Expected::Released => {
            let letter = &dead[0];
            assert_eq!(
                (letter.reason(), letter.field("_attempt")),
                ("expired".into(), Some("0".into())),
                "{name}"
            );
            let errors = errors(letter);
            assert!(!errors.is_empty() && errors.iter().all(|error| error == "proxy"), "{name}: {errors:?}");
        }
    }
    if case.proxy {
        for head in stage.hostile.heads() {
            let begins =
                if case.certificate.is_some() { "CONNECT localhost:" } else { "POST http://localhost:" };
            assert!(head.starts_with(begins), "{name}: {head}");
            let authorization = "proxy-authorization: basic bwu6ahvudgvymg==";
            assert!(head.to_lowercase().contains(authorization), "{name}: {head}");
        }
        let beyond = stage.beyond.iter().flat_map(Hostile::heads).collect::<String>();
        assert!(!beyond.to_lowercase().contains("proxy-authorization"), "{name}: {beyond}");
    }
}

/// `error.type` of each attempt.
fn errors(letter: &DeadLetter) -> Vec<String> {
    let history = letter.field("_history").unwrap_or_default();
    let history: Vec<serde_json::Value> = serde_json::from_str(&history).unwrap_or_default();
    history.iter().map(|entry| entry["error"].as_str().unwrap_or_default().to_owned()).collect()
}
