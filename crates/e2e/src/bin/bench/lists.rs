//! How long the console takes for lists, pages and searches while a million jobs are ready and 100,000 are dead.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::drain::{STREAM, command};
use e2e::http_call;
use e2e::process::{Build, Postrider};
use e2e::redis::RedisServer;
use e2e::resp::Connection;

use crate::arguments::Arguments;
use crate::summary::{Rows, Summary};

const DEAD_LETTERS: &str = "postrider:{default}:dead";
const READY: usize = 1_000_000;
const DEAD: usize = 100_000;
/// Hosts of the dead letters.
const HOSTS: usize = 500;
const BATCH: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Adds `ARGV[2]` ready jobs from `ARGV[1]` on; each hundredth is for its own host.
const ADD_READY: &str = "for n = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  redis.call('XADD', KEYS[1], '*', 'url', 'http://host-' .. n % 1000 .. '.test/hook', 'label', 'ready:' .. n, 'body', ARGV[3])
end";
/// Adds `ARGV[2]` dead letters from `ARGV[1]` on, as the worker writes them.
const ADD_DEAD: &str = r#"for n = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  local trace = string.format('%032x', n + 1)
  local history = '[{"attempt":1,"at":1795396101000,"ms":12,"status":503,"trace_id":"' .. trace .. '","span_id":"00f067aa0ba902b7",'
    .. '"phases":{"lookup":1,"connect":1,"send":1,"wait":9}},{"attempt":2,"at":1795396111000,"ms":12,"status":503,"trace_id":"' .. trace
    .. '","span_id":"00f067aa0ba902b8"}]'
  redis.call('XADD', KEYS[1], '*', 'url', 'http://host-' .. n % tonumber(ARGV[4]) .. '.test/hook', 'label', 'dead:' .. n, 'body', ARGV[3],
    '_job_id', '17' .. n .. '-0', '_enqueued_at', '1795396100000', '_attempt', '2', '_history', history, '_reason', 'attempts',
    '_error', 'attempt 2 of 2 was the last: the destination answered 503 to request ' .. n % 7, '_dead_at', '1795396112000')
end"#;

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let mut connection = redis.connect();
    command(&mut connection, &["FLUSHALL"]);
    add(&mut connection, ADD_READY, STREAM, READY, HOSTS);
    command(&mut connection, &["XGROUP", "CREATE", STREAM, "postrider", "0"]);
    add(&mut connection, ADD_DEAD, DEAD_LETTERS, DEAD, HOSTS);
    let paths = paths(&mut connection);
    let (_console, address) =
        Postrider::console(Build::Lean, &["--redis-url", &redis.url()], &[("POSTRIDER_LOG", "info")]);
    let mut rows = Rows::new(&["", "", "status", "cold ms", "warm ms", "worst ms"]);
    for (kind, path) in paths {
        let (status, cold) = get(address, &path);
        let warm: Vec<f64> = (0..arguments.rounds * 3).map(|_| get(address, &path).1).collect();
        let warm = Summary::of(warm);
        rows.rows.push(vec![
            kind.to_owned(),
            path,
            status.to_string(),
            format!("{cold:.1}"),
            format!("{:.1}", warm.median),
            format!("{:.1}", warm.max.max(cold)),
        ]);
        eprintln!("{:?}", rows.rows.last());
    }
    command(&mut connection, &["FLUSHALL"]);
    rows
}

/// Lists and pages, and searches.
fn paths(connection: &mut Connection) -> Vec<(&'static str, String)> {
    let mut end = |name, stream, from, to| {
        command(connection, &[name, stream, from, to, "COUNT", "1"]).array()[0].array()[0].text()
    };
    let last = end("XREVRANGE", STREAM, "+", "-");
    let oldest = end("XRANGE", DEAD_LETTERS, "-", "+");
    let lists = [
        "/",
        "/queues/default",
        "/jobs",
        "/jobs?queue=default&state=ready&limit=500",
        "/dead",
        "/dead?host=host-7.test",
        "/dead?host=nowhere.test",
        "/dead?label=dead:5",
        &format!("/dead?cursor=default:{oldest}"),
        "/destinations",
        "/cron",
        "/destination?name=host-7.test",
        "/audit",
        "/v1/queues",
        "/v1/queues/default",
        "/v1/queues/default/counts?over=14d",
        "/v1/jobs?limit=1000",
        "/v1/dead?limit=1000",
        "/v1/dead?host=nowhere.test",
        "/v1/flows",
        "/v1/audit",
    ];
    let searches = [
        &format!("/jobs/{last}"),
        "/jobs/175-0",
        "/jobs/dead:5",
        &format!("/jobs/dead:{}", DEAD - 1),
        &format!("/jobs/{:032x}", 6),
        "/jobs/ready:5",
        &format!("/jobs/ready:{}", READY / 2),
        "/jobs/nothing:5",
        "/v1/jobs/nothing:5",
    ];
    let named =
        |kind, paths: &[&str]| paths.iter().map(|path| (kind, (*path).to_owned())).collect::<Vec<_>>();
    [named("list", &lists), named("search", &searches)].concat()
}

fn add(connection: &mut Connection, script: &str, stream: &str, count: usize, hosts: usize) {
    let (body, hosts) = ("x".repeat(512), hosts.to_string());
    for first in (0..count).step_by(BATCH) {
        let (first, batch) = (first.to_string(), BATCH.to_string());
        command(connection, &["EVAL", script, "1", stream, &first, &batch, &body, &hosts]);
    }
}

/// The status, and how long the answer took, ms.
fn get(address: SocketAddr, path: &str) -> (u16, f64) {
    let began = Instant::now();
    let answer = http_call::exchange(address, "GET", path, &[], b"", TIMEOUT).expect("the console answers");
    (answer.status, began.elapsed().as_secs_f64() * 1e3)
}
