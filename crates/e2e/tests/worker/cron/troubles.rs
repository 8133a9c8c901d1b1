//! Periodic jobs while Redis is full, refuses changes, or has wrong values.

use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;

use super::{BUILD, SECOND, applied, each_second, has_no_gap, shown, ticks};

#[test]
fn a_definition_without_a_next_tick_is_found() {
    let world = World::new(BUILD);
    applied(&world, &each_second("beat", &world.sink.url("/ok"), ""));
    let queue = world.queue();
    world.redis.command(&["DEL", &queue.key("cron_due")]);
    world.redis.command(&["HDEL", &queue.key("cron"), "n:beat"]);
    let _worker = world.worker(&[]);
    world.sink.wait_for(2, DEADLINE);
}

/// Others may write anything into Redis: what is wrong harms nothing else, and can be removed.
#[test]
fn wrong_values_in_redis_stop_no_worker_and_no_other_definition() {
    let world = World::new(BUILD);
    let two =
        ["odd", "lost", "beat"].map(|name| each_second(name, &world.sink.url(&format!("/ok?{name}")), ""));
    applied(&world, &two.concat());
    let (cron, due) = (world.queue().key("cron"), world.queue().key("cron_due"));
    let set = |field: &str, value: &[u8]| {
        world.redis.command(&[b"HSET", cron.as_bytes(), field.as_bytes(), value]);
    };
    set("n:odd", b"18446744073709551615");
    set("j:odd", b"18446744073709551615-0");
    set("n:lost", b"garbage");
    set("d:bytes", b"\xff\xfe");
    for name in ["odd", "lost", "bytes"] {
        world.redis.command(&["ZADD", &due, "0", name]);
    }
    let mut worker = world.worker(&[]);
    world.sink.wait_for_path("/ok?beat", 2, DEADLINE);
    world.sink.wait_for_path("/ok?lost", 2, DEADLINE);
    let list = world.run(&["cron", "list"]);
    assert!(list.code() == 0 && list.stdout.contains("wrong definition"), "{list:?}");
    assert_eq!(world.run(&["cron", "remove", "bytes"]).code(), 0);
    assert!(worker.exited().is_none());
    // An apply replaces a next tick that was set by a clock that was ahead.
    applied(&world, &two.concat());
    world.sink.wait_for_path("/ok?odd", 1, DEADLINE);
}

#[test]
fn a_change_that_redis_refuses_changes_nothing() {
    let world = World::new(BUILD);
    let text = each_second("beat", &world.sink.url("/ok"), "");
    applied(&world, &text);
    let due = world.queue().key("cron_due");
    world.redis.command(&["DEL", &due]);
    world.redis.command(&["SET", &due, "x"]);
    for change in ["pause", "remove"] {
        let output = world.run(&["cron", change, "beat"]);
        assert!(output.code() == 4 && output.stderr.contains("WRONGTYPE"), "{output:?}");
    }
    assert!(shown(&world, "beat")["paused_since"].is_null());
    world.redis.command(&["DEL", &due]);
    let _worker = world.worker(&[]);
    world.sink.wait_for(1, DEADLINE);
}

/// As when a worker finds a definition due and somebody changes it before its job is made.
#[test]
fn a_changed_definition_does_not_wait_for_the_worker_that_has_found_it_due() {
    let world = World::new(BUILD);
    applied(&world, &each_second("beat", &world.sink.url("/ok?old"), ""));
    let due = world.queue().key("cron_due");
    world.redis.command(&["ZADD", &due, "9999999999999", "beat"]);
    let _worker = world.worker(&[]);
    applied(&world, &each_second("beat", &world.sink.url("/ok?new"), ""));
    world.sink.wait_for_path("/ok?new", 2, DEADLINE);
    assert_eq!(world.sink.requests_to("/ok?old").len(), 0);
}

#[test]
fn a_full_redis_delays_a_tick_and_loses_none() {
    let world = World::new(BUILD);
    let _worker = world.worker(&[]);
    applied(&world, &each_second("beat", &world.sink.url("/ok"), "catch_up = \"all\""));
    world.sink.wait_for(1, DEADLINE);
    world.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = shown(&world, "beat")["next_at"].clone();
    eventually_or("a tick that is due", DEADLINE, || {
        let view = world.run(&["cron", "list"]).stdout;
        if view.contains("late by") { Ok(()) } else { Err(view) }
    });
    world.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    eventually_or("further ticks", DEADLINE, || {
        let state = shown(&world, "beat");
        let is_made = state["next_at"].as_u64() > before.as_u64().map(|before| before + 2 * SECOND);
        if is_made { Ok(()) } else { Err(state) }
    });
    let count = world.sink.requests().len();
    let requests = world.sink.wait_for(count + 1, DEADLINE);
    assert!(has_no_gap(&ticks(&requests)), "{:?}", ticks(&requests));
}
