//! The promise under fire: no acknowledged job is lost, and each job that is delivered twice has a reason.
//!
//! `LEDGER_SEED` repeats a plan, `LEDGER_SECONDS` makes it longer; `cargo xtask chaos` does both.

use e2e::ledger::{self, Homes, ONE_QUEUE, Options, SEVERAL_QUEUES};

#[test]
fn nothing_is_lost_while_workers_connections_and_redis_die() {
    nothing_is_lost(ONE_QUEUE, false);
}

#[test]
fn nothing_is_lost_of_several_queues_among_poisonous_jobs_and_hanging_hosts() {
    nothing_is_lost(SEVERAL_QUEUES, true);
}

fn nothing_is_lost(homes: Homes, hostile: bool) {
    let options = Options::from_env(15, homes, hostile);
    let ledger = ledger::run(&options);
    println!("{ledger}");
    for detail in &ledger.details {
        println!("  {detail}");
    }
    assert!(ledger.problems.is_empty(), "LEDGER_SEED={}: the promise was broken, see above", options.seed);
}
