//! Idempotency keys while the number of shards changes: a key may be in the shards that former numbers select.

use e2e::scripts::key_of;

use super::{Call, JOB, Stage};

/// How often the number of shards has changed, as a producer reads it.
fn changes(stage: &Stage) -> u64 {
    stage.call(&Call::key_homes()).array()[0].integer().unsigned_abs()
}

fn claim(stage: &Stage, shard: u32, changes: u64) -> String {
    stage.call(&Call::claim_key(shard, "k", changes)).array()[0].text()
}

fn enqueue(stage: &Stage, shard: u32, changes: u64) -> [String; 2] {
    let reply = stage.call(&Call::enqueue_in(shard, "k", changes, JOB));
    [0, 1].map(|part| reply.array()[part].text())
}

/// By one shard, the key belongs to shard 0; by two, to shard 1. Each producer claims it in its former home before it enqueues
/// it. The slow one has claimed it, and then the number changes back: each has claimed it where the other one enqueues.
#[test]
fn a_key_enqueues_once_while_the_number_of_shards_changes_to_and_fro() {
    let stage = Stage::new();
    stage.call(&Call::reshard(2));
    let slow = changes(&stage);
    assert_eq!(claim(&stage, 0, slow), "");
    stage.call(&Call::reshard(1));
    let fast = changes(&stage);
    assert_eq!(claim(&stage, 1, fast), "");
    let [letter, job_id] = enqueue(&stage, 0, fast);
    assert_eq!(letter, "o");
    assert_eq!(
        enqueue(&stage, 1, slow),
        ["m", ""],
        "somebody who knows of a later change has claimed the key"
    );
    let again = changes(&stage);
    assert_eq!(claim(&stage, 1, again), "");
    assert_eq!(enqueue(&stage, 0, again), ["k", &job_id]);
    let jobs = [0, 1].map(|shard| stage.command(&["XLEN", &key_of(shard, "jobs")]).integer());
    assert_eq!(jobs, [1, 0]);
}
