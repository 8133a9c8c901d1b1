//! Destinations and proxies as there are: they close connections, want another version of HTTP, or ask to wait.

use std::time::{Duration, Instant};

use e2e::hostile::{Behaviour, Certificate, Flaw, Hostile, Http2};
use e2e::text_file::TextFile;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_server_that_closes_its_connections",
        does: "a server closes each connection after 5 answers; 5,000 jobs with one attempt each",
        expects: "all are delivered",
        run: closes,
    },
    Case {
        name: "a_server_that_wants_an_older_version",
        does: "an HTTP/2 server resets the request with HTTP_1_1_REQUIRED; 20 jobs with one attempt each",
        expects: "all are delivered over HTTP/1.1, and only the first is repeated",
        run: older_version,
    },
    Case {
        name: "a_proxy_that_answers_connect",
        does: "a proxy answers CONNECT with 200, 201, 407 or 502",
        expects: "200 and 201 are a tunnel; the log names the other statuses, and they cost no attempt",
        run: proxy,
    },
    Case {
        name: "a_refusal_with_a_time",
        does: "403 and 413 with `Retry-After: 2`, and 20 other jobs of the flow",
        expects: "these two jobs are sent again after 2 s, and no other waits",
        run: refusal_with_a_time,
    },
];

fn closes() -> String {
    const JOBS: usize = 5000;
    let world = World::new(BUILD);
    let server = Hostile::start(Behaviour::CloseAfter(5), None);
    let (queue, url) = (world.queue(), format!("http://127.0.0.1:{}/", server.port()));
    let _worker = world.worker(&["--concurrency", "64"]);
    for _ in 0..JOBS {
        queue.enqueue(&[("url", url.as_str()), ("max_attempts", "1")]);
    }
    queue.wait_until_drained(DEADLINE);
    let dead: Vec<_> = queue.dead().iter().filter_map(|letter| letter.field("_error")).collect();
    assert_eq!(dead.len(), 0, "{:?}", dead.first());
    assert_eq!(server.heads().len(), JOBS, "requests that were answered");
    format!("{JOBS} of {JOBS} delivered")
}

fn older_version() -> String {
    const JOBS: usize = 20;
    let (world, certificate) = (World::new(BUILD), Certificate::new(Flaw::None, &["h2", "http/1.1"]));
    let ca = TextFile::new(&certificate.pem);
    let config = TextFile::new(&format!("[http]\nca_files = [{:?}]\n", ca.path()));
    let server = Hostile::start(Behaviour::Http2(Http2::Http1Required), Some(&certificate));
    let (queue, url) = (world.queue(), format!("https://127.0.0.1:{}/", server.port()));
    let _worker = world.worker(&["--config", config.path()]);
    for _ in 0..JOBS {
        queue.enqueue(&[("url", url.as_str()), ("max_attempts", "1")]);
        queue.wait_until_drained(DEADLINE);
    }
    assert_eq!(
        (server.heads().len(), queue.dead().len()),
        (JOBS, 0),
        "requests over HTTP/1.1, and dead letters"
    );
    format!("{JOBS} of {JOBS} delivered over HTTP/1.1")
}

fn proxy() -> String {
    let certificate = Certificate::new(Flaw::None, &["http/1.1"]);
    let ca = TextFile::new(&certificate.pem);
    let answer =
        |status: &str| Behaviour::Answer(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into());
    for (behaviour, status) in [
        (Behaviour::Tunnel("200 Connection established"), None),
        (Behaviour::Tunnel("201 Created"), None),
        (answer("407 Proxy Authentication Required"), Some("407")),
        (answer("502 Bad Gateway"), Some("502")),
    ] {
        let world = World::new(BUILD);
        let ok = Behaviour::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
        let (proxy, server) = (Hostile::start(behaviour, None), Hostile::start(ok, Some(&certificate)));
        let config = TextFile::new(&format!(
            "[http]\nca_files = [{:?}]\nproxy = \"http://127.0.0.1:{}\"\n",
            ca.path(),
            proxy.port()
        ));
        let mut worker = world.worker(&["--config", config.path()]);
        let (queue, url) = (world.queue(), format!("https://localhost:{}/", server.port()));
        queue.enqueue(&[("url", url.as_str()), ("max_attempts", "1")]);
        match status {
            None => queue.wait_until_drained(DEADLINE),
            Some(status) => {
                let line = worker.wait_for_log("the proxy fails", DEADLINE);
                assert!(line.contains(status), "{line}");
            }
        }
        let delivered = usize::from(status.is_none());
        assert_eq!((server.heads().len(), queue.dead().len()), (delivered, 0), "{status:?}");
    }
    "2 tunnels, 2 statuses named".to_owned()
}

fn refusal_with_a_time() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    let began = Instant::now();
    let refused = ["403", "413"].map(|status| (sink.url(&format!("/reply-once/{status}")), status));
    for (url, status) in &refused {
        queue.enqueue(&[("url", url.as_str()), ("body", &format!("{status}\nretry-after: 2\n\n"))]);
    }
    sink.wait_for(2, DEADLINE);
    for number in 0..20 {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
    }
    let others = wait::eventually("the other jobs", DEADLINE, || {
        let others = sink.requests().into_iter().filter(|request| request.path.starts_with("/ok"));
        Some(others.collect::<Vec<_>>()).filter(|others| others.len() == 20)
    });
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 0);
    for (_, status) in &refused {
        let sent = sink.requests_to(&format!("/reply-once/{status}"));
        assert_eq!(sent.len(), 2, "{status}");
        assert!(sent[1].arrived - sent[0].arrived >= Duration::from_secs(2), "{status}");
    }
    let last = others.iter().map(|request| request.arrived - began).max().unwrap_or_default();
    assert!(last < Duration::from_millis(1900), "another job waited {last:?}");
    format!("the other jobs were sent within {last:.1?}")
}
