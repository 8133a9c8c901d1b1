//! Entries that are no jobs: each is dead-lettered with its own bytes and with what is wrong, and the next job runs.

use e2e::process::{Build, Postrider};
use e2e::queue::{DeadLetter, Queue};
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

e2e::in_both_builds!(every_malformed_entry_is_dead_lettered_and_reported, long_values_are_cut);

const LARGEST: usize = 4 << 20;

type Fields = Vec<(&'static str, Vec<u8>)>;

fn with(name: &'static str, value: impl Into<Vec<u8>>) -> Fields {
    vec![("url", b"http://127.0.0.1:1/".to_vec()), (name, value.into())]
}

fn url(text: impl Into<Vec<u8>>) -> Fields {
    vec![("url", text.into())]
}

fn headers(text: &str) -> Fields {
    with("headers", text)
}

/// Entries, and a part of the error of each.
fn cases() -> Vec<(Fields, &'static str)> {
    [fields_that_are_wrong(), urls(), all_headers()].concat()
}

fn urls() -> Vec<(Fields, &'static str)> {
    let mut cases = vec![];
    for (text, part) in [
        ("", "must be absolute"),
        ("http://", "not a URL"),
        ("/path", "must be absolute"),
        ("h", "must be absolute"),
        ("http://a b/", "not a URL"),
        ("file:///etc/passwd", "scheme \"file\""),
        ("localhost:8080/hook", "write https://"),
        ("gopher://h/", "scheme \"gopher\""),
        ("http://user:hunter2@h:x/", "1 to 65535"),
        ("http://b\u{fffd}cher.example/", "not a URL"),
        ("http://h:0/", "1 to 65535"),
        ("http://h:65536/", "1 to 65535"),
        ("http://[fe80::1%25eth0]/", "without a zone"),
        ("http://127.0.0.1\r\nHost: evil/", "control character"),
        ("http://h/a\0b", "control character"),
        ("http://256.1.1.1/", "ends in a number"),
    ] {
        cases.push((url(text), part));
    }
    cases.push((url(b"http://h/\xff\xfe".to_vec()), "`url`"));
    cases
}

fn all_headers() -> Vec<(Fields, &'static str)> {
    let mut cases = vec![];
    let (many, deep, large) = (
        (0..1000).map(|number| format!("\"x-{number}\":\"\"")).collect::<Vec<_>>().join(","),
        format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)),
        "[".repeat(1 << 20),
    );
    for (text, part) in [
        ("", "is empty; leave it out"),
        ("{", "not JSON"),
        ("[1]", "must be a JSON object"),
        (deep.as_str(), "not JSON"),
        (large.as_str(), "1048576 bytes; at most 65536"),
        (r#"{"x":"a\r\nhost: evil"}"#, "a character that headers cannot"),
        (r#"{"x":"a\r\n b"}"#, "a character that headers cannot"),
        (r#"{"x":"a\nb"}"#, "a character that headers cannot"),
        (r#"{"x":"a\u0000b"}"#, "a character that headers cannot"),
        (r#"{"x\r\ny":"a"}"#, "is not a header name"),
        (r#"{"x:":"a"}"#, "is not a header name"),
        (r#"{"x ":"a"}"#, "is not a header name"),
        (r#"{":authority":"evil"}"#, "is not a header name"),
        (r#"{"":"a"}"#, "is not a header name"),
        (r#"{"x":1}"#, "must be text"),
        (&format!("{{{many}}}"), "more than 256"),
        (r#"{"Host":"evil"}"#, "`host` is set by the worker"),
        (r#"{"content-length":"0"}"#, "`content-length` is set by the worker"),
        (r#"{"Transfer-Encoding":"chunked"}"#, "`transfer-encoding` is set by the worker"),
        (r#"{"connection":"x-a"}"#, "`connection` is set by the worker"),
        (r#"{"keep-alive":"1"}"#, "`keep-alive` is set by the worker"),
        (r#"{"TE":"trailers"}"#, "`te` is set by the worker"),
        (r#"{"trailer":"x"}"#, "`trailer` is set by the worker"),
        (r#"{"upgrade":"h2c"}"#, "`upgrade` is set by the worker"),
        (r#"{"expect":"100-continue"}"#, "`expect` is set by the worker"),
        (r#"{"proxy-authorization":"x"}"#, "`proxy-authorization` is set by the worker"),
        (r#"{"proxy-connection":"x"}"#, "`proxy-connection` is set by the worker"),
    ] {
        cases.push((headers(text), part));
    }
    cases.push((with("headers", b"{\"x\":\"\xff\"}".to_vec()), "not JSON"));
    cases
}

fn fields_that_are_wrong() -> Vec<(Fields, &'static str)> {
    let mut cases = vec![
        (vec![("body", b"there is no url".to_vec())], "`url` is missing"),
        (vec![("", vec![])], "`url` is missing"),
        ([with("body", "a"), with("body", "b")[1..].to_vec()].concat(), "`body` is given twice"),
        ([url("http://127.0.0.1:1/"), url("http://127.0.0.1:1/")].concat(), "`url` is given twice"),
        (with("secret", "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="), "holds a key"),
        (with("secret", "nobody"), "no secret is named \"nobody\""),
        (with("retry", "nobody"), "no policy is named \"nobody\""),
        (with("flow", ""), "1 to 256 bytes"),
        (with("flow", [b'x'; 257]), "1 to 256 bytes"),
    ];
    for (name, values, part) in [
        ("v", &["2", "9999999999999999"][..], "is newer than"),
        ("v", &["0"], "at least 1"),
        ("v", &["", "x", "1.0"], "1 to 16 digits"),
        ("method", &["NO SPACE", "", "GET\r\nx: y", "\u{e9}"], "not an HTTP method"),
        ("method", &["CONNECT", "connect"], "for proxies"),
        ("delay_ms", &["-1", "NaN", "1e3", "1.5", "", "99999999999999999", "inf"], "1 to 16 digits"),
        ("delay_ms", &["9999999999999999"], "ten years"),
        ("not_before", &["1700000000"], "looks like seconds"),
        ("expires_at", &["9999999999999999"], "beyond the year 5000"),
        ("timeout_ms", &["0"], "at least 1"),
        ("timeout_ms", &["3600001", "9999999999999999"], "more than an hour"),
        ("max_attempts", &["0", "101"], "1 to 100"),
        ("max_attempts", &["18446744073709551616", "-1"], "1 to 16 digits"),
        ("label", &["é", "", "a b", "a\r\nb"], "printable ASCII"),
        ("result_ttl_ms", &["604800001"], "more than seven days"),
    ] {
        cases.extend(values.iter().map(|value| (with(name, *value), part)));
    }
    let many = (0..300).flat_map(|_| with("unknown", "x")[1..].to_vec());
    cases.push((url("http://127.0.0.1:1/").into_iter().chain(many).collect(), "301 fields are too many"));
    cases
}

fn error(letter: &DeadLetter) -> String {
    letter.field("_error").unwrap_or_default()
}

fn every_malformed_entry_is_dead_lettered_and_reported(build: Build) {
    let (redis, sink, cases) = (RedisServer::start(), Sink::start(), cases());
    let queue = Queue::new(&redis, "default");
    let worker = Postrider::ready_worker(build, &redis, &[], &[]);
    let job_ids: Vec<String> = cases
        .iter()
        .map(|(fields, _)| {
            let job_id = queue.enqueue(fields);
            queue.enqueue(&[("url", sink.url(&format!("/next?{job_id}")))]);
            job_id
        })
        .collect();
    queue.wait_until_drained(DEADLINE);
    let dead = queue.dead();
    assert_eq!((dead.len(), sink.requests().len()), (cases.len(), cases.len()));
    for ((fields, part), job_id) in cases.iter().zip(job_ids) {
        let shown: Vec<_> =
            fields.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
        let shown = format!("{:.200}", format!("{shown:?}"));
        let letter = dead.iter().find(|letter| letter.field("_job_id").as_ref() == Some(&job_id));
        let letter = letter.unwrap_or_else(|| panic!("{shown} is not dead-lettered"));
        let reason = if *part == "is newer than" { "version" } else { "malformed" };
        assert_eq!(letter.reason(), reason, "{shown}");
        assert!(error(letter).contains(part), "{shown}: {}", error(letter));
        assert!(!error(letter).contains(char::is_control), "{shown}: {}", error(letter));
        if fields.len() <= 256 {
            let own: Vec<_> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            assert_eq!(letter.own_fields(), own, "{shown}");
        }
        assert_eq!(sink.requests_to(&format!("/next?{job_id}")).len(), 1, "{shown}");
    }
    let log = worker.log().join("\n");
    assert!(!log.contains("hunter2") && !log.contains("aHVudGVy"), "no secret is repeated");
}

/// One byte over the limit, and a hundred megabytes.
fn long_values_are_cut(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let url = sink.url("/ok");
    let rest = "urlbody".len() + url.len();
    let fields = |bytes: usize| vec![("url", url.clone().into_bytes()), ("body", vec![b'x'; bytes - rest])];
    let _worker = world.worker(&[]);
    queue.enqueue(&fields(LARGEST));
    let job_ids = [LARGEST + 1, 100_000_000].map(|bytes| queue.enqueue(&fields(bytes)));
    queue.enqueue(&[("url", sink.url("/next"))]);
    eventually("the next job", DEADLINE, || (sink.requests().len() == 2).then_some(()));
    queue.wait_until_drained(DEADLINE);
    let dead = queue.dead();
    assert_eq!(dead.iter().map(|letter| letter.field("_job_id")).collect::<Vec<_>>(), job_ids.map(Some));
    for letter in dead {
        assert_eq!(letter.reason(), "malformed");
        assert!(error(&letter).contains("bytes are too many; at most 4194304"), "{}", error(&letter));
        let raw = letter.field("_raw").expect("what fits is kept");
        assert!(raw.starts_with(&format!("url={url}\nbody=xxx")) && raw.len() == 64 * 1024, "{}", raw.len());
        assert_eq!(letter.field("_raw_fields").as_deref(), Some("2"));
    }
}

/// The worker's own fields are added to a job that was accepted once.
#[test]
fn a_job_of_nearly_the_largest_size_is_tried_again() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let url = sink.url("/flaky/1/large");
    let rest = "urlbody".len() + url.len();
    let _worker = Postrider::ready_worker(Build::Otel, &redis, &["--retry-base", "50ms"], &[]);
    queue.enqueue(&[("url", url.into_bytes()), ("body", vec![b'x'; LARGEST - rest - 10])]);
    queue.wait_until_drained(DEADLINE);
    let dead: Vec<_> = queue.dead().iter().map(error).collect();
    assert_eq!((sink.requests().len(), dead), (2, vec![]));
}

#[test]
fn garbage_displaces_no_dead_letter_and_does_not_flood_the_log() {
    const GARBAGE: usize = 500;
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &[], &[]);
    queue.enqueue(&[("url", sink.url("/status/404"))]);
    (0..GARBAGE).for_each(|_| drop(queue.enqueue(&[("no", "job")])));
    queue.wait_until_drained(DEADLINE);
    let letters = queue.dead();
    let reasons: Vec<_> = letters.iter().take(2).map(DeadLetter::reason).collect();
    assert_eq!(reasons, ["final_status", "malformed"], "each has its stream");
    assert_eq!((letters.len(), queue.rejected().len()), (GARBAGE + 1, GARBAGE));
    let part = worker.wait_for_log("left out lines", DEADLINE);
    assert!(part.contains("\"reason\":\"malformed\"") && part.contains("\"lines\":"), "{part}");
    let lines = worker.log().iter().filter(|line| line.contains("job dead-lettered")).count();
    assert!(lines < 300, "{lines} lines");
    assert!(worker.stop().success());
}
