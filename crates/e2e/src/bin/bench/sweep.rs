//! How long the sweeper's calls block Redis while a million jobs wait: scheduled, held by a thousand flows, or orphaned.

use e2e::drain::command;
use e2e::redis::RedisServer;
use e2e::resp::{Connection, Reply};
use e2e::scripts::{MARK, Script, key};

use crate::summary::Rows;

const JOBS: usize = 1_000_000;
const BATCH: usize = 1_000;
/// Jobs that a call reads, as in `crates/queue/src/work/sweep.rs`.
const PAGE: &str = "50";
const URL_BYTES_MAX: &str = "4096";

/// Adds waiting jobs from `ARGV[1]` on, with the body `ARGV[3]`, to the state `ARGV[2]`. KEYS are the waiting jobs and the schedule.
const ADD: &str = "for n = ARGV[1], ARGV[1] + 999 do
  local flow, id = 'flow-' .. n % 1000, n .. '-0'
  redis.call('HSET', KEYS[1], id, cmsgpack.pack({'url', 'http://' .. flow .. '.test/', 'flow', flow, 'body', ARGV[3]}))
  if ARGV[2] == 'scheduled' then
    redis.call('ZADD', KEYS[2], 9e12, id)
  elseif ARGV[2] == 'held' then
    redis.call('ZADD', 'postrider:{default}:flow:' .. flow, n, id)
    redis.call('ZADD', KEYS[3], 9e12, flow)
  end
end";

pub(crate) fn run(redis: &RedisServer) -> Rows {
    let mut rows = Rows::new(&["a million jobs", "calls", "p50 ms", "p99 ms", "worst ms", "jobs made due"]);
    let mut connection = redis.connect();
    for state in ["scheduled", "held", "orphaned"] {
        fill(&mut connection, state);
        let (mut times, due) = sweep(&mut connection);
        times.sort_unstable();
        let at = |share: usize| format!("{:.2}", times[(times.len() - 1) * share / 1000] as f64 / 1000.0);
        let row = [state.to_owned(), times.len().to_string(), at(500), at(990), at(1000), due.to_string()];
        eprintln!("{row:?}");
        rows.rows.push(row.to_vec());
    }
    command(&mut connection, &["FLUSHALL"]);
    rows
}

fn fill(connection: &mut Connection, state: &str) {
    command(connection, &["FLUSHALL"]);
    let keys = ["waiting", "scheduled", "flows"].map(key);
    let body = "x".repeat(512);
    for first in (0..JOBS).step_by(BATCH) {
        let first = first.to_string();
        command(connection, &["EVAL", ADD, "3", &keys[0], &keys[1], &keys[2], &first, state, &body]);
    }
}

/// Sweeps all waiting jobs as a worker does. Returns how long each call took by Redis' slow log, µs, and how many jobs are due.
fn sweep(connection: &mut Connection) -> (Vec<i64>, i64) {
    command(connection, &["CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "100000"]);
    let [sweep, requeue] = [Script::Sweep, Script::Requeue]
        .map(|script| command(connection, &["SCRIPT", "LOAD", &script.source()]).text());
    let keys = ["waiting", "scheduled", "mark", "flows"].map(key);
    command(connection, &["SLOWLOG", "RESET"]);
    let (mut cursor, mut due) = ("0".to_owned(), 0);
    loop {
        let call = ["EVALSHA", &sweep, "3", &keys[0], &keys[1], &keys[2], &cursor, PAGE, URL_BYTES_MAX, MARK];
        let reply = command(connection, &call);
        let [next, rows, ..] = reply.array() else { panic!("{reply:?}") };
        cursor = next.text();
        due += requeued(connection, &requeue, &keys, rows.array());
        if cursor == "0" {
            break;
        }
    }
    let log = command(connection, &["SLOWLOG", "GET", "-1"]);
    command(connection, &["CONFIG", "SET", "slowlog-log-slower-than", "10000"]);
    let calls = log.array().iter().filter(|entry| entry.array()[3].array()[0].text() == "EVALSHA");
    (calls.map(|entry| entry.array()[2].integer()).collect(), due)
}

/// Makes orphans among these jobs due. Returns how many.
fn requeued(connection: &mut Connection, sha1: &str, keys: &[String; 4], rows: &[Reply]) -> i64 {
    if rows.is_empty() {
        return 0;
    }
    let (mut flows, mut jobs): (Vec<String>, Vec<String>) = (vec![], vec![]);
    for row in rows {
        let [id, flow, _] = row.array() else { panic!("{row:?}") };
        let set = key(&format!("flow:{}", flow.text()));
        let place = flows.iter().position(|known| *known == set).unwrap_or_else(|| {
            flows.push(set);
            flows.len() - 1
        });
        jobs.extend([id.text(), (place + 1).to_string()]);
    }
    let count = (3 + flows.len()).to_string();
    let mut call = vec!["EVALSHA", sha1, &count, &keys[0], &keys[1], &keys[3]];
    call.extend(flows.iter().chain(&jobs).map(String::as_str));
    command(connection, &call).array()[0].integer()
}
