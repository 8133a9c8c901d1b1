//! Tests of the harness itself: a test that cannot fail proves nothing.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use e2e::http_call::{Answer, exchange};
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::sink::{RawSink, Sink};
use e2e::wait::{DEADLINE, eventually, eventually_or};

fn post(sink: &Sink, path: &str, body: &str) -> Answer {
    exchange(sink.address(), "POST", path, &[("X-Test", "1")], body.as_bytes(), DEADLINE).expect("an answer")
}

#[test]
fn the_sink_answers_as_the_path_asks() {
    let sink = Sink::start();
    let statuses =
        ["/ok", "/anything", "/status/410", "/flaky/2/a", "/flaky/2/b", "/flaky/2/a", "/flaky/2/a"]
            .map(|path| post(&sink, path, "").status);
    assert_eq!(statuses, [200, 200, 410, 503, 503, 503, 200]);
    assert_eq!(sink.requests_to("/flaky/2/a").len(), 3);
    assert_eq!(sink.connections(), 7);
}

#[test]
fn the_sink_records_what_came() {
    let sink = Sink::start();
    post(&sink, "/ok?a=b", "hello");
    let request = &sink.wait_for(1, DEADLINE)[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/ok?a=b"));
    assert_eq!(request.header("x-test"), Some("1"));
    assert_eq!(&request.body[..], b"hello");
}

#[test]
fn a_slow_path_takes_its_time() {
    let sink = Sink::start();
    for (path, status) in [("/slow/200", 200), ("/flaky/1/late/200", 503), ("/flaky/1/late/200", 200)] {
        let start = Instant::now();
        assert_eq!(post(&sink, path, "").status, status);
        assert!(start.elapsed() >= Duration::from_millis(200), "{path}");
    }
}

#[test]
fn a_hanging_path_records_the_request_and_does_not_answer() {
    let sink = Sink::start();
    let answer = exchange(sink.address(), "GET", "/hang", &[], b"", Duration::from_millis(200));
    assert!(answer.is_err());
    assert_eq!(sink.wait_for_path("/hang", 1, DEADLINE).len(), 1);
}

#[test]
fn the_raw_sink_keeps_every_byte() {
    let sink = RawSink::start();
    let timeout = Duration::from_millis(200);
    // It keeps the connection open, and this client reads to its end.
    let _ = exchange(sink.address(), "POST", "/x", &[("X-CaSe", " y")], b"\x00\xff", timeout);
    let host = sink.address();
    let head =
        format!("POST /x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nX-CaSe:  y\r\ncontent-length: 2");
    assert_eq!(sink.wait_for(1, DEADLINE), [[head.as_bytes(), b"\r\n\r\n\x00\xff"].concat()]);
}

#[test]
fn redis_answers_every_type_of_reply() {
    let redis = RedisServer::start();
    assert_eq!(redis.command(&["SET", "key", "a\r\nb"]), Reply::Simple("OK".to_owned()));
    assert_eq!(redis.command(&["GET", "key"]), Reply::Bulk(b"a\r\nb".to_vec()));
    assert_eq!(redis.command(&["GET", "none"]), Reply::Nil);
    assert_eq!(redis.command(&["RPUSH", "list", "a", ""]), Reply::Integer(2));
    let items = Reply::Array(vec![Reply::Bulk(b"a".to_vec()), Reply::Bulk(Vec::new())]);
    assert_eq!(redis.command(&["LRANGE", "list", "0", "-1"]), items);
    assert!(matches!(redis.command(&["INCR", "key"]), Reply::Error(text) if text.starts_with("ERR ")));
}

#[test]
fn a_restart_loses_what_was_not_on_disk_and_keeps_the_rest() {
    for (arguments, kept) in [(&[][..], 0), (&["--appendonly", "yes", "--appendfsync", "always"][..], 1)] {
        let mut redis = RedisServer::start_with(arguments);
        redis.command(&["SET", "key", "value"]);
        let port = redis.port;
        redis.restart();
        assert_eq!((redis.port, redis.command(&["EXISTS", "key"]).integer()), (port, kept));
    }
}

#[test]
fn a_dropped_redis_server_is_gone() {
    let redis = RedisServer::start();
    let port = redis.port;
    drop(redis);
    assert!(e2e::resp::Connection::open(port).is_err());
}

#[test]
fn a_wait_ends_with_the_first_answer() {
    let mut tries = 0;
    let answer = eventually("three tries", DEADLINE, || {
        tries += 1;
        (tries == 3).then_some("done")
    });
    assert_eq!(answer, "done");
}

#[test]
fn a_wait_that_ends_without_an_answer_reports_what_it_saw() {
    let panic = catch_unwind(|| {
        eventually_or("the moon", Duration::ZERO, || Err::<(), _>("a cloud"));
    });
    let message = panic.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("the moon: not within") && message.ends_with("a cloud"), "{message}");
}
