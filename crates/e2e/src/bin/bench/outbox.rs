//! What the relay costs: rows a second beside a loop that only takes and deletes them, and the time from commit to request beside
//! that from an `XADD`.

use std::time::{Duration, Instant};

use e2e::drain::{STREAM, command};
use e2e::postgres::PostgresServer;
use e2e::process::{Build, Postrider};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::wait::{self, DEADLINE, unless_interrupted};
use tokio_postgres::{Client, NoTls};

use crate::arguments::Arguments;
use crate::enqueue::{in_turn, ratios};
use crate::summary::{Rows, Summary};

/// Rows that the loop takes in one transaction, as the relay does.
const TAKE: &str = "delete from postrider_outbox where id in (
    select id from postrider_outbox where enqueued_at is null and error is null
    order by id limit 500 for update skip locked) returning *";
/// Jobs of which the time to their request is measured, one after the other.
const SINGLE_JOBS: usize = 200;
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let postgres = PostgresServer::start().expect("this needs PostgreSQL (Debian: postgresql)");
    postgres.sql(&Postrider::run(Build::Lean, &["relay", "schema"], &[], DEADLINE).stdout);
    let mut rows = Rows::new(&["", "value", "to reference"]);
    rates(arguments, redis, &postgres, &mut rows);
    latencies(arguments, redis, &postgres, &mut rows);
    rows
}

fn rates(arguments: &Arguments, redis: &RedisServer, postgres: &PostgresServer, rows: &mut Rows) {
    let mut all = [const { vec![] }; 2];
    for round in 0..arguments.rounds {
        for index in in_turn(round, 2) {
            command(&mut redis.connect(), &["FLUSHALL"]);
            postgres.sql("truncate postrider_outbox");
            postgres.sql(&format!(
                "insert into postrider_outbox (url, body) select 'http://127.0.0.1:9/', repeat('x', 512) from generate_series(1, {})",
                arguments.jobs
            ));
            postgres.sql("vacuum analyze postrider_outbox");
            let began = Instant::now();
            if index == 0 {
                assert_eq!(block_on(take_all(postgres)), arguments.jobs);
            } else {
                relay_all(redis, postgres, arguments.jobs);
            }
            let rate = arguments.jobs as f64 / began.elapsed().as_secs_f64();
            eprintln!("{index}: {rate:.0} rows/s");
            all[index].push(rate);
        }
    }
    push(rows, ["a loop that takes and deletes, rows a second", "relay, rows a second"], &all, 0);
}

fn relay_all(redis: &RedisServer, postgres: &PostgresServer, jobs: usize) {
    let mut relay = Postrider::relay(Build::Lean, postgres, redis, &[], &[]);
    let mut link = redis.connect();
    // A question to PostgreSQL would start a process and read all deleted rows, each time.
    wait::eventually("all jobs in Redis", DEADLINE, || {
        let length = command(&mut link, &["XLEN", STREAM]).integer();
        (length == jobs as i64).then_some(())
    });
    wait::eventually("an empty outbox", DEADLINE, || {
        (postgres.sql("select exists (select from postrider_outbox)") == "f").then_some(())
    });
    relay.stop();
}

async fn take_all(postgres: &PostgresServer) -> usize {
    let client = connect(postgres).await;
    let take = client.prepare(TAKE).await.expect("the statement is right");
    let mut taken = 0;
    loop {
        match client.query(&take, &[]).await.expect("PostgreSQL answers").len() {
            0 => return taken,
            rows => taken += rows,
        }
    }
}

fn latencies(arguments: &Arguments, redis: &RedisServer, postgres: &PostgresServer, rows: &mut Rows) {
    let sink = QuickSink::start(Duration::ZERO);
    let _worker = Postrider::ready_worker(Build::Lean, redis, &[], &[]);
    let mut relay = Postrider::relay(Build::Lean, postgres, redis, &[], &[("POSTRIDER_LOG", "info")]);
    relay.wait_for_log("the relay starts", DEADLINE);
    let client = block_on(connect(postgres));
    let insert = block_on(client.prepare("insert into postrider_outbox (url, body) values ($1, $2)"));
    let insert = insert.expect("the statement is right");
    let (mut link, url) = (redis.connect(), sink.url());
    let mut all = [const { vec![] }; 2];
    for round in 0..arguments.rounds {
        for index in in_turn(round, 2) {
            let times = (0..SINGLE_JOBS).map(|_| {
                sink.take_latencies();
                let (before, began, body) = (sink.requests(), Instant::now(), sink.stamped_body());
                match index {
                    0 => drop(command(&mut link, &["XADD", STREAM, "*", "url", url, "body", &body])),
                    _ => drop(block_on(client.execute(&insert, &[&url, &body])).expect("PostgreSQL answers")),
                }
                let committing = began.elapsed();
                wait::eventually("a request", DEADLINE, || (sink.requests() > before).then_some(()));
                let arrived = sink.take_latencies()[0];
                unless_interrupted(PAUSE);
                arrived.saturating_sub(committing).as_secs_f64() * 1e3
            });
            let mut times: Vec<f64> = times.collect();
            times.sort_by(f64::total_cmp);
            eprintln!("{index}: {:.2} ms", times[SINGLE_JOBS / 2]);
            all[index].push(times[SINGLE_JOBS / 2]);
        }
    }
    push(rows, ["XADD to request, median ms", "commit to request, median ms"], &all, 2);
}

fn push(rows: &mut Rows, names: [&str; 2], all: &[Vec<f64>; 2], decimals: usize) {
    for (name, own) in names.iter().zip(all) {
        let value = Summary::of(own.iter().copied()).text(decimals);
        rows.rows.push(vec![(*name).to_owned(), value, ratios(own, &all[0]).text(2)]);
    }
}

async fn connect(postgres: &PostgresServer) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&postgres.url(), NoTls).await.expect("PostgreSQL accepts connections");
    tokio::spawn(connection);
    client
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime needs no more than a few file descriptors")
    });
    RUNTIME.block_on(future)
}
