//! Who may do what.

use std::io::Write;

use e2e::process::Postrider;
use e2e::text_file::TextFile;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;
use serde_json::json;

use super::{BUILD, Console, JSON, NOWHERE};

/// A token with this scope, and its table for the token file.
pub(super) fn token(name: &str, scope: &str) -> (String, String) {
    let made = Postrider::run(
        BUILD,
        &["console", "token", "create", name, "--scope", scope, "--json"],
        &[],
        DEADLINE,
    )
    .json();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("token"), text("entry"))
}

#[test]
fn a_token_allows_its_scopes_and_no_others() {
    let world = World::new(BUILD);
    let ((reader, first), (producer, second)) = (token("reader", "read"), token("producer", "enqueue,read"));
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{first}\n{second}").expect("the file is written");
    let path = file.path().to_str().expect("a path");
    let console = Console::with(&world, &["--tokens", path]);
    let [reader, producer] = [reader, producer].map(|token| format!("Bearer {token}"));
    let job = json!({"url": NOWHERE}).to_string();
    let jobs = "/v1/queues/default/jobs";
    console.refuses(("GET", "/v1/queues", &[], ""), 401, "send a token");
    console.refuses(("GET", "/v1/queues", &[("authorization", "Bearer postrider_x")], ""), 401, "not known");
    console.refuses(
        ("POST", jobs, &[JSON, ("authorization", &reader)], &job),
        403,
        "reader lacks the scope `enqueue`",
    );
    assert_eq!(console.call("POST", jobs, &[JSON, ("authorization", &producer)], &job).0, 201);
    let (status, answer) = console.call("GET", "/v1/queues", &[("authorization", &reader)], "");
    assert_eq!((status, &answer["queues"][0]["ready"]), (200, &json!(1)));
    console.refuses(
        ("POST", "/v1/dead/purge", &[JSON, ("authorization", &producer)], "{}"),
        403,
        "`operate`",
    );
    let path = "/v1/jobs/nosuch?reveal=true";
    console.refuses(("GET", path, &[("authorization", &reader)], ""), 403, "`reveal`");
    assert_eq!(console.call("GET", "/v1/openapi.json", &[("authorization", &reader)], "").0, 200);
}

#[test]
fn an_address_that_others_reach_needs_tokens() {
    let world = World::new(BUILD);
    let output = world.run(&["console", "--listen", "0.0.0.0:0"]);
    assert_ne!(output.code(), 0);
    assert!(output.stderr.contains("no tokens are set"), "{output:?}");
    let output = world.run(&["console", "--tokens", "/nowhere/tokens.toml"]);
    assert!(output.code() == 2 && output.stderr.contains("/nowhere/tokens.toml"), "{output:?}");
    let empty = TextFile::new("");
    let mut console = Console::with(&world, &["--tokens", empty.path()]);
    console.process.wait_for_log("the token file has no token", DEADLINE);
    console.refuses(("GET", "/v1/queues", &[], ""), 401, "token");
}

#[test]
fn requests_that_other_sites_ask_for_are_refused() {
    let console = Console::start(&World::new(BUILD));
    console.refuses(
        ("POST", "/v1/dead/purge", &[JSON, ("origin", "http://evil.example")], "{}"),
        403,
        "another site",
    );
    console.refuses(("GET", "/v1/nosuch", &[], ""), 404, "there is no /v1/nosuch");
    console.refuses(("DELETE", "/v1/queues", &[], ""), 405, "does not allow DELETE");
}

#[test]
fn redis_may_go_and_come_back() {
    let mut world = World::new(BUILD);
    let console = Console::start(&world);
    let probe = |path: &str| {
        let answer = e2e::http_call::exchange(console.address, "GET", path, &[], b"", DEADLINE);
        answer.expect("an answer").status
    };
    assert_eq!((probe("/livez"), probe("/readyz")), (200, 200));
    world.redis.kill();
    assert_eq!((probe("/livez"), probe("/readyz")), (200, 503));
    console.refuses(("GET", "/v1/queues", &[], ""), 503, "Redis");
    let job = json!({"url": NOWHERE}).to_string();
    console.refuses(("POST", "/v1/queues/default/jobs", &[JSON], &job), 503, "Idempotency-Key");
    world.redis.restart();
    wait::eventually("an answer", DEADLINE, || (console.get("/v1/queues").0 == 200).then_some(()));
}

#[test]
fn sigterm_ends_it() {
    let mut console = Console::start(&World::new(BUILD));
    assert_eq!(console.process.stop().code(), Some(0));
}
