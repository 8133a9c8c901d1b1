//! Order keys that dead letters have stopped.

use std::io::Write;

use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;
use serde_json::{Value, json};

use super::access::token;
use super::sign_in::{FORM, HTML, exchange, header, status};
use super::{BUILD, Console, JSON};

const LIST: &str = "/v1/queues/default/order";
const RESUME: &str = "/v1/queues/default/order/resume";
const STOPS: &str = "[queues.default]\non_dead = \"stop\"\n";
/// A key that a page must escape.
const KEY: &str = "<b>customer</b> & \"7\"";
/// The same in a form.
const KEY_IN_FORM: &str = "order=%3Cb%3Ecustomer%3C%2Fb%3E+%26+%227%22";

/// Stops each key by a dead letter, with one job behind it, and ends the worker.
fn stopped(world: &World, keys: &[&str]) {
    let (queue, config) = (world.queue(), TextFile::new(STOPS));
    for key in keys {
        for path in ["/status/410", "/ok"] {
            queue.enqueue(&[("url", world.sink.url(path).as_str()), ("order", key)]);
        }
    }
    let mut worker = world.worker(&["--config", config.path()]);
    eventually("dead letters, and jobs behind them", DEADLINE, || {
        (queue.dead().len() == keys.len() && queue.in_line() == keys.len() as i64 && queue.depth() == 0)
            .then_some(())
    });
    worker.stop();
}

fn keys(list: &Value) -> Vec<&str> {
    let keys = list.as_array().expect("a list").iter();
    let mut keys: Vec<_> = keys.map(|key| key["order"].as_str().expect("a key")).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn stopped_keys_are_listed_and_resumed() {
    let world = World::new(BUILD);
    stopped(&world, &["a", "b", "c"]);
    let console = Console::start(&world);
    let (code, list) = console.get(LIST);
    assert_eq!((code, keys(&list["keys"]), &list["total"]), (200, vec!["a", "b", "c"], &json!(3)), "{list}");
    let one = &list["keys"][0];
    assert_eq!((&one["behind"], &one["queue"]), (&json!(1), &json!("default")), "{one}");
    assert_eq!(console.get("/v1/queues/default").1[0]["stopped_keys"], 3);
    let letter = console.get("/v1/dead").1["dead"].as_array().map(Vec::len);
    let (code, answer) = console.post(RESUME, &json!({"order": "b"}));
    assert_eq!((code, keys(&answer["resumed"]), &answer["left"]), (200, vec!["b"], &json!(2)), "{answer}");
    console.refuses(("POST", RESUME, &[JSON], r#"{"order":"b"}"#), 404, "no such order key is stopped");
    assert_eq!((world.queue().in_line(), world.queue().depth()), (2, 1), "its next job has the turn");
    let (code, answer) = console.post(RESUME, &json!({"all": true}));
    assert_eq!((code, keys(&answer["resumed"]), &answer["left"]), (200, vec!["a", "c"], &json!(0)));
    let (code, answer) = console.post(RESUME, &json!({"all": true}));
    assert_eq!((code, answer), (200, json!({"resumed": [], "left": 0})), "it can be repeated");
    assert_eq!(console.get(LIST).1, json!({"keys": [], "total": 0}));
    assert_eq!(console.get("/v1/dead").1["dead"].as_array().map(Vec::len), letter, "they are kept");
    let (_, audit) = console.get("/v1/audit");
    let row = |row: &Value| (row["change"].clone(), row["subject"].clone(), row["jobs"].clone());
    let rows: Vec<_> = audit["changes"].as_array().expect("a list").iter().map(row).collect();
    assert_eq!(rows.len(), 3, "{audit}");
    assert_eq!(rows[2], (json!("resume"), json!("order: b"), json!(1)), "{audit}");
    let _worker = world.worker(&[]);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(world.sink.requests().len(), 6);
}

#[test]
fn the_page_of_a_queue_resumes_a_stopped_key() {
    let world = World::new(BUILD);
    stopped(&world, &[KEY]);
    let console = Console::start(&world);
    let page = |path: &str| exchange(&console, ("GET", path), &[HTML], "");
    let shown = page("/queues/default");
    assert!(shown.contains("Stopped order keys") && !shown.contains("<b>customer"), "{shown}");
    assert!(shown.contains("value=\"&lt;b&gt;customer&lt;/b&gt; &amp; &quot;7&quot;\""), "{shown}");
    eventually("the overview names it", DEADLINE, || {
        page("/").contains("dead letters stop 1 order key.").then_some(())
    });
    let own = ("POST", "/queues/default/order/resume");
    let foreign = exchange(&console, own, &[FORM, ("origin", "https://evil.example")], KEY_IN_FORM);
    assert_eq!((status(&foreign), world.queue().in_line()), ("403", 1), "another site asks");
    let answer = exchange(&console, own, &[FORM], KEY_IN_FORM);
    assert_eq!((status(&answer), header(&answer, "location")), ("303", "/queues/default"), "{answer}");
    assert_eq!((world.queue().in_line(), world.queue().depth()), (0, 1));
    assert!(!page("/queues/default").contains("Stopped order keys"));
}

/// A list shows control characters as text. What it shows is a name, too.
#[test]
fn a_key_is_resumed_by_the_text_that_is_shown() {
    let world = World::new(BUILD);
    stopped(&world, &["a\nb\u{1b}"]);
    let console = Console::start(&world);
    let (_, list) = console.get(LIST);
    let (code, answer) = console.post(RESUME, &json!({"order": list["keys"][0]["order"]}));
    assert_eq!((code, &answer["left"]), (200, &json!(0)), "{list} {answer}");
}

#[test]
fn a_wrong_request_is_refused_with_the_cause() {
    let world = World::new(BUILD);
    stopped(&world, &["a"]);
    let (reader, entry) = token("reader", "read");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{entry}").expect("the file is written");
    let console = Console::with(&world, &["--tokens", file.path().to_str().expect("a path")]);
    let authorization = format!("Bearer {reader}");
    let own = ("authorization", authorization.as_str());
    console.refuses(("POST", RESUME, &[JSON, own], r#"{"all":true}"#), 403, "`operate`");
    assert_eq!(console.call("GET", LIST, &[own], "").1["total"], 1);
    console.refuses(("GET", LIST, &[], ""), 401, "token");
    let console = Console::start(&world);
    for wrong in ["{}", r#"{"order":""}"#, r#"{"order":"a","all":true}"#, r#"{"all":false}"#] {
        console.refuses(("POST", RESUME, &[JSON], wrong), 422, "give one of the members");
    }
    console.refuses(("POST", RESUME, &[JSON], r#"{"key":"a"}"#), 422, "unknown field");
    console.refuses(("POST", RESUME, &[], r#"{"all":true}"#), 415, "application/json");
    for (method, path) in [("GET", "/v1/queues/none/order"), ("POST", "/v1/queues/none/order/resume")] {
        console.refuses((method, path, &[JSON], r#"{"all":true}"#), 404, "there is no queue none");
    }
    assert_eq!(world.queue().in_line(), 1);
}
