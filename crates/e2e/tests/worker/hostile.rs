//! Hostile destinations and proxies: each ends as it should, within its time, and the next job is delivered.

mod case;
mod http2;
mod statuses;

use std::time::Duration;

use case::{Case, Expected, H1, answer, flood, run};
use e2e::hostile::{Behaviour, Flaw, Http2};
use e2e::process::Build;

e2e::in_both_builds!(
    connections_that_break,
    names_that_lead_nowhere,
    responses_that_are_not_http,
    unusual_responses,
    responses_that_do_not_arrive,
    certificates,
    connections_that_had_been_used,
    proxies,
);

fn connections_that_break(build: Build) {
    run(
        build,
        vec![
            Case::new("refuse", Behaviour::Refuse, Expected::Dead("connect")),
            Case::new("reset before the body", Behaviour::ResetAtOnce, Expected::Dead("connection_reset")),
            Case::new(
                "reset after the body",
                Behaviour::ResetAfterRequest,
                Expected::Dead("connection_reset"),
            ),
            Case::new(
                "close without an answer",
                Behaviour::AnswerAndClose(vec![]),
                Expected::Dead("connection_reset"),
            ),
        ],
    );
}

fn names_that_lead_nowhere(build: Build) {
    let patience = "dns_timeout = \"20s\"\n";
    let nowhere = Case::new("a name that does not exist", Behaviour::Silent, Expected::Dead("dns"));
    run(build, vec![nowhere.host("no-such-host.invalid").http(patience)]);
}

fn responses_that_are_not_http(build: Build) {
    let many: String = (0..300).map(|number| format!("x-{number}: 1\r\n")).collect();
    let head = |line: &str| format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    run(
        build,
        vec![
            Case::new("status line", answer("HTTP/1.1 abc OK\r\n\r\n"), Expected::Dead("protocol")),
            Case::new("a status below 100", answer("HTTP/1.1 099 OK\r\n\r\n"), Expected::Dead("protocol")),
            Case::new("HTTP/9", answer("HTTP/9.9 200 OK\r\n\r\n"), Expected::Dead("protocol")),
            Case::new("a folded header", answer(&head("x: a\r\n b")), Expected::Dead("protocol")),
            Case::new("NUL in a header", answer(&head("x: a\0b")), Expected::Dead("protocol")),
            Case::new("CR in a header", answer(&head("x: a\rb")), Expected::Dead("protocol")),
            Case::new("a space before the colon", answer(&head("x : a")), Expected::Dead("protocol")),
            Case::new("a negative length", answer(&head("content-length: -1")), Expected::Dead("protocol")),
            Case::new(
                "a length of 2⁶⁴",
                answer(&head("content-length: 18446744073709551616")),
                Expected::Dead("protocol"),
            ),
            Case::new(
                "a header without an end",
                flood("HTTP/1.1 200 OK\r\nx: ", "y"),
                Expected::Dead("too_large"),
            ),
            Case::new(
                "headers without an end",
                flood("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
                Expected::Dead("too_large"),
            ),
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

fn unusual_responses(build: Build) {
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
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
                Expected::Succeeded(1),
            ),
            Case::new("bare LF", answer("HTTP/1.1 200 OK\ncontent-length: 0\n\n"), Expected::Succeeded(1)),
            Case::new(
                "HTTP/1.0",
                Behaviour::AnswerAndClose(b"HTTP/1.0 200 OK\r\n\r\nok".to_vec()),
                Expected::Succeeded(1),
            ),
            Case::new(
                "a chunk of 2⁶⁸ bytes",
                answer(&chunked("fffffffffffffffff\r\nab")),
                Expected::Succeeded(1),
            ),
            Case::new("a chunk extension without an end", flood(&chunked("2;"), "x"), Expected::Succeeded(1)),
            Case::new(
                "trailers without an end",
                flood(&chunked("0\r\n"), "x: y\r\n"),
                Expected::Succeeded(1),
            ),
            Case::new("204", answer("HTTP/1.1 204 No Content\r\n\r\n"), Expected::Succeeded(1)),
            Case::new(
                "200 headers",
                answer(&format!("HTTP/1.1 204 No Content\r\n{many}\r\n")),
                Expected::Succeeded(1),
            ),
            Case::new("gzip bomb", Behaviour::Answer(gzip), Expected::Succeeded(1)),
            Case::new(
                "shorter than its length",
                Behaviour::AnswerAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab".to_vec()),
                Expected::Succeeded(1),
            ),
            Case::new(
                "chunked junk",
                answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\njunk"),
                Expected::Succeeded(1),
            ),
        ],
    );
}

fn responses_that_do_not_arrive(build: Build) {
    let pause = Duration::from_millis(50);
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    run(
        build,
        vec![
            Case::new("no answer", Behaviour::Silent, Expected::Dead("headers_timeout")),
            Case::new(
                "slow headers",
                Behaviour::Drip(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".to_vec(), pause),
                Expected::Dead("headers_timeout"),
            ),
            Case::new(
                "interim answers without an end",
                flood("", "HTTP/1.1 102 Processing\r\n\r\n"),
                Expected::Dead("protocol"),
            ),
            Case::new(
                "one large interim answer",
                flood("HTTP/1.1 103 Early Hints\r\n", "x: y\r\n"),
                Expected::Dead("too_large"),
            ),
            Case::new(
                "a hundred interim answers",
                answer(&("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100) + "HTTP/1.1 204 Done\r\n\r\n")),
                Expected::Succeeded(1),
            ),
            Case::new(
                "an interim answer only",
                answer("HTTP/1.1 103 Early Hints\r\n\r\n"),
                Expected::Dead("headers_timeout"),
            ),
            Case::new("the attempt's deadline", Behaviour::Silent, Expected::Dead("headers_timeout"))
                .timeout(100),
            Case::new("a stalled upload", Behaviour::Deaf, Expected::Dead("upload_timeout")).body(4_000_000),
            Case::new(
                "a body that drips",
                Behaviour::Drip(endless.clone(), b"1\r\nx\r\n".to_vec(), pause),
                Expected::Succeeded(1),
            ),
            Case::new(
                "a body that floods",
                Behaviour::Drip(
                    endless,
                    [b"2000\r\n".as_slice(), &[b'x'; 0x2000], b"\r\n"].concat(),
                    Duration::ZERO,
                ),
                Expected::Succeeded(1),
            ),
        ],
    );
}

fn certificates(build: Build) {
    let ok = || answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    run(
        build,
        vec![
            Case::new("trusted", ok(), Expected::Succeeded(1)).tls(Flaw::None, H1, true),
            Case::new("an authority's own", ok(), Expected::Succeeded(1)).tls(Flaw::Authority, H1, true),
            Case::new("unknown authority", ok(), Expected::Dead("tls")).tls(Flaw::None, H1, false),
            Case::new("expired", ok(), Expected::Dead("tls")).tls(Flaw::Expired, H1, true),
            Case::new("an old version", ok(), Expected::Dead("tls"))
                .tls(Flaw::OldVersion, H1, true)
                .http("min_tls = \"1.3\"\n"),
            Case::new("an old version that is allowed", ok(), Expected::Succeeded(1)).tls(
                Flaw::OldVersion,
                H1,
                true,
            ),
            Case::new(
                "no TLS at all",
                Behaviour::SpeakFirst(b"220 mail\r\n".to_vec()),
                Expected::Dead("tls"),
            )
            .tls(Flaw::Plain, H1, true),
            Case::new("another host's", ok(), Expected::Dead("tls")).tls(Flaw::WrongHost, H1, true),
            Case::new("no handshake", Behaviour::Deaf, Expected::Dead("tls_timeout")).tls(
                Flaw::None,
                H1,
                true,
            ),
        ],
    );
}

/// Bytes that a destination sends before a request must not answer a later request.
fn connections_that_had_been_used(build: Build) {
    let (ok, gone) =
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n");
    let twice = format!("{ok}{gone}");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n";
    let hidden = format!("{chunked}{gone}");
    run(
        build,
        vec![
            Case::new("close at reuse", Behaviour::CloseAtReuse, Expected::Succeeded(20)).jobs(20),
            Case::new("GOAWAY", Behaviour::Http2(Http2::GoAway), Expected::Succeeded(0)).h2(),
            Case::new("REFUSED_STREAM", Behaviour::Http2(Http2::RefusedStream), Expected::Succeeded(0)).h2(),
            Case::new("HTTP_1_1_REQUIRED", Behaviour::Http2(Http2::Http1Required), Expected::Succeeded(2))
                .tls(Flaw::None, &["h2", "http/1.1"], true)
                .jobs(2),
            Case::new("two answers to a request", answer(&twice), Expected::Succeeded(10)).jobs(10),
            Case::new("an answer behind a body", answer(&hidden), Expected::Succeeded(10)).jobs(10),
        ],
    );
}

fn proxies(build: Build) {
    const IMPATIENT: &str = "connect_timeout = \"500ms\"\n";
    let ok = answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let status = |line: &str| answer(&format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"));
    let https = |case: Case| case.proxy().tls(Flaw::None, &["http/1.1"], true);
    run(
        build,
        vec![
            Case::new("a proxy", ok, Expected::Succeeded(1)).proxy(),
            https(Case::new(
                "a tunnel",
                Behaviour::Tunnel("200 Connection established"),
                Expected::Succeeded(1),
            )),
            https(Case::new("a tunnel with 201", Behaviour::Tunnel("201 Created"), Expected::Succeeded(1))),
            Case::new("no proxy there", Behaviour::Refuse, Expected::HandedBack).proxy(),
            https(Case::new("no proxy there, for a tunnel", Behaviour::Refuse, Expected::HandedBack)),
            Case::new("407", status("407 Proxy Authentication Required"), Expected::HandedBack).proxy(),
            https(Case::new(
                "407 to CONNECT",
                status("407 Proxy Authentication Required"),
                Expected::HandedBack,
            )),
            https(Case::new("silence to CONNECT", Behaviour::Silent, Expected::HandedBack)).http(IMPATIENT),
            https(Case::new(
                "a flood to CONNECT",
                flood("HTTP/1.1 200 OK\r\nx: ", "y"),
                Expected::HandedBack,
            )),
            https(Case::new("no HTTP to CONNECT", answer("SSH-2.0-OpenSSH\r\n\r\n"), Expected::HandedBack)),
            https(Case::new("503 to CONNECT", status("503 Service Unavailable"), Expected::HandedBack)),
        ],
    );
}
