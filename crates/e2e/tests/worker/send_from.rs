//! Tests of `postrider send --from`: each job of a file is enqueued once; an error reports which jobs are enqueued.

use std::collections::HashSet;
use std::io::Write;

use e2e::process::{Build, Output, Postrider, Signal};
use e2e::proxy::{Mode, Proxy};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;
use serde_json::{Value, json};

e2e::in_both_builds!(
    each_job_of_a_file_arrives_once,
    jobs_are_spread_over_the_shards,
    a_wrong_line_is_named_and_no_job_is_enqueued,
    the_lines_of_a_pipe_before_a_wrong_one_are_enqueued,
    a_pipe_that_stays_open_holds_up_no_job,
    a_pipe_that_stays_open_hides_no_error,
    an_interruption_reports_where_to_go_on,
    with_keys_a_file_can_be_sent_again,
    no_job_is_enqueued_beyond_the_cap,
    a_redis_that_becomes_full_reports_where_to_go_on,
    a_lost_reply_reports_which_jobs_may_be_in,
    options_of_one_job_are_refused_with_a_file,
);

/// Nothing listens on this port.
const NOWHERE: &str = "http://127.0.0.1:9/x";

fn file(lines: impl IntoIterator<Item = String>) -> TextFile {
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    TextFile::new(&text)
}

fn jobs(numbers: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = String> {
    numbers.map(|number| json!({"url": NOWHERE, "body": {"number": number}}).to_string())
}

fn send(build: Build, redis_url: &str, file: &TextFile, more: &[&str]) -> Output {
    let arguments = [&["send", "--from", file.path()], more].concat();
    Postrider::run(build, &arguments, &[("POSTRIDER_REDIS_URL", redis_url)], DEADLINE)
}

/// The number after `--skip` in an error.
fn to_skip(output: &Output) -> u64 {
    let (_, rest) = output.stderr.split_once("continue with --skip ").unwrap_or_else(|| panic!("{output:?}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number follows")
}

/// The numbers in the bodies of the jobs that are ready, in their order.
fn ready(redis: &RedisServer) -> Vec<u64> {
    let entries = redis.command(&["XRANGE", "postrider:{default}:jobs", "-", "+"]);
    let body = |fields: &[e2e::resp::Reply]| {
        let body =
            fields.chunks(2).find(|pair| pair[0].text() == "body").expect("the job has a body")[1].text();
        let body: Value = serde_json::from_str(&body).expect("the body is JSON");
        body["number"].as_u64().expect("the body has a number")
    };
    entries.array().iter().map(|entry| body(entry.array()[1].array())).collect()
}

fn each_job_of_a_file_arrives_once(build: Build) {
    let world = World::new(build);
    let sink = &world.sink;
    let job = |number: u32| {
        let (url, body) = (sink.url(&format!("/ok?{number}")), format!("{{ \"number\" : {number}.50 }}"));
        format!(r#"{{"url":"{url}","method":"PUT","headers":{{"x-number":"{number}"}},"body":{body},"v":1}}"#)
    };
    let output = send(build, &world.redis.url(), &file((1..=2000).map(job)), &[]);
    assert_eq!((output.code(), output.stdout.as_str()), (0, "2000 jobs enqueued in default\n"), "{output:?}");
    let _worker = world.worker(&[]);
    let requests = sink.wait_for(2000, DEADLINE);
    for request in &requests {
        let number = request.header("x-number").expect("the job has the header");
        let body = format!("{{ \"number\" : {number}.50 }}");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", &*format!("/ok?{number}")));
        assert_eq!(request.body, body);
    }
    let paths: HashSet<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    eventually_or("an empty queue", DEADLINE, || world.queue().drained());
    assert_eq!((paths.len(), sink.requests().len()), (2000, 2000));
}

fn jobs_are_spread_over_the_shards(build: Build) {
    let redis = RedisServer::start();
    redis.command(&["HSET", "postrider:{default}:meta", "shards", "4", "shards_before", "4"]);
    // 20 batches: not once in 10^11 do all of them meet in one shard.
    let output = send(build, &redis.url(), &file(jobs(1..=10_000)), &[]);
    assert_eq!(output.code(), 0, "{output:?}");
    let depths =
        ["default", "default/1", "default/2", "default/3"].map(|name| Queue::new(&redis, name).depth());
    assert_eq!(depths.iter().sum::<i64>(), 10_000);
    assert!(depths.iter().filter(|depth| **depth > 0).count() > 1, "{depths:?}");
}

fn a_wrong_line_is_named_and_no_job_is_enqueued(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let mut lines: Vec<String> = jobs(1..=1000).collect();
    lines[699] = r#"{"url":"http://h/","bdoy":"hunter2"}"#.to_owned();
    let output = send(build, &redis.url(), &file(lines.clone()), &["--json"]);
    assert_eq!((output.code(), output.stdout.as_str(), queue.depth()), (2, "", 0), "{output:?}");
    for part in ["1 line is wrong", "nothing was enqueued", "line 700: \"bdoy\" (did you mean body?)"] {
        assert!(output.stderr.contains(part) && !output.stderr.contains("hunter2"), "{part}: {output:?}");
    }
    lines[800..825].fill("{}".to_owned());
    let output = send(build, &redis.url(), &file(lines), &[]);
    assert_eq!((output.code(), queue.depth()), (2, 0));
    assert_eq!(output.stderr.matches("field `url` is missing").count(), 19, "20 are reported: {output:?}");
    assert!(output.stderr.contains("line 819: ") && output.stderr.contains("and 6 more"), "{output:?}");
}

fn the_lines_of_a_pipe_before_a_wrong_one_are_enqueued(build: Build) {
    let redis = RedisServer::start();
    let lines: Vec<String> = jobs(1..=700).chain(["{}".to_owned()]).chain(jobs(701..=1000)).collect();
    let pipe = |lines: &[String], skip: &str| {
        let arguments = ["send", "--from", "-", "--skip", skip, "--redis-url", &redis.url()];
        let (mut command, mut stdin) = Postrider::reading(build, &arguments, &[]);
        // It reads no more after the wrong line.
        let _ = stdin.write_all((lines.join("\n") + "\n").as_bytes());
        drop(stdin);
        (command.wait_exit(DEADLINE).code(), command.log().join("\n"))
    };
    let (code, log) = pipe(&lines, "0");
    assert_eq!((code, ready(&redis)), (Some(2), (1..=700).collect()), "{log}");
    assert!(log.contains("line 701: field `url` is missing"), "{log}");
    assert!(log.contains("700 jobs are enqueued; continue with --skip 700"), "{log}");
    assert_eq!(pipe(&lines, "701"), (Some(0), String::new()));
    assert_eq!(ready(&redis), (1..=1000).collect::<Vec<_>>());
}

fn a_pipe_that_stays_open_holds_up_no_job(build: Build) {
    let redis = RedisServer::start();
    let arguments = ["send", "--from", "-", "--redis-url", &redis.url()];
    let (mut command, mut stdin) = Postrider::reading(build, &arguments, &[]);
    for number in 1..=3 {
        let line: String = jobs(number..=number).collect();
        stdin.write_all((line + "\n").as_bytes()).expect("it reads on");
        eventually("the job is enqueued", DEADLINE, || {
            (ready(&redis).len() == number as usize).then_some(())
        });
    }
    assert_eq!(command.exited(), None);
    drop(stdin);
    assert_eq!(command.wait_exit(DEADLINE).code(), Some(0), "{:?}", command.log());
}

fn a_pipe_that_stays_open_hides_no_error(build: Build) {
    let redis = RedisServer::start();
    redis.command(&["SET", "postrider:{default}:jobs", "not a stream"]);
    let arguments = ["send", "--from", "-", "--redis-url", &redis.url()];
    let (mut command, mut stdin) = Postrider::reading(build, &arguments, &[]);
    let line: String = jobs(1..=1).collect();
    stdin.write_all((line + "\n").as_bytes()).expect("it reads");
    assert_eq!(command.wait_exit(DEADLINE).code(), Some(4));
    let log = command.log().join("\n");
    assert!(log.contains("Redis refuses line 1") && log.contains("nothing was enqueued"), "{log}");
    drop(stdin);
}

fn an_interruption_reports_where_to_go_on(build: Build) {
    let redis = RedisServer::start();
    let arguments = ["send", "--from", "-", "--redis-url", &redis.url()];
    let (mut command, mut stdin) = Postrider::reading(build, &arguments, &[]);
    let lines: String = jobs(1..=3).map(|line| line + "\n").collect();
    stdin.write_all(lines.as_bytes()).expect("it reads");
    eventually("the jobs are enqueued", DEADLINE, || (ready(&redis).len() == 3).then_some(()));
    command.signal(Signal::SIGINT);
    assert_eq!(command.wait_exit(DEADLINE).code(), Some(4));
    let log = command.log().join("\n");
    assert!(
        log.contains("interrupted") && log.contains("3 jobs are enqueued; continue with --skip 3"),
        "{log}"
    );
}

fn with_keys_a_file_can_be_sent_again(build: Build) {
    let redis = RedisServer::start();
    let job = |number: u32| {
        let mut job = json!({"url": NOWHERE, "body": {"number": number}});
        // Jobs without a key are between jobs with one.
        if !number.is_multiple_of(100) {
            job["key"] = number.into();
        }
        job.to_string()
    };
    let file = file((1..=1000).map(job));
    let first = send(build, &redis.url(), &file, &["--json"]);
    let report = json!({"queue": "default", "enqueued": 1000, "known": 0, "lines": 1000});
    assert_eq!((first.code(), first.json()), (0, report));
    assert_eq!(ready(&redis).iter().collect::<HashSet<_>>().len(), 1000);
    let again = send(build, &redis.url(), &file, &["--json"]);
    let report = json!({"queue": "default", "enqueued": 10, "known": 990, "lines": 1000});
    assert_eq!((again.code(), again.json()), (0, report));
    assert_eq!(ready(&redis).len(), 1010);
    let text = send(build, &redis.url(), &file, &["--key-ttl", "1h"]).stdout;
    assert_eq!(text, "10 jobs enqueued in default; 990 known by their keys, and not enqueued again\n");
}

fn no_job_is_enqueued_beyond_the_cap(build: Build) {
    let redis = RedisServer::start();
    let file = file(jobs(1..=20));
    let output = send(build, &redis.url(), &file, &["--cap", "7"]);
    assert_eq!((output.code(), ready(&redis)), (4, (1..=7).collect()), "{output:?}");
    assert!(output.stderr.contains("line 8: the queue is full"), "{output:?}");
    assert_eq!(to_skip(&output), 7);
}

fn a_redis_that_becomes_full_reports_where_to_go_on(build: Build) {
    let redis = RedisServer::start();
    // Sixteen calls of about 100 KB: more than one fits into Redis, and not all.
    let padding = "x".repeat(300);
    let job =
        |number: u32| json!({"url": NOWHERE, "body": {"number": number, "padding": padding}}).to_string();
    let file = file((1..=4000).map(job));
    let info = redis.command(&["INFO", "memory"]).text();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("INFO contains it");
    let used: u64 = used.trim().parse().expect("it is a number");
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.command(&["CONFIG", "SET", "maxmemory", &(used + 1_000_000).to_string()]);
    let output = send(build, &redis.url(), &file, &["--json"]);
    let skip = to_skip(&output);
    assert_eq!(output.code(), 4, "{output:?}");
    assert!(output.stderr.contains("OOM") && !output.stderr.contains("perhaps"), "{output:?}");
    assert!((1..4000).contains(&skip), "in the middle: {output:?}");
    assert_eq!(ready(&redis), (1..=skip).collect::<Vec<_>>(), "{output:?}");
    let report = json!({"queue": "default", "enqueued": skip, "known": 0, "lines": skip});
    assert_eq!(output.json(), report);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let rest = send(build, &redis.url(), &file, &["--skip", &skip.to_string()]);
    assert_eq!(rest.stdout, format!("{} jobs enqueued in default\n", 4000 - skip), "{rest:?}");
    assert_eq!(ready(&redis), (1..=4000).collect::<Vec<_>>());
}

fn a_lost_reply_reports_which_jobs_may_be_in(build: Build) {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port);
    proxy.set(Mode::LoseReplyTo(b"the-lost".to_vec()));
    let job = |number: u32| {
        let mark = if (1001..=1500).contains(&number) { "the-lost" } else { "" };
        json!({"url": NOWHERE, "body": {"number": number, "mark": mark}}).to_string()
    };
    let file = file((1..=2000).map(job));
    let output = send(build, &proxy.redis_url(), &file, &[]);
    let (skip, entered) = (to_skip(&output), ready(&redis).len() as u64);
    // Two calls of 250 jobs were under way.
    assert!(output.code() == 4 && [750, 1000].contains(&skip), "{output:?}");
    let named = format!("lines {} to 2000", skip + 1);
    assert!(output.stderr.contains(&named), "{output:?}");
    let named = format!("{skip} jobs are enqueued, and perhaps those lines, too");
    assert!(output.stderr.contains(&named), "{output:?}");
    assert!((1000..=1500).contains(&entered), "{entered}");
    assert_eq!(ready(&redis), (1..=entered).collect::<Vec<_>>());
    proxy.set(Mode::Pass);
    let rest = send(build, &proxy.redis_url(), &file, &["--skip", &skip.to_string()]);
    assert_eq!(rest.code(), 0, "{rest:?}");
    assert_eq!(ready(&redis), (1..=entered).chain(skip + 1..=2000).collect::<Vec<_>>());
}

fn options_of_one_job_are_refused_with_a_file(build: Build) {
    let redis = RedisServer::start();
    let file = file(jobs(1..=3));
    for one in [
        &["http://h/"][..],
        &["-d", "x"],
        &["-H", "a: b"],
        &["--wait"],
        &["--wait-timeout", "1s"],
        &["--label", "a"],
        &["--key", "a"],
        &["--in", "1s"],
        &["--at", "2026-12-24T18:00:00Z"],
        &["--timeout", "1s"],
        &["--retry", "a"],
        &["--flow", "a"],
        &["--secret", "a"],
        &["--max-attempts", "1"],
    ] {
        let output = send(build, &redis.url(), &file, one);
        assert!(output.stderr.contains("'--from <FILE>' cannot be used with"), "{one:?}: {output:?}");
        assert_eq!(output.code(), 2, "{one:?}");
    }
    for wrong in [&["send"][..], &["send", "--skip", "1"], &["send", "--skip", "1", NOWHERE]] {
        let output = Postrider::run(build, wrong, &[("POSTRIDER_REDIS_URL", &redis.url())], DEADLINE);
        assert_eq!(output.code(), 2, "{wrong:?}: {output:?}");
    }
    let only_a_method =
        Postrider::run(build, &["send", "post"], &[("POSTRIDER_REDIS_URL", &redis.url())], DEADLINE);
    assert!(only_a_method.stderr.contains("the URL is missing"), "{only_a_method:?}");
    let beyond = send(build, &redis.url(), &file, &["--skip", "4"]);
    assert!(beyond.code() == 2 && beyond.stderr.contains("has 3 lines"), "{beyond:?}");
    assert!(ready(&redis).is_empty());
}
