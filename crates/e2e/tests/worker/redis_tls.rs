//! Redis behind TLS.

use e2e::hostile::{Certificate, Flaw, TlsFront};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;

e2e::in_both_builds!(
    jobs_go_over_tls_and_survive_a_restart_of_redis,
    a_server_that_cannot_be_trusted_is_refused,
    the_scheme_is_suspected_if_only_one_side_speaks_tls,
);

/// Redis with TLS in front, and its certificate.
struct TlsRedis {
    redis: RedisServer,
    front: TlsFront,
    ca: TextFile,
}

impl TlsRedis {
    fn new(flaw: Flaw) -> TlsRedis {
        let redis = RedisServer::start();
        let certificate = Certificate::new(flaw, &[]);
        let front = TlsFront::start(redis.port, &certificate);
        TlsRedis { redis, front, ca: TextFile::new(&certificate.pem) }
    }

    fn url(&self) -> String {
        format!("rediss://default:hunter2@localhost:{}", self.front.port)
    }
}

fn jobs_go_over_tls_and_survive_a_restart_of_redis(build: Build) {
    let (mut tls, sink) = (TlsRedis::new(Flaw::None), Sink::start());
    let url = tls.url().replace("default:hunter2@", "");
    let environment = [("POSTRIDER_REDIS_URL", url.as_str()), ("SSL_CERT_FILE", tls.ca.path())];
    let mut worker = Postrider::ready_worker(build, &tls.redis, &["--retry-base", "20ms"], &environment);
    let arguments = ["send", "--redis-url", &url, &sink.url("/flaky/1/x"), "--wait"];
    let sent = Postrider::run(build, &arguments, &environment[1..], DEADLINE);
    assert_eq!(sent.code(), 0, "{sent:?}");
    tls.redis.restart();
    let queue = Queue::new(&tls.redis, "default");
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for_path("/ok", 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
}

/// The worker ends at once, with the reason, and without the password.
fn a_server_that_cannot_be_trusted_is_refused(build: Build) {
    for (flaw, is_known, reason) in [
        (Flaw::None, false, "cannot be trusted"),
        (Flaw::WrongHost, true, "NotValidForName"),
        (Flaw::Expired, true, "Expired"),
    ] {
        let tls = TlsRedis::new(flaw);
        let url = tls.url();
        // With other authorities alone.
        let other = TextFile::new(&Certificate::new(Flaw::None, &[]).pem);
        let trusted = if is_known { &tls.ca } else { &other };
        let environment = [("SSL_CERT_FILE", trusted.path())];
        let refused = Postrider::run(build, &["worker", "--redis-url", &url], &environment, DEADLINE);
        assert_eq!(refused.code(), 4, "{flaw:?}: {refused:?}");
        let error = &refused.stderr;
        assert!(error.contains(reason), "{flaw:?}: {error}");
        assert!(error.contains(&format!("localhost:{}", tls.front.port)), "{flaw:?}: {error}");
        assert!(error.contains("SSL_CERT_FILE"), "{flaw:?}: {error}");
        assert!(!error.contains("hunter2"), "{flaw:?}: {error}");
    }
}

fn the_scheme_is_suspected_if_only_one_side_speaks_tls(build: Build) {
    let tls = TlsRedis::new(Flaw::None);
    let of = |url: String| {
        let refused = Postrider::run(build, &["queues", "--redis-url", &url], &[], DEADLINE);
        assert_eq!(refused.code(), 4, "{url}: {refused:?}");
        refused.stderr
    };
    for scheme in ["redis", "redis-cluster"] {
        let error = of(format!("{scheme}://127.0.0.1:{}", tls.front.port));
        assert!(error.contains("does the server expect TLS?"), "{scheme}: {error}");
        let error = of(format!("{}://127.0.0.1:{}", scheme.replace("redis", "rediss"), tls.redis.port));
        assert!(error.contains("does the server speak TLS?"), "{scheme}: {error}");
    }
}
