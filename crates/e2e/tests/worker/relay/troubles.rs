//! What stops between the commit and the job.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider, Signal};
use e2e::redis::RedisServer;
use e2e::wait::{DEADLINE, eventually_or, unless_interrupted};
use e2e::world::World;

use super::{Outbox, label};

/// Kills of the relay, Redis or PostgreSQL, in turn.
const KILLS: usize = 6;
const ROWS_BETWEEN: usize = 50;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// With `RELAY_KILLS=200 RELAY_ROWS=50` it takes minutes.
#[test]
fn each_row_makes_one_job_whatever_is_killed() {
    let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let Some(mut outbox) = Outbox::on(World::on(Build::Otel, redis), Build::Otel) else { return };
    let (kills, between) = (setting("RELAY_KILLS", KILLS), setting("RELAY_ROWS", ROWS_BETWEEN));
    let url = outbox.world.sink.url("/ok");
    let _worker = outbox.world.worker(&[]);
    let start = |outbox: &Outbox| outbox.relay(&["--poll-interval", "100ms"]);
    let mut relays = [start(&outbox), start(&outbox)];
    for kill in 0..kills {
        outbox.postgres.sql(&format!(
            "insert into postrider_outbox (url, label) select '{url}', {kill} * {between} + n from generate_series(0, {between} - 1) n"
        ));
        // Some while rows are taken, some before, some after.
        unless_interrupted(Duration::from_millis([0, 3, 7, 15, 40, 100][kill % 6]));
        match kill % 3 {
            0 => relays[kill / 3 % 2].kill(),
            1 => outbox.postgres.kill_and_restart(),
            _ => {
                outbox.world.redis.kill();
                outbox.world.redis.restart();
            }
        }
        // One that starts while a server is away ends, and a service is started again.
        relays
            .iter_mut()
            .filter_map(|relay| relay.exited().map(|_| relay))
            .for_each(|relay| *relay = start(&outbox));
    }
    eventually_or("an empty outbox", DEADLINE, || {
        relays
            .iter_mut()
            .filter_map(|relay| relay.exited().map(|_| relay))
            .for_each(|relay| *relay = start(&outbox));
        let count = outbox.postgres.sql("select count(*) from postrider_outbox");
        if count == "0" { Ok(()) } else { Err(count) }
    });
    outbox.world.queue().wait_until_drained(DEADLINE);
    let mut jobs = BTreeMap::<String, BTreeSet<String>>::new();
    for request in outbox.world.sink.requests() {
        let job_id = request.header("idempotency-key").expect("each request has a job id").to_owned();
        jobs.entry(label(&request)).or_default().insert(job_id);
    }
    let lost: Vec<usize> = (0..kills * between).filter(|row| !jobs.contains_key(&row.to_string())).collect();
    let twice: Vec<_> = jobs.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(lost.is_empty() && twice.is_empty(), "lost {lost:?}, twice {twice:?}");
}

#[test]
fn a_relay_goes_on_after_silence_and_reports_it() {
    let Some(mut outbox) = Outbox::start(Build::Lean) else { return };
    let _worker = outbox.world.worker(&[]);
    let mut relay = outbox.relay(&["--listen", "127.0.0.1:0", "--poll-interval", "100ms"]);
    let line = relay.wait_for_log("status listens on", DEADLINE);
    let address =
        line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
    let ready = |expected: &str| {
        eventually_or(expected, DEADLINE, || {
            let health = Postrider::run(Build::Lean, &["health", "--listen", &address], &[], DEADLINE);
            let text = format!("{}{}", health.stdout, health.stderr);
            if text.contains(expected) { Ok(()) } else { Err(text) }
        });
    };
    ready("answered 200");
    outbox.world.redis.kill();
    // No row waits.
    ready("Redis does not answer");
    let url = outbox.world.sink.url("/ok");
    outbox.insert("url", &format!("('{url}')"));
    relay.wait_for_log("Redis does not take the jobs of queue default", DEADLINE);
    // Longer than one taker tries: the other one finds no row, which proves nothing.
    let tries_end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < tries_end {
        ready("503");
    }
    assert!(!relay.log().iter().any(|line| line.contains("works again")), "{:?}", relay.log());
    outbox.world.redis.restart();
    outbox.world.sink.wait_for(1, DEADLINE);
    ready("answered 200");
    relay.wait_for_log("the relay works again", DEADLINE);
    outbox.postgres.signal(Signal::SIGSTOP);
    ready("PostgreSQL does not answer within 10 s");
    outbox.postgres.signal(Signal::SIGCONT);
    outbox.insert("url", &format!("('{url}')"));
    outbox.world.sink.wait_for(2, DEADLINE);
    ready("answered 200");
}

/// Rows of 4 MB, of which a relay has few in memory at once.
#[test]
fn a_relay_takes_as_much_as_it_can_keep() {
    let Some(outbox) = Outbox::start(Build::Lean) else { return };
    let url = outbox.world.sink.url("/ok");
    outbox.postgres.sql(&format!(
        "insert into postrider_outbox (url, body) select '{url}', repeat('x', 4000000) from generate_series(1, 40)"
    ));
    let relay = outbox.relay(&[]);
    outbox.wait_until_empty();
    let peak = relay.peak_memory();
    assert!(peak < 100_000_000, "{peak}");
    let entries = outbox.world.queue().depth();
    assert_eq!(entries, 40);
}

#[test]
fn kept_rows_are_deleted_after_their_time() {
    let Some(outbox) = Outbox::start(Build::Lean) else { return };
    outbox.insert(
        "url, enqueued_at, job_id",
        "('http://h/', now() - interval '2 hours', '1-0'), ('http://h/', now() - interval '30 minutes', '2-0')",
    );
    let _relay = outbox.relay(&["--keep", "1h"]);
    eventually_or("one row", DEADLINE, || {
        let kept = outbox.postgres.sql("select job_id from postrider_outbox");
        if kept == "2-0" { Ok(()) } else { Err(kept) }
    });
}

#[test]
fn mistakes_of_a_beginner_are_named() {
    let Some(outbox) = Outbox::start(Build::Lean) else { return };
    outbox.postgres.sql("drop table postrider_outbox");
    let ended = |arguments: &[&str]| {
        let redis = outbox.world.redis.url();
        let arguments = [&["relay"], arguments].concat();
        let output = Postrider::run(Build::Lean, &arguments, &[("POSTRIDER_REDIS_URL", &redis)], DEADLINE);
        (output.code(), output.stderr)
    };
    let url = outbox.postgres.url();
    let (code, text) = ended(&["--postgres", &url]);
    assert!(code == 4 && text.contains("postrider relay schema"), "{code} {text}");
    let (code, text) = ended(&[]);
    assert!(code == 2 && text.contains("POSTRIDER_POSTGRES"), "{code} {text}");
    let (code, text) = ended(&["--postgres", "127.0.0.1:5432/shop"]);
    assert!(code == 2 && text.contains("write postgresql://USER:PASSWORD@HOST/DATABASE"), "{code} {text}");
    // Nothing listens on port 1.
    let (code, text) = ended(&["--postgres", "postgresql://me:hunter2@127.0.0.1:1/db"]);
    let named = text.contains("PostgreSQL at 127.0.0.1:1 does not answer: Connection refused");
    assert!(code == 4 && named && !text.contains("hunter2"), "{code} {text}");
    let (code, text) = ended(&["--postgres", "mysql://me:hunter2@h/db"]);
    assert!(code == 2 && text.contains("write postgresql://") && !text.contains("hunter2"), "{code} {text}");
    let wrong = url.replace("/postgres?", "/nosuch?").replace("/postgres", "/nosuch");
    let (code, text) = ended(&["status", "--postgres", &wrong]);
    assert!(code == 4 && text.contains("nosuch"), "{code} {text}");
}

#[test]
fn a_relay_without_a_right_does_not_start() {
    let Some(outbox) = Outbox::start(Build::Lean) else { return };
    outbox.postgres.sql("create role relay login; grant select, update on postrider_outbox to relay");
    let url = outbox.postgres.url().replace("postgres@", "relay@");
    let redis = outbox.world.redis.url();
    let variables = [("POSTRIDER_POSTGRES", url.as_str()), ("POSTRIDER_REDIS_URL", &redis)];
    let output = Postrider::run(Build::Lean, &["relay"], &variables, DEADLINE);
    let names_it = output.stderr.contains("lacks the rights DELETE on postrider_outbox");
    assert!(output.code() == 4 && names_it, "{} {}", output.code(), output.stderr);
    outbox.postgres.sql("grant delete on postrider_outbox to relay");
    let mut relay = outbox.relay(&["--postgres", &url]);
    outbox.insert("url", "('http://h/')");
    outbox.wait_until_empty();
    assert_eq!(relay.stop().code(), Some(0));
}
