//! Signatures and credentials: a destination can verify them, and they appear nowhere else.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::otlp::Receiver;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::sink::{Sink, SinkRequest};
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

e2e::in_both_builds!(
    a_destination_verifies_each_attempt,
    keys_rotate_without_a_gap,
    a_request_shows_who_it_is_from,
    a_job_with_an_unknown_secret_is_not_sent,
    a_secret_for_another_destination_is_not_sent,
);

/// Keys and tokens, which may appear at the destination only.
const NEW: &str = "whsec_bmV3IGtleSBmb3IgdGhlIHRlc3RzLCBwbGFudGVk";
const OLD: &str = "whsec_b2xkIGtleSBmb3IgdGhlIHRlc3RzLCBwbGFudGVk";
const TOKEN: &str = "planted-token-4711";

/// The hosts of a secret that the sink gets.
const SINK: &str = "hosts = [\"127.0.0.1\"]\nallow_http = true\n";

/// A configuration whose secrets are in files and variables.
struct Setting {
    config: TextFile,
    _keys: [TextFile; 2],
}

impl Setting {
    fn new() -> Setting {
        let keys = [format!("{NEW}\n"), format!("whsk_{}", STANDARD.encode([7; 32]))];
        let [new, seed] = keys.map(|key| TextFile::new(&key));
        let config = TextFile::new(&format!(
            "[retry.default]\nwaits = [\"1100ms\"]\n\
             [secrets.acme]\nkeys = [{{ file = {:?} }}, {{ env = \"OLD_KEY\" }}]\nallow_http = true\n\
             [secrets.curve]\nkeys = [{{ file = {:?} }}]\nallow_http = true\n\
             [secrets.token]\nbearer = {{ env = \"TOKEN\" }}\n{SINK}\
             [secrets.encrypted]\nbearer = {{ env = \"TOKEN\" }}\nhosts = [\"127.0.0.1\"]\n\
             [secrets.elsewhere]\nbearer = {{ env = \"TOKEN\" }}\nhosts = [\"*.elsewhere.test\"]\nallow_http = true\n\
             [secrets.user]\nuser = \"me\"\npassword = {{ env = \"TOKEN\" }}\n{SINK}\
             [secrets.header]\nheader = \"X-Api-Key\"\nvalue = {{ env = \"TOKEN\" }}\n{SINK}",
            new.path(),
            seed.path()
        ));
        Setting { config, _keys: [new, seed] }
    }

    fn worker(&self, build: Build, redis: &RedisServer, environment: &[(&str, &str)]) -> Postrider {
        let secrets = [("OLD_KEY", OLD), ("TOKEN", TOKEN), ("POSTRIDER_LOG", "trace")];
        let arguments = ["--config", self.config.path()];
        Postrider::ready_worker(build, redis, &arguments, &[&secrets[..], environment].concat())
    }
}

/// Whether the official library accepts a request's signature with that key.
fn verifies(request: &SinkRequest, key: &str) -> bool {
    const PROGRAM: &str = "import json, sys, standardwebhooks\n\
        request = json.load(sys.stdin)\n\
        try:\n    standardwebhooks.Webhook(request['key']).verify(request['body'], request['headers'], json_parse=False)\n\
        except standardwebhooks.WebhookVerificationError as error:\n    print(error)\n    sys.exit(9)\n";
    let library = std::env::var_os("POSTRIDER_STANDARDWEBHOOKS").filter(|path| Path::new(path).is_dir());
    let library = library.expect(
        "POSTRIDER_STANDARDWEBHOOKS names no folder with the library `standardwebhooks`; `cargo xtask test` fetches it",
    );
    let headers: serde_json::Map<String, serde_json::Value> =
        request.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let body = String::from_utf8(request.body.to_vec()).expect("the tests' bodies are text");
    let input = serde_json::json!({"key": key, "headers": headers, "body": body});
    let input = TextFile::new(&input.to_string());
    let input = File::open(input.path()).expect("the file is there");
    let mut python = Command::new("python3");
    python.args(["-I", "-c"]).arg(format!("import sys\nsys.path.insert(0, {library:?})\n{PROGRAM}"));
    let output = python.stdin(input).output().expect("python3 can be started");
    match output.status.code() {
        Some(0) => true,
        Some(9) => false,
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn a_destination_verifies_each_attempt(build: Build) {
    let (redis, sink, setting) = (RedisServer::start(), Sink::start(), Setting::new());
    let queue = Queue::new(&redis, "default");
    let _worker = setting.worker(build, &redis, &[]);
    let url = sink.url("/flaky/1/signed");
    let own = r#"{"webhook-id": "forged", "webhook-signature": "v1,forged"}"#;
    queue.enqueue(&[
        ("url", url.as_str()),
        ("secret", "acme"),
        ("headers", own),
        ("body", "{\"hello\":\"wörld\"}"),
    ]);
    queue.wait_until_drained(DEADLINE);
    let [first, second] = &sink.requests()[..] else { panic!("two attempts: {:?}", sink.requests()) };
    for request in [first, second] {
        assert!(verifies(request, NEW) && verifies(request, OLD), "{request:?}");
        assert!(!verifies(request, "whsec_c29tZSBvdGhlciBrZXkgdGhhdCBpcyBsb25n"), "{request:?}");
        let named = |name: &str| request.headers.iter().filter(|(own, _)| own == name).count();
        assert_eq!((named("webhook-id"), named("webhook-signature")), (1, 1), "{request:?}");
    }
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"), "the same job");
    let stamp = |request: &SinkRequest| {
        request.header("webhook-timestamp").expect("it is there").parse::<u64>().expect("it is there")
    };
    assert!(stamp(second) > stamp(first), "each attempt has its own time");
    let Reply::Array(time) = redis.command(&["TIME"]) else { panic!("TIME answers with an array") };
    let now: u64 = time[0].text().parse().expect("it is there");
    assert!((now - 30..=now).contains(&stamp(first)), "Redis' time");
    let mut changed = first.clone();
    changed.body = "{\"hello\":\"World\"}".into();
    assert!(!verifies(&changed, NEW), "a body that was changed on the way");
}

fn keys_rotate_without_a_gap(build: Build) {
    let (redis, sink, setting) = (RedisServer::start(), Sink::start(), Setting::new());
    let queue = Queue::new(&redis, "default");
    let _worker = setting.worker(build, &redis, &[]);
    for secret in ["acme", "curve"] {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{secret}")).as_str()), ("secret", secret)]);
    }
    queue.wait_until_drained(DEADLINE);
    let signature =
        |path: &str| sink.requests_to(path)[0].header("webhook-signature").expect("it is there").to_owned();
    let both = signature("/ok?acme");
    assert_eq!(both.split(' ').filter(|part| part.starts_with("v1,")).count(), 2, "{both}");
    let request = &sink.requests_to("/ok?curve")[0];
    let header = |name: &str| request.header(name).expect("it is there");
    let content = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    let signature = STANDARD
        .decode(signature("/ok?curve").strip_prefix("v1a,").expect("it is there"))
        .expect("it is there");
    let public = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("it is there");
    let public = UnparsedPublicKey::new(&ED25519, public.public_key().as_ref());
    public.verify(content.as_bytes(), &signature).expect("a valid Ed25519 signature");
}

fn a_request_shows_who_it_is_from(build: Build) {
    let (redis, sink, setting) = (RedisServer::start(), Sink::start(), Setting::new());
    let queue = Queue::new(&redis, "default");
    let _worker = setting.worker(build, &redis, &[]);
    for secret in ["token", "user", "header"] {
        let url = sink.url(&format!("/ok?{secret}"));
        queue.enqueue(&[
            ("url", url.as_str()),
            ("secret", secret),
            ("headers", r#"{"authorization": "of the job"}"#),
        ]);
    }
    queue.wait_until_drained(DEADLINE);
    let header = |path: &str, name: &str| {
        sink.requests_to(path)[0].header(name).map(str::to_owned).expect("it is there")
    };
    assert_eq!(header("/ok?token", "authorization"), format!("Bearer {TOKEN}"));
    let pair = STANDARD.encode(format!("me:{TOKEN}"));
    assert_eq!(header("/ok?user", "authorization"), format!("Basic {pair}"));
    assert_eq!(header("/ok?header", "x-api-key"), TOKEN);
    assert_eq!(header("/ok?header", "authorization"), "of the job");
}

fn a_job_with_an_unknown_secret_is_not_sent(build: Build) {
    let (redis, sink, setting) = (RedisServer::start(), Sink::start(), Setting::new());
    let queue = Queue::new(&redis, "default");
    let _worker = setting.worker(build, &redis, &[]);
    queue.enqueue(&[("url", sink.url("/ok").as_str()), ("secret", "acne")]);
    queue.enqueue(&[("url", sink.url("/next"))]);
    queue.wait_until_drained(DEADLINE);
    let dead = queue.dead();
    assert_eq!(dead[0].reason(), "malformed");
    let error = dead[0].field("_error").expect("it is there");
    assert!(error.contains("no secret is named \"acne\";") && !error.contains("acme"), "{error}");
    assert_eq!(sink.requests().len(), 1);
}

fn a_secret_for_another_destination_is_not_sent(build: Build) {
    let (redis, sink, setting) = (RedisServer::start(), Sink::start(), Setting::new());
    let queue = Queue::new(&redis, "default");
    let _worker = setting.worker(build, &redis, &[]);
    for (secret, reason) in [("elsewhere", "is not for this host"), ("encrypted", "is sent over https only")]
    {
        queue.enqueue(&[("url", sink.url("/ok").as_str()), ("secret", secret)]);
        queue.enqueue(&[("url", sink.url("/next"))]);
        queue.wait_until_drained(DEADLINE);
        let letter = queue.dead().pop().expect("it is dead-lettered");
        assert_eq!((letter.reason(), letter.field("_attempt")), ("refused".to_owned(), Some("0".to_owned())));
        let error = letter.field("_error").expect("it is there");
        assert!(error.contains(reason) && error.contains(secret), "{error}");
        assert!(!error.contains("elsewhere.test") && !error.contains("acme"), "{error}");
    }
    assert_eq!((sink.requests_to("/ok").len(), sink.requests_to("/next").len()), (0, 2));
}

/// Everything that Redis holds, as one text.
fn dump(redis: &RedisServer) -> String {
    let keys = redis.command(&["KEYS", "*"]);
    let of = |key: &Reply| {
        let key = key.text();
        let read: &[&str] = match redis.command(&["TYPE", &key]).text().as_str() {
            "stream" => &["XRANGE", &key, "-", "+"],
            "hash" => &["HGETALL", &key],
            "zset" => &["ZRANGE", &key, "0", "-1"],
            _ => &["GET", &key],
        };
        format!("{key} {:?}", redis.command(read))
    };
    // Otherwise bytes are printed as numbers.
    keys.array().iter().map(of).collect()
}

/// Under every name by which it might be written.
fn assert_hidden(place: &str, text: &str) {
    let bytes = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    for secret in [TOKEN, &NEW[6..], &OLD[6..], &STANDARD.encode(format!("me:{TOKEN}"))] {
        assert!(!text.contains(secret) && !text.contains(&bytes(secret)), "{place} holds {secret}");
    }
}

#[test]
fn no_secret_is_found_anywhere_else() {
    let (redis, sink, setting) = (RedisServer::start(), Sink::start(), Setting::new());
    let (queue, receiver) =
        (Queue::new(&redis, "default"), Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver")));
    let endpoint = receiver.grpc_endpoint();
    let mut worker = setting.worker(
        Build::Otel,
        &redis,
        &[
            ("OTEL_ENABLED", "true"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("POSTRIDER_TRACE_INTERNALS", "true"),
        ],
    );
    for secret in ["acme", "token", "user", "header"] {
        for path in ["/ok", "/status/404", "/status/503"] {
            let url = sink.url(path);
            queue.enqueue(&[
                ("url", url.as_str()),
                ("secret", secret),
                ("max_attempts", "2"),
                ("result_ttl_ms", "60000"),
            ]);
        }
    }
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 8);
    let url = redis.url();
    for arguments in [&["dead", "list", "--json"][..], &["jobs", "list", "--json"], &["doctor", "--json"]] {
        let output =
            Postrider::run(Build::Otel, &[arguments, &["--redis-url", &url]].concat(), &[], DEADLINE);
        assert_hidden("a tool", &format!("{output:?}"));
    }
    assert!(worker.stop().success());
    assert_hidden("Redis", &dump(&redis));
    let log = worker.log().join("\n");
    assert!(log.contains("TRACE"), "the log is at its most talkative");
    assert_hidden("the log", &log);
    let spans = format!("{:?}", receiver.spans());
    assert!(spans.contains("POST"), "{spans}");
    assert_hidden("a span", &spans);
    assert_hidden("a metric", &format!("{:?}", receiver.metrics()));
}
