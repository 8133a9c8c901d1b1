//! The clients and the worker agree on what a job is: all pass the same cases, `clients/conformance`.

mod cases;
mod rust;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cases::{Case, Expected, clients};
use e2e::cluster;
use e2e::process::{Build, Postrider};
use e2e::queue::{Fields, Queue};
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::sink::{Sink, SinkRequest};
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually_or};
use serde_json::Value;

/// The scripts that the clients carry.
const SCRIPTS: [&str; 4] = ["enqueue", "enqueue_all", "claim_keys", "key_homes"];

/// The destinations of the cases are reached through a proxy, which is the sink.
const CONFIG: &str = "[secrets.acme]\nkeys = [{ env = \"ACME_KEY\" }]\nallow_http = true\n";
const KEY: (&str, &str) = ("ACME_KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");

#[test]
fn the_clients_have_the_scripts_of_the_queue() {
    let sources = postrider_queue::internals::script_sources();
    for name in SCRIPTS {
        let (_, source) = sources.iter().find(|(own, _)| *own == name).expect("the queue has the script");
        for folder in ["python/src/postrider_client/lua", "node/src/lua"] {
            let file = clients().join(folder).join(format!("{name}.lua"));
            if std::env::var_os("POSTRIDER_WRITE_SCRIPTS").is_some() {
                std::fs::write(&file, source).expect("it is written");
            }
            let own = std::fs::read_to_string(&file).expect("the client has the script");
            let advice = "POSTRIDER_WRITE_SCRIPTS=1 cargo xtask test -- the_clients_have writes it";
            assert!(own == *source, "{} differs from the queue's script; {advice}", file.display());
        }
    }
}

/// A new field needs a line in each client, and a case.
#[test]
fn every_field_has_a_case() {
    let cases = cases::jobs();
    for name in postrider_queue::job::FIELDS {
        let has = |case: &Case| match &case.expected {
            Expected::Entry { fields, .. } => fields.iter().any(|(own, _)| own == name),
            Expected::Refused { .. } => false,
        };
        assert!(cases.iter().any(has), "no case has the field `{name}`");
    }
}

/// The value of a variable that `cargo xtask test` sets.
pub(super) fn tool(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    path.unwrap_or_else(|| panic!("{variable} names nothing that exists; `cargo xtask test` fetches it"))
}

/// Runs the tests of a client, and then the worker on the jobs that they have left in `queues`.
fn passes(language: &str, build: Build, queues: &[&str], command: &mut Command) {
    let (redis, nodes) = (RedisServer::start(), cluster::start(2));
    command.env("POSTRIDER_TEST_REDIS_URL", redis.url()).env("POSTRIDER_TEST_CLUSTER_URL", nodes[0].url());
    let output = command.env("POSTRIDER_BINARY", build.program()).output().expect("it can be started");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}: {}\n{}", language, output.status, text.concat());
    for queue in queues {
        the_worker_accepts(language, build, &redis, queue);
    }
}

#[test]
fn python_passes_the_cases() {
    let (kit, client) = (tool("POSTRIDER_PYTHON_KIT"), clients().join("python"));
    let mut python = Command::new("python3");
    let folders = std::env::join_paths([kit, client.join("src"), client.join("tests")]);
    python.env("PYTHONPATH", folders.expect("paths without a colon")).env("PYTHONDONTWRITEBYTECODE", "1");
    python.args(["-m", "unittest", "discover", "-s", "tests"]).current_dir(client);
    passes("python", Build::Lean, &["python.Postrider", "python.Blocking"], &mut python);
}

#[test]
fn node_passes_the_cases() {
    // Node looks for packages in the folders above a file.
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["node", "conformance"] {
        copy(&clients().join(name), &folder.path().join("clients").join(name));
    }
    let modules = tool("POSTRIDER_NODE_KIT").join("node_modules");
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).expect("a link");
    let mut node = Command::new(tool("POSTRIDER_NODE"));
    node.args(["--test", "test/job.test.js", "test/redis.test.js", "test/worker.test.js"]);
    node.current_dir(folder.path().join("clients/node"));
    passes("node", Build::Otel, &["node"], &mut node);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in from.read_dir().expect("the folder of the clients") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("it has a type") {
            kind if kind.is_dir() => copy(&entry.path(), &to),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), to).expect("it is copied")),
            _ => {}
        }
    }
}

#[test]
fn the_worker_refuses_what_the_clients_refuse() {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "refused");
    let is_refused = |case: &Case| matches!(case.expected, Expected::Refused { .. }) && case.is_for("worker");
    let cases: Vec<Case> = cases::jobs()
        .into_iter()
        .filter(is_refused)
        .filter(|case| case.worker.as_deref() != Some("none"))
        .collect();
    let ids: Vec<String> = cases.iter().map(|case| queue.enqueue(&case.unchecked())).collect();
    let _worker = run_until_fetched(Build::Lean, &redis, "refused", &Sink::start());
    let dead = queue.dead();
    for (case, id) in cases.iter().zip(&ids) {
        let Expected::Refused { error, field } = &case.expected else { continue };
        let letter = dead.iter().find(|letter| letter.field("_job_id").as_deref() == Some(id));
        if case.worker.as_deref() == Some("accepts") {
            assert!(letter.is_none(), "{}: {letter:?}", case.name);
            continue;
        }
        let letter = letter.unwrap_or_else(|| panic!("{}: it is not dead-lettered", case.name));
        let own = letter.field("_error").unwrap_or_default();
        assert!(["malformed", "version"].contains(&letter.reason().as_str()), "{}: {own}", case.name);
        assert!(own.contains(error), "{}: {own}", case.name);
        assert!(
            field.as_ref().is_none_or(|field| own.contains(&format!("`{field}`"))),
            "{}: {own}",
            case.name
        );
    }
    assert!(ids.len() > 50);
}

/// Every entry is exactly as the case expects, the worker takes it for a job, and it sends the request.
fn the_worker_accepts(language: &str, build: Build, redis: &RedisServer, name: &str) {
    let queue = Queue::new(redis, name);
    let cases: Vec<Case> = cases::jobs().into_iter().filter(|case| case.is_for(language)).collect();
    let accepted = cases.iter().filter_map(|case| match &case.expected {
        Expected::Entry { fields, request } => Some((case, fields, request)),
        Expected::Refused { .. } => None,
    });
    let accepted: Vec<_> = accepted.collect();
    let entries = entries(redis, &queue);
    assert_eq!(entries.len(), accepted.len(), "{name}");
    for ((_, own), (case, expected, _)) in entries.iter().zip(&accepted) {
        assert!(own == *expected, "{name}: {}: {own:?}", case.name);
    }
    let sink = Sink::start();
    let _worker = run_until_fetched(build, redis, name, &sink);
    let sent_for =
        |id: &str| sink.requests().into_iter().find(|sent| sent.header("idempotency-key") == Some(id));
    for ((id, _), (case, _, request)) in entries.iter().zip(&accepted) {
        let Some(expected) = request else { continue };
        let what = format!("{name}: {}: a request", case.name);
        let sent = eventually_or(&what, DEADLINE, || sent_for(id).ok_or("none"));
        assert_sent(&what, &sent, expected);
    }
    let dead = queue.dead();
    for ((id, _), (case, ..)) in entries.iter().zip(&accepted) {
        let letter = dead.iter().find(|letter| letter.field("_job_id").as_deref() == Some(id));
        let is_no_job =
            letter.is_some_and(|letter| ["malformed", "version"].contains(&letter.reason().as_str()));
        assert!(!is_no_job, "{name}: {}: {letter:?}", case.name);
    }
}

/// The entries of a queue without shards, their fields ordered by name. The tests of a client record spans, and their
/// context is in all jobs that have none.
fn entries(redis: &RedisServer, queue: &Queue) -> Vec<(String, Fields)> {
    let reply = redis.command(&["XRANGE", &queue.key("jobs"), "-", "+"]);
    let entry = |entry: &Reply| {
        let [id, list] = entry.array() else { panic!("not an entry: {entry:?}") };
        let pairs = list.array().chunks_exact(2);
        let mut fields: Fields = pairs.map(|pair| (pair[0].text(), pair[1].bytes().to_vec())).collect();
        let is_own = fields.iter().any(|(name, _)| name == "tracestate");
        fields.retain(|(name, _)| is_own || name != "traceparent");
        fields.sort();
        (id.text(), fields)
    };
    reply.array().iter().map(entry).collect()
}

/// Runs a worker until every job is sent, scheduled, or dead-lettered.
fn run_until_fetched(build: Build, redis: &RedisServer, name: &str, sink: &Sink) -> Postrider {
    let (proxy, file) = (sink.url(""), TextFile::new(CONFIG));
    let arguments = ["--queue", name, "--config", file.path(), "--http-proxy", &proxy];
    let worker = Postrider::ready_worker(build, redis, &arguments, &[KEY]);
    let queue = Queue::new(redis, name);
    eventually_or("every job is fetched", DEADLINE.max(Duration::from_secs(30)), || match queue.depth() {
        0 => Ok(()),
        left => Err(format!("{left} are in the stream")),
    });
    worker
}

fn assert_sent(case: &str, sent: &SinkRequest, expected: &Value) {
    let url = format!("http://{}{}", sent.header("host").unwrap_or_default(), sent.path);
    assert_eq!(
        (sent.method.as_str(), url.as_str()),
        (text(&expected["method"]), text(&expected["url"])),
        "{case}"
    );
    if let Some(body) = expected["body"].as_str() {
        assert_eq!(String::from_utf8_lossy(&sent.body), body, "{case}");
    }
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        let values: Vec<&str> =
            sent.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect();
        match value {
            Value::Null => assert!(values.is_empty(), "{case}: {name}: {values:?}"),
            Value::Bool(_) => assert!(!values.is_empty(), "{case}: no {name}"),
            value => assert_eq!(values.join(", "), text(value), "{case}: {name}"),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
