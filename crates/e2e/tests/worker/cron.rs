//! Periodic jobs: each tick makes one job, over all workers, whatever happens to them.

mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use e2e::process::{Build, Output, Postrider};
use e2e::sink::SinkRequest;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually_or, unless_interrupted};
use e2e::world::World;
use serde_json::{Value, json};

e2e::in_both_builds!(
    each_tick_makes_one_job_over_all_workers,
    a_changed_definition_takes_effect_and_a_removed_one_ends,
    jobs_do_not_overlap_where_they_must_not,
);

const BUILD: Build = Build::Lean;
/// A second, in ms.
const SECOND: u64 = 1000;

/// Applies a file.
fn apply(world: &World, text: &str, more: &[&str]) -> Output {
    let file = TextFile::new(text);
    world.run(&[&["cron", "apply", file.path()], more].concat())
}

/// A definition that ticks each second.
fn each_second(name: &str, url: &str, more: &str) -> String {
    format!("[cron.{name}]\nevery = \"1s\"\n{more}\n[cron.{name}.job]\nurl = \"{url}\"\n")
}

fn applied(world: &World, text: &str) {
    let output = apply(world, text, &[]);
    assert_eq!(output.code(), 0, "{}", output.stderr);
}

fn shown(world: &World, name: &str) -> Value {
    let output = world.run(&["cron", "show", name]);
    assert_eq!(output.code(), 0, "{}", output.stderr);
    output.json()
}

/// The nominal times of requests, Unix seconds, each request once.
fn ticks(requests: &[SinkRequest]) -> BTreeSet<u64> {
    let tick = |request: &SinkRequest| seconds(request.header("postrider-tick").expect("a tick"));
    requests.iter().map(tick).collect()
}

/// A time as `2026-11-29T14:10:22Z`, in Unix seconds.
fn seconds(time: &str) -> u64 {
    time.parse::<jiff::Timestamp>().expect("a time").as_second().unsigned_abs()
}

fn has_no_gap(ticks: &BTreeSet<u64>) -> bool {
    ticks.iter().zip(ticks.iter().skip(1)).all(|(tick, next)| next - tick == 1)
}

fn each_tick_makes_one_job_over_all_workers(build: Build) {
    let world = World::new(build);
    let _workers = [world.worker(&[]), world.worker(&[]), world.worker(&[])];
    applied(&world, &each_second("beat", &world.sink.url("/ok"), ""));
    let requests = world.sink.wait_for(4, DEADLINE);
    let ticks = ticks(&requests);
    assert!(ticks.len() == requests.len() && has_no_gap(&ticks), "{ticks:?}");
    for request in &requests {
        let header = |name: &str| request.header(name);
        assert_eq!((header("postrider-cron"), header("postrider-label")), (Some("beat"), Some("beat")));
    }
    let state = shown(&world, "beat");
    assert!(state["made"].as_u64() >= Some(4) && state["missed"] == 0, "{state}");
}

fn a_changed_definition_takes_effect_and_a_removed_one_ends(build: Build) {
    let world = World::new(build);
    let _worker = world.worker(&[]);
    let both = |path: &str| {
        let changed = each_second("changed", &world.sink.url(path), "");
        format!("{changed}{}", each_second("other", &world.sink.url("/ok?other"), ""))
    };
    applied(&world, &both("/ok?old"));
    world.sink.wait_for_path("/ok?old", 1, DEADLINE);
    applied(&world, &both("/ok?new"));
    let old = ticks(&world.sink.requests_to("/ok?old"));
    let new = ticks(&world.sink.wait_for_path("/ok?new", 2, DEADLINE));
    // The tick that was being made while it was changed may still be an old one.
    let old_later = ticks(&world.sink.requests_to("/ok?old"));
    assert!(old_later.len() <= old.len() + 1, "{old:?} {old_later:?}");
    assert!(has_no_gap(&old_later.union(&new).copied().collect()), "{old_later:?} {new:?}");
    let only = each_second("other", &world.sink.url("/ok?other"), "");
    let output = apply(&world, &only, &["--prune"]);
    assert!(output.stdout.contains("default changed: removed"), "{}", output.stdout);
    let made = world.sink.requests_to("/ok?other").len();
    let left = world.sink.requests_to("/ok?new").len();
    world.sink.wait_for_path("/ok?other", made + 3, DEADLINE);
    assert!(world.sink.requests_to("/ok?new").len() <= left + 1);
    assert_eq!(world.run(&["cron", "show", "changed"]).code(), 1);
}

fn jobs_do_not_overlap_where_they_must_not(build: Build) {
    let world = World::new(build);
    let _worker = world.worker(&[]);
    applied(&world, &each_second("slow", &world.sink.url("/hang"), "overlap = \"skip\""));
    world.sink.wait_for(1, DEADLINE);
    let state = eventually_or("two skipped ticks", DEADLINE, || {
        let state = shown(&world, "slow");
        if state["skipped"].as_u64() >= Some(2) { Ok(state) } else { Err(state) }
    });
    assert_eq!(state["made"], 1, "{state}");
    let job = state["last_job"].as_str().expect("a job").to_owned();
    assert_eq!(world.run(&["jobs", "cancel", &job]).code(), 0);
    eventually_or("the next job", DEADLINE, || {
        let state = shown(&world, "slow");
        if state["made"] == 2 && state["last_job"] != json!(job) { Ok(()) } else { Err(state) }
    });
}

/// The nominal times of the jobs in the stream, by their definitions.
fn made(world: &World) -> BTreeMap<String, Vec<u64>> {
    let mut made = BTreeMap::<String, Vec<u64>>::new();
    let reply = world.redis.command(&["XRANGE", &world.queue().key("jobs"), "-", "+"]);
    for entry in reply.array() {
        let fields = entry.array()[1].array();
        let at = fields.iter().position(|field| field.text() == "headers").expect("headers");
        let headers: Value = serde_json::from_slice(fields[at + 1].bytes()).expect("JSON");
        let text = |name: &str| headers[name].as_str().expect("a text").to_owned();
        made.entry(text("postrider-cron")).or_default().push(seconds(&text("postrider-tick")));
    }
    made
}

/// How many workers are killed; `CRON_KILLS` for more.
fn kills() -> usize {
    std::env::var("CRON_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

/// The queue is paused, so all jobs stay where they can be counted. With twenty definitions that are due at the same time, some
/// workers die while they make jobs.
#[test]
fn kills_of_workers_lose_and_double_no_tick() {
    let world = World::new(BUILD);
    assert_eq!(world.run(&["queues", "pause", "default"]).code(), 0);
    let names: Vec<String> = (0..20).map(|number| format!("beat-{number}")).collect();
    let all: String =
        names.iter().map(|name| each_second(name, &world.sink.url("/ok"), "catch_up = \"all\"")).collect();
    applied(&world, &all);
    let start = || Postrider::worker(BUILD, &world.redis, &[], &[]);
    let mut workers = [start(), start()];
    for kill in 0..kills() {
        unless_interrupted(Duration::from_millis(100 + 37 * kill as u64 % 300));
        workers[kill % 2].kill();
        workers[kill % 2] = start();
    }
    let until = made(&world).into_values().flatten().max().unwrap_or(0) + 3;
    eventually_or("ticks of all definitions after the last kill", DEADLINE, || {
        let made = made(&world);
        let late = names.iter().find(|name| made.get(*name).and_then(|ticks| ticks.last()) < Some(&until));
        late.map_or(Ok(()), |name| {
            Err(format!("{name}: {:?}", made.get(name).and_then(|ticks| ticks.last())))
        })
    });
    for (name, ticks) in made(&world) {
        let once: BTreeSet<u64> = ticks.iter().copied().collect();
        assert!(once.len() == ticks.len() && has_no_gap(&once), "{name}: {ticks:?}");
    }
}

/// Sets the next tick of a definition back, as after an outage of a minute.
fn outage(world: &World, name: &str) {
    let next = shown(world, name)["next_at"].as_u64().expect("a tick") - 60 * SECOND;
    let queue = world.queue();
    world.redis.command(&["HSET", &queue.key("cron"), &format!("n:{name}"), &next.to_string()]);
    world.redis.command(&["ZADD", &queue.key("cron_due"), &next.to_string(), name]);
}

#[test]
fn missed_ticks_make_one_job_or_all_or_none() {
    let world = World::new(BUILD);
    assert_eq!(world.run(&["queues", "pause", "default"]).code(), 0);
    let of =
        |catch_up: &str| each_second(catch_up, &world.sink.url("/ok"), &format!("catch_up = \"{catch_up}\""));
    applied(&world, &["one", "all", "none"].map(of).concat());
    ["one", "all", "none"].iter().for_each(|name| outage(&world, name));
    let _worker = Postrider::worker(BUILD, &world.redis, &[], &[]);
    let states = eventually_or("all definitions", DEADLINE, || {
        let states = ["one", "all", "none"].map(|name| shown(&world, name));
        let is_late = states.iter().any(|state| state["made"] == 0);
        if is_late { Err(format!("{states:?}")) } else { Ok(states) }
    });
    let made = made(&world);
    let [one, all, none] = states.map(|state| state["missed"].as_u64().expect("a number"));
    // Those of the last ten seconds are only late.
    assert!((48..=52).contains(&one) && (48..=52).contains(&none) && all == 0, "{one} {none}");
    assert!(made["all"].len() >= 60 && has_no_gap(&made["all"].iter().copied().collect()), "{made:?}");
    assert!(made["one"].len() < 20 && made["none"].len() < 20, "{made:?}");
}

#[test]
fn a_cron_expression_makes_a_job_at_each_tick() {
    let world = World::new(BUILD);
    let _worker = world.worker(&[]);
    let text = format!(
        "[cron.beat]\nexpression = \"* * * * * *\"\ntime_zone = \"Europe/Berlin\"\njob = {{ url = \"{}\" }}\n",
        world.sink.url("/ok")
    );
    applied(&world, &text);
    let requests = world.sink.wait_for(4, DEADLINE);
    let ticks = ticks(&requests);
    assert!(ticks.len() == requests.len() && has_no_gap(&ticks), "{ticks:?}");
}

#[test]
fn a_definition_is_paused_run_and_resumed() {
    let world = World::new(BUILD);
    let _worker = world.worker(&[]);
    let two = format!(
        "{}{}",
        each_second("beat", &world.sink.url("/ok?beat"), ""),
        each_second("other", &world.sink.url("/ok?other"), "")
    );
    applied(&world, &two);
    world.sink.wait_for_path("/ok?beat", 1, DEADLINE);
    assert_eq!(world.run(&["cron", "pause", "beat"]).stdout, "beat: paused until it is resumed\n");
    // A definition that is applied again stays paused.
    applied(&world, &two.replace("/ok?beat", "/ok?changed"));
    assert!(shown(&world, "beat")["paused_since"].is_string());
    let (made, others) = (shown(&world, "beat")["made"].clone(), world.sink.requests_to("/ok?other").len());
    world.sink.wait_for_path("/ok?other", others + 3, DEADLINE);
    assert_eq!(
        (shown(&world, "beat")["made"].clone(), world.sink.requests_to("/ok?changed").len()),
        (made, 0)
    );
    assert!(world.run(&["cron", "run-now", "beat"]).stdout.starts_with("beat: job "));
    world.sink.wait_for_path("/ok?changed", 1, DEADLINE);
    assert_eq!(world.run(&["cron", "resume", "beat"]).stdout, "beat: resumed\n");
    world.sink.wait_for_path("/ok?changed", 3, DEADLINE);
    let audit = world.run(&["audit"]).stdout;
    for change in ["pause", "run_now", "resume", "apply"] {
        assert!(audit.contains(change), "{audit}");
    }
}

#[test]
fn a_wrong_file_is_refused_whole_with_every_error_and_its_line() {
    let world = World::new(BUILD);
    let good = each_second("good", "http://h/x", "");
    let output =
        apply(&world, &format!("{good}[cron.bad]\nevery = \"soon\"\njob = {{ url = \"nowhere\" }}\n"), &[]);
    assert_eq!(output.code(), 2, "{}", output.stdout);
    for part in ["nothing was applied", "line 7: cron.bad.every: ", "line 8: cron.bad.job.url: "] {
        assert!(output.stderr.contains(part), "{}", output.stderr);
    }
    assert_eq!(world.run(&["cron", "show", "good"]).code(), 1);
    for name in ["pause", "resume", "run-now", "remove", "show"] {
        let output = world.run(&["cron", name, "nosuch"]);
        assert_eq!(output.code(), 1);
        assert!(
            output.stderr.contains("there is no definition nosuch in queue default"),
            "{}",
            output.stderr
        );
    }
}
