//! What a run leaves: keys, and processes.

use std::collections::BTreeMap;
use std::path::Path;

use e2e::process::{Build, Output, Postrider};
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::wait::{DEADLINE, eventually, eventually_or};

/// The claim of a run.
const CLAIM: &str = "postrider:{certify}:run";

/// Every key with its contents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traces(BTreeMap<String, Vec<u8>>);

impl Traces {
    /// Writes keys of others: a queue, what operators have set, and keys of another program.
    pub(super) fn of_others(redis: &RedisServer) -> Traces {
        redis.command(&["SET", "certify", "another program"]);
        redis.command(&["XADD", "postrider:{mail}:jobs", "1-1", "url", "http://127.0.0.1:9/"]);
        redis.command(&["HSET", "postrider:{control}", "q:mail", "0 1 {}"]);
        redis.command(&["XADD", "postrider:{audit}", "1-1", "what", "pause"]);
        Traces::read(redis)
    }

    fn read(redis: &RedisServer) -> Traces {
        let keys = redis.command(&["KEYS", "*"]);
        let keys = keys.array().iter().map(Reply::text);
        let contents = |key: String| {
            let dump = redis.command(&["DUMP", &key]).bytes().to_vec();
            (key, dump)
        };
        Traces(keys.map(contents).collect())
    }

    /// The server has the same keys with the same contents.
    pub(super) fn assert_unchanged(&self, redis: &RedisServer) {
        let now = Traces::read(redis);
        let names = |traces: &Traces| traces.0.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(&now));
        assert!(*self == now, "the contents of a key have changed");
    }
}

/// Runs the command to its end.
pub(super) fn run(redis: &RedisServer, arguments: &[&str]) -> Output {
    let url = redis.url();
    Postrider::run(
        Build::Lean,
        &[&["certify"], arguments].concat(),
        &[("POSTRIDER_REDIS_URL", &url)],
        8 * DEADLINE,
    )
}

/// Waits until jobs of a run are done, and returns the process ids of its workers.
pub(super) fn wait_for_deliveries(redis: &RedisServer, certify: &Postrider) -> Vec<u32> {
    eventually("jobs are done", DEADLINE, || {
        let stats = redis.command(&["EXISTS", "postrider:{certify-plain}:stats"]);
        (stats == Reply::Integer(1)).then_some(())
    });
    let workers = children(certify.pid());
    assert!(!workers.is_empty(), "a run has workers");
    workers
}

/// Waits until none of these processes runs.
pub(super) fn wait_for_end(processes: &[u32]) {
    let runs = |pid: &&u32| Path::new("/proc").join(pid.to_string()).exists();
    eventually_or("the workers end", DEADLINE, || match processes.iter().find(runs) {
        None => Ok(()),
        Some(pid) => Err(pid.to_string()),
    });
}

/// As if the run had died long ago.
pub(super) fn make_claim_old(redis: &RedisServer) {
    let mut claim: serde_json::Value =
        serde_json::from_str(&redis.command(&["GET", CLAIM]).text()).expect("a claim is JSON");
    claim["at"] = 1.into();
    redis.command(&["SET", CLAIM, &claim.to_string()]);
}

fn children(parent: u32) -> Vec<u32> {
    let folders = std::fs::read_dir("/proc").expect("there is /proc").filter_map(Result::ok);
    let pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name is in brackets and may contain anything; then come the state and the parent.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    pids.filter(is_child).collect()
}
