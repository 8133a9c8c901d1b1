//! Requests that no careful client sends, and whose answers must still help.

use e2e::world::World;
use serde_json::{Value, json};

use super::sign_in::{FORM, HTML, exchange, header, status};
use super::{BUILD, Console, JSON, NDJSON, NOWHERE};

const JOBS: &str = "/v1/queues/default/jobs";

fn job() -> String {
    json!({"url": NOWHERE}).to_string()
}

#[test]
fn what_is_ambiguous_is_refused() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let key = |value| ("idempotency-key", value);
    console.refuses(
        ("POST", JOBS, &[JSON, key("a"), key("b")], &job()),
        400,
        "`idempotency-key` is given twice",
    );
    console.refuses(("POST", JOBS, &[JSON, NDJSON], &job()), 400, "`content-type` is given twice");
    console.refuses(
        ("POST", &format!("{JOBS}?wait=1s&wait=2s"), &[JSON], &job()),
        400,
        "`wait` is given twice",
    );
    console.refuses(("GET", "http://evil.test/v1/queues", &[], ""), 421, "does not serve this host");
    console.refuses(("POST", "/v1/queues/../jobs", &[JSON], &job()), 400, "not only dots");
    let lists = [("/v1/dead/purge", "[[],true]"), ("/v1/dead/purge", r#"{"all":true,"conditions":[]}"#)];
    for (path, body) in lists.into_iter().chain([("/v1/queues/default/pause", "[null,null]")]) {
        console.refuses(("POST", path, &[JSON], body), 422, "expected a JSON object");
    }
    assert_eq!(console.call("POST", "/v1/queues/default/pause", &[JSON], "null").0, 200, "as no body");
    assert_eq!(world.queue().depth(), 0, "nothing was enqueued");
}

#[test]
fn what_is_out_of_range_is_refused() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let post =
        |path: &str, part: &str, code: u16| console.refuses(("POST", path, &[JSON], &job()), code, part);
    post(&format!("{JOBS}?wait=10h"), "at most 60s", 400);
    post(&format!("{JOBS}?key_ttl=1000000years"), "at most 3650d", 400);
    post(&format!("{JOBS}?cap=0"), "`cap`", 400);
    console.refuses(("GET", "/v1/tail?for=9days", &[], ""), 400, "at most 24h");
    let body = r#"{"until":"2099-01-01T00:00:00+9999999999999999:00"}"#;
    console.refuses(("POST", "/v1/queues/default/pause", &[JSON], body), 422, "this is no time");
    let body = r#"{"all":true,"rate":50,"conditions":{"since":"yesterday"}}"#;
    console.refuses(("POST", "/v1/dead/replay", &[JSON], body), 400, "`since`");
    assert_eq!(console.get("/v1/operations").1, json!({"operations": []}), "it has not begun");
    let many = (job() + "\n").repeat(100_001);
    console.refuses(("POST", JOBS, &[NDJSON], &many), 413, "more than 100000 jobs");
    assert_eq!(world.queue().depth(), 0, "nothing was enqueued");
}

#[test]
fn what_is_encoded_in_another_way_is_understood_or_explained() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let gzip = ("content-encoding", "gzip");
    console.refuses(("POST", JOBS, &[JSON, gzip], &job()), 415, "without compression");
    for body in [format!("[{}]", job()), format!("{}\n{}", job(), job())] {
        console.refuses(("POST", JOBS, &[JSON], &body), 422, "send many jobs as `application/x-ndjson`");
    }
    assert_eq!(console.call("POST", JOBS, &[JSON], &format!("\u{feff}{}", job())).0, 201);
    for path in ["/v1/queues/%ff", "/v1/jobs/%ff"] {
        console.refuses(("GET", path, &[], ""), 400, "Invalid UTF-8");
    }
    console.refuses(("PUT", "/livez", &[], ""), 405, "Method Not Allowed");
    console.refuses(("POST", "/queues/default/pause", &[], ""), 415, "Form requests");
}

#[test]
fn a_browser_gets_a_page_and_a_program_a_problem() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let wrong =
        [("GET", "/nosuch"), ("GET", "/queues/%ff"), ("GET", "/destination"), ("POST", "/queues/default")];
    for request in wrong {
        let page = exchange(&console, request, &[HTML, FORM], "");
        assert!(
            page.contains("Back to the overview") && status(&page).starts_with('4'),
            "{request:?}: {page}"
        );
        assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8", "{request:?}");
        let problem = exchange(&console, request, &[FORM], "");
        let body = problem.split("\r\n\r\n").nth(1).and_then(|body| serde_json::from_str::<Value>(body).ok());
        let code = body.expect("JSON")["status"].to_string();
        assert_eq!(
            (status(&problem), header(&problem, "content-type")),
            (&*code, "application/problem+json")
        );
    }
    assert_eq!(header(&exchange(&console, ("POST", "/queues/default"), &[HTML], ""), "allow"), "GET,HEAD");
}
