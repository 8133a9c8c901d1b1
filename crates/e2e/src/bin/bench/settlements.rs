//! What Redis spends on the settlement of successful jobs, with and without the counters: the script alone, called as a worker
//! calls it, by Redis' own statistics.

use std::time::{Duration, Instant};

use e2e::drain::{self, STREAM, command};
use e2e::redis::RedisServer;
use e2e::resp::Connection;
use e2e::scripts::{Script, key};

use crate::arguments::Arguments;
use crate::delivery_log::micros;
use crate::enqueue::{in_turn, ratios};
use crate::summary::{Rows, Summary};

const GROUP: &str = "postrider";
/// Jobs that one call settles: single ones, as with one in flight, and groups as under load.
const GROUPS: [usize; 3] = [57, 16, 1];
/// How long after a call that counts the next one does; `None` if no call counts. A worker's completer counts once a second.
const COUNTS: [(&str, Option<Duration>); 3] = [
    ("not counted", None),
    ("counted once a second", Some(Duration::from_secs(1))),
    ("counted in each call", Some(Duration::ZERO)),
];
/// Calls with fewer jobs are as many as this.
const CALLS_MAX: usize = 10_000;

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let mut rows = Rows::new(&["jobs in a call", "", "Redis µs/job", "to the first"]);
    let mut connection = redis.connect();
    let sha1 = command(&mut connection, &["SCRIPT", "LOAD", &Script::Complete.source()]).text();
    for group in GROUPS {
        let jobs = arguments.jobs.min(group * CALLS_MAX) / group * group;
        let mut costs = [const { vec![] }; COUNTS.len()];
        for round in 0..arguments.rounds {
            for index in in_turn(round, COUNTS.len()) {
                costs[index].push(settle(&mut connection, &sha1, jobs, group, COUNTS[index].1));
            }
        }
        for ((name, _), own) in COUNTS.iter().zip(&costs) {
            rows.rows.push(vec![
                group.to_string(),
                (*name).to_owned(),
                Summary::of(own.iter().copied()).text(2),
                ratios(own, &costs[0]).text(3),
            ]);
            eprintln!("{:?}", rows.rows.last());
        }
    }
    command(&mut connection, &["FLUSHALL"]);
    rows
}

/// Settles jobs, and returns the microseconds of the script for each.
fn settle(
    connection: &mut Connection,
    sha1: &str,
    jobs: usize,
    group: usize,
    count: Option<Duration>,
) -> f64 {
    drain::preload(connection, STREAM, &["http://127.0.0.1/"], jobs);
    command(connection, &["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let stats = key("stats");
    // The first count of a minute clears old ones.
    command(connection, &["SETRANGE", &stats, "28431", "\0"]);
    command(connection, &["CONFIG", "RESETSTAT"]);
    let (mut last, mut uncounted) = (None::<Instant>, 0);
    for _ in 0..jobs / group {
        let size = group.to_string();
        let read = ["XREADGROUP", "GROUP", GROUP, "w", "COUNT", &size, "STREAMS", STREAM, ">"];
        let read = command(connection, &read);
        let ids: Vec<String> =
            read.array()[0].array()[1].array().iter().map(|entry| entry.array()[0].text()).collect();
        let counts = count.is_some_and(|pause| last.is_none_or(|last| last.elapsed() >= pause));
        let count = if counts { std::mem::take(&mut uncounted).to_string() } else { String::new() };
        if counts {
            last = Some(Instant::now());
        } else {
            uncounted += group;
        }
        let mut call = vec!["EVALSHA", sha1, "2", STREAM, &stats, GROUP, "w", "", "", &count];
        call.extend(ids.iter().map(String::as_str));
        assert_eq!(command(connection, &call).text(), "o".repeat(group));
    }
    micros(&command(connection, &["INFO", "commandstats"]).text(), "evalsha") / jobs as f64
}
