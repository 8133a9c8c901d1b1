//! Tests of dead letters that stop their order keys.

use e2e::process::Postrider;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;
use serde_json::Value;

use super::{BUILD, enqueue, requests_of};

const STOPS: &str = "[queues.default]\non_dead = \"stop\"\n";

/// A worker, and a key whose first job died.
fn stopped(world: &World, config: &TextFile, path: &str) -> Postrider {
    let (queue, sink) = (world.queue(), &world.sink);
    enqueue(&queue, &sink.url(path), "a", 0, &[]);
    for number in 1..4 {
        enqueue(&queue, &sink.url("/ok"), "a", number, &[]);
    }
    enqueue(&queue, &sink.url("/ok"), "b", 0, &[]);
    let worker = world.worker(&["--config", config.path()]);
    eventually("a dead letter, and three jobs behind it", DEADLINE, || {
        (queue.dead().len() == 1 && queue.in_line() == 3 && queue.depth() == 0).then_some(())
    });
    assert_eq!(requests_of(&sink.requests(), "b"), [0], "another key goes on");
    worker
}

#[test]
fn a_dead_letter_stops_its_key_until_it_is_resumed() {
    let (world, config) = (World::new(BUILD), TextFile::new(STOPS));
    let _worker = stopped(&world, &config, "/status/410");
    let (queue, sink) = (world.queue(), &world.sink);
    let listed: Value = world.run(&["order", "list", "--json"]).json();
    assert_eq!((&listed["order"], &listed["behind"]), (&"a".into(), &3.into()), "{listed}");
    let queues = world.run(&["queues"]).stdout;
    assert!(queues.contains("dead letters that stop order keys: 1"), "{queues}");
    let doctor = world.run(&["doctor"]).stdout;
    assert!(doctor.contains("1 dead letter stops the later jobs of its order key"), "{doctor}");
    let held = enqueue(&queue, &sink.url("/ok"), "a", 4, &[]);
    eventually("a fourth job behind it", DEADLINE, || (queue.in_line() == 4).then_some(()));
    let shown = world.run(&["jobs", "show", &held]).stdout;
    assert!(shown.contains("stops its order key"), "{shown}");
    assert_eq!(world.run(&["order", "resume", "b"]).code(), 1, "it is not stopped");
    assert_eq!(requests_of(&sink.requests(), "a"), [0]);
    assert_eq!(world.run(&["order", "resume", "a"]).code(), 0);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(requests_of(&sink.requests(), "a"), [0, 1, 2, 3, 4]);
    assert_eq!(queue.dead().len(), 1, "it is kept");
    assert_eq!(world.run(&["order", "list"]).stdout, "no order key is stopped\n");
}

/// The replay takes the place of the dead letter. If it dies, too, the key is stopped again.
#[test]
fn a_replay_takes_the_place_of_the_dead_letter() {
    let world = World::new(BUILD);
    let config = TextFile::new(&format!("[retry.default]\nmax_attempts = 1\n{STOPS}"));
    let _worker = stopped(&world, &config, "/flaky/2/again");
    let (queue, sink) = (world.queue(), &world.sink);
    assert_eq!(world.run(&["dead", "replay", "--all", "--yes"]).code(), 0);
    eventually("a second dead letter", DEADLINE, || {
        (requests_of(&sink.requests(), "a") == [0, 0] && queue.dead().len() == 1).then_some(())
    });
    assert_eq!(
        (queue.in_line(), world.run(&["order", "list", "--json"]).json()["behind"].as_u64()),
        (3, Some(3))
    );
    assert_eq!(world.run(&["dead", "replay", "--all", "--yes"]).code(), 0);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(requests_of(&sink.requests(), "a"), [0, 0, 0, 1, 2, 3]);
}

#[test]
fn a_purge_lets_the_later_jobs_go() {
    let (world, config) = (World::new(BUILD), TextFile::new(STOPS));
    let _worker = stopped(&world, &config, "/status/410");
    assert_eq!(world.run(&["dead", "purge", "--all", "--yes"]).code(), 0);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(requests_of(&world.sink.requests(), "a"), [0, 1, 2, 3]);
}

/// The bounds of the dead letters delete the oldest ones. The later jobs must not go on by that, and everything that shows the key names
/// the way that is left.
#[test]
fn a_deleted_dead_letter_stops_its_key_and_is_shown_as_deleted() {
    let (world, config) = (World::new(BUILD), TextFile::new(STOPS));
    let _worker = stopped(&world, &config, "/status/410");
    let (queue, sink) = (world.queue(), &world.sink);
    let listed = || -> Value { world.run(&["order", "list", "--json"]).json() };
    assert_eq!(listed()["deleted"], false);
    let letter = listed()["job_id"].as_str().expect("an id").to_owned();
    world.redis.command(&["XTRIM", &queue.key("dead"), "MAXLEN", "0"]);
    assert_eq!((&listed()["deleted"], &listed()["behind"]), (&true.into(), &3.into()));
    let list = world.run(&["order", "list"]);
    assert!(list.stdout.contains(&format!("{letter} (deleted)")), "{list:?}");
    assert!(list.stderr.contains("cannot be replayed; `postrider order resume KEY`"), "{list:?}");
    let doctor = world.run(&["doctor"]).stdout;
    assert!(doctor.contains("1 of them was deleted since, and cannot be replayed"), "{doctor}");
    let held = enqueue(&queue, &sink.url("/ok"), "a", 4, &[]);
    eventually("a fourth job behind it", DEADLINE, || (queue.in_line() == 4).then_some(()));
    let shown = world.run(&["jobs", "show", &held]).stdout;
    assert!(shown.contains("which was deleted since, stops its order key"), "{shown}");
    assert_eq!(world.run(&["dead", "replay", &letter, "--yes"]).code(), 1);
    assert_eq!(world.run(&["order", "resume", "a"]).code(), 0);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(requests_of(&sink.requests(), "a"), [0, 1, 2, 3, 4]);
}
