//! Secrets are planted wherever a job, a worker and its telemetry may hold one, and then searched in all that was
//! emitted, at the most verbose level.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::http_call::exchange;
use e2e::otlp::Receiver;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::token_server::{TokenMode, TokenServer};
use e2e::wait::{DEADLINE, eventually_or};

/// The start of each planted secret, which appears nowhere else.
const PLANTED: &str = "hunter2";
/// So does the key that signs, which is written like this.
const SIGNING: &str = "whsec_aHVudGVyMi1zaWduaW5nLWtleS1mb3ItdGhlLXRlc3Q=";

/// The configuration.
const SECRETS: &str = r#"
    [secrets.bank]
    bearer = { env = "BANK" }
    hosts = ["127.0.0.1"]
    allow_http = true
    [secrets.shop]
    keys = [{ env = "SHOP" }]
    allow_http = true
    [secrets.club]
    header = "x-club"
    value = { env = "CLUB" }
    hosts = ["127.0.0.1"]
    allow_http = true
    [secrets.crm]
    token_url = "TOKEN_URL"
    client_id = "me"
    client_secret = { env = "CRM" }
    client_auth = "body"
    hosts = ["127.0.0.1"]
    allow_http = true
"#;

/// Jobs with each outcome: done (twice), dead at once, dead after a retry, malformed.
fn plant(queue: &Queue<'_>, sink: &Sink) {
    let headers =
        r#"{"authorization":"Bearer hunter2-header","cookie":"a=hunter2-cookie","x-api-key":"hunter2-key"}"#;
    let query = "?sig=hunter2-sig&token=hunter2-token&X-Amz-Signature=hunter2-amz&api_key=hunter2-api";
    for path in ["/ok", "/status/410", "/status/503"] {
        let url = sink.url(&format!("{path}{query}"));
        let fields = [("url", url.as_str()), ("headers", headers), ("body", "hunter2-body")];
        queue.enqueue(&[&fields[..], &[("max_attempts", "2")]].concat());
    }
    let with_user = sink.url("/ok").replace("http://", "http://user:hunter2-userinfo@");
    queue.enqueue(&[("url", with_user.as_str()), ("body", "hunter2-body")]);
    queue.enqueue(&[("url", "nowhere"), ("headers", headers), ("body", "hunter2-body")]);
}

fn leaks(text: &str) -> Vec<&str> {
    let written = SIGNING.trim_start_matches("whsec_").trim_end_matches('=');
    let encoded = STANDARD.decode(&SIGNING["whsec_".len()..]).expect("the key is in base64");
    assert!(encoded.starts_with(PLANTED.as_bytes()), "else it would not be found");
    // The bytes of the key as Rust would print them.
    let bytes = format!("{encoded:?}");
    let bytes = bytes.trim_matches(['[', ']']);
    let is_leak = |line: &&str| [PLANTED, written, bytes].iter().any(|secret| line.contains(secret));
    text.lines().filter(is_leak).collect()
}

/// The metrics that Prometheus would scrape from the worker, once they include requests.
fn scraped(worker: &mut Postrider) -> String {
    let line = worker.wait_for_log("status listens on http://", DEADLINE);
    let (_, address) = line.split_once("http://").expect("the line was looked for");
    let address = address.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
    eventually_or("metrics of requests", DEADLINE, || {
        let answer =
            exchange(address, "GET", "/metrics", &[], b"", DEADLINE).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if text.contains("http_client_request_duration") { Ok(text) } else { Err(text) }
    })
}

#[test]
fn a_secret_shows_in_no_span_metric_log_error_or_reason() {
    let redis = RedisServer::start();
    let (sink, receiver) = (Sink::start(), Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver")));
    redis.command(&["ACL", "SETUSER", "worker", "on", ">hunter2-redis", "~*", "&*", "+@all"]);
    let url = redis.url().replace("redis://", "redis://worker:hunter2-redis@");
    let endpoint = receiver.grpc_endpoint();
    let tokens = TokenServer::start(TokenMode::Grant(3600));
    let config = TextFile::new(&SECRETS.replace("TOKEN_URL", &tokens.url("/token")));
    let variables = [
        ("POSTRIDER_REDIS_URL", url.as_str()),
        ("POSTRIDER_LOG", "trace"),
        ("POSTRIDER_TRACE_INTERNALS", "true"),
        ("BANK", "hunter2-bank"),
        ("SHOP", SIGNING),
        ("CLUB", "hunter2-club"),
        ("CRM", "hunter2-crm"),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", "authorization,cookie,x-club"),
        ("OTEL_ENABLED", "true"),
        ("OTEL_LOG_LEVEL", "debug"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2-otlp"),
    ];
    let arguments = ["--config", config.path(), "--retry-base", "50ms", "--listen", "127.0.0.1:0"];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &arguments, &variables);
    let queue = Queue::new(&redis, "default");
    plant(&queue, &sink);
    for secret in ["bank", "shop", "club"] {
        queue.enqueue(&[("url", sink.url("/ok").as_str()), ("secret", secret), ("body", "hunter2-body")]);
    }
    let with_token = tokens.url("/ok");
    queue.enqueue(&[("url", with_token.as_str()), ("secret", "crm"), ("body", "hunter2-body")]);
    queue.wait_until_drained(DEADLINE);
    assert_eq!((tokens.asked().len(), tokens.used()), (1, vec![1]));
    assert_eq!(leaks(&scraped(&mut worker)), [""; 0]);
    assert_eq!(worker.stop().code(), Some(0));
    for header in ["authorization", "webhook-signature", "x-club"] {
        assert!(sink.requests().iter().any(|request| request.header(header).is_some()), "{header} was sent");
    }
    let emitted = receiver.everything();
    for emits in ["process default", "db.client.operation.duration", "http.request.header.x-club"] {
        assert!(emitted.contains(emits), "{emits}");
    }
    assert_eq!(leaks(&emitted.replace("},{", "},\n{")), [""; 0]);
    assert_eq!(leaks(&worker.log().join("\n")), [""; 0]);
    dead_letters_leak_nothing(&queue);
}

fn dead_letters_leak_nothing(queue: &Queue<'_>) {
    let dead = queue.dead();
    assert!(dead.len() >= 3, "{dead:#?}");
    for letter in &dead {
        for name in ["_error", "_reason", "_history"] {
            let text = letter.field(name).unwrap_or_default();
            assert_eq!(leaks(&text), [""; 0], "{name}");
        }
    }
}
