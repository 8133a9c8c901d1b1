//! Deliveries as they end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::wait::{self, DEADLINE};
use e2e::world::World;
use serde_json::{Value, json};

use super::{BUILD, Console, NOWHERE};

const TAIL: &str = "postrider:{default}:tail";
const CONTROL: &str = "postrider:{control}";

/// One listener.
struct Follower(BufReader<TcpStream>);

impl Follower {
    /// Asks for `/v1/tail` with these parameters, and reads the head of the answer and the first comment.
    fn start(console: &Console, parameters: &str) -> Follower {
        let mut stream = TcpStream::connect(console.address).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        write!(stream, "GET /v1/tail{parameters} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it is sent");
        let mut follower = Follower(BufReader::new(stream));
        assert!(follower.line().starts_with("HTTP/1.1 200"), "the status");
        while follower.line() != ": deliveries follow as they end" {}
        follower
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).expect("a line"), 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// The next delivery.
    fn next(&mut self) -> Value {
        let began = Instant::now();
        loop {
            // Comments arrive for ever.
            assert!(began.elapsed() < DEADLINE, "no delivery is followed");
            if let Some(data) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }

    /// Enqueues jobs to this address until one of them is followed.
    fn next_of(&mut self, world: &World, path: &str) -> Value {
        self.0.get_ref().set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        let mut seen = String::new();
        let found = wait::eventually("a delivery is followed", DEADLINE, || {
            world.queue().enqueue(&[("url", &*world.sink.url(path)), ("label", "order:7")]);
            // What was read before a timeout stays in `seen`.
            while self.0.read_line(&mut seen).is_ok_and(|read| read > 0) {
                let line = std::mem::take(&mut seen);
                if let Some(data) = line.strip_prefix("data: ") {
                    return Some(serde_json::from_str(data).expect("JSON"));
                }
            }
            None
        });
        self.0.get_ref().set_read_timeout(Some(DEADLINE)).expect("a timeout");
        found
    }
}

/// The first line of an answer. A stream that is served does not end, so nothing more is read.
fn status(console: &Console) -> String {
    let mut stream = TcpStream::connect(console.address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    write!(stream, "GET /v1/tail HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it is sent");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    line
}

fn length(world: &World) -> i64 {
    world.redis.command(&["XLEN", TAIL]).integer()
}

#[test]
fn deliveries_are_followed_as_they_end_and_nothing_is_recorded_unwatched() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let _worker = world.worker(&[]);
    world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!((length(&world), world.redis.command(&["EXISTS", CONTROL]).integer()), (0, 0));
    let mut all = Follower::start(&console, "");
    let first = all.next_of(&world, "/ok");
    let host = world.sink.address().to_string();
    assert_eq!(
        [
            &first["queue"],
            &first["host"],
            &first["status"],
            &first["outcome"],
            &first["attempts"],
            &first["label"]
        ],
        [&json!("default"), &json!(host), &json!(200), &json!("succeeded"), &json!(1), &json!("order:7")]
    );
    assert!(first["duration_ms"].is_u64() && first["ended_at"].as_u64().is_some_and(|at| at > 0), "{first}");
    // Filters.
    let mut failed = Follower::start(&console, "?status=4xx&queue=default&host=127.0.0.1");
    let mut elsewhere = Follower::start(&console, "?host=elsewhere.test");
    let job = world.queue().enqueue(&[("url", world.sink.url("/status/404"))]);
    let dead = failed.next();
    assert_eq!(
        [&dead["job_id"], &dead["status"], &dead["outcome"], &dead["reason"]],
        [&json!(job), &json!(404), &json!("dead"), &json!("final_status")]
    );
    while all.next()["job_id"] != json!(job) {}
    elsewhere.0.get_ref().set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    assert!(
        elsewhere.0.read_line(&mut String::new()).is_err() || !elsewhere.0.buffer().starts_with(b"event")
    );
    console.refuses(("GET", "/v1/tail?status=9xx", &[], ""), 400, "`status`");
    console.refuses(("GET", "/v1/tail?queue=a%20b", &[], ""), 400, "");
    // Once nobody follows any more, nothing is recorded.
    for follower in [&all, &failed, &elsewhere] {
        follower.0.get_ref().shutdown(Shutdown::Both).expect("the connection ends");
    }
    drop((all, failed, elsewhere));
    wait::eventually("nothing is recorded any more", DEADLINE, || {
        world.redis.command(&["HDEL", CONTROL, "tail"]);
        let before = length(&world);
        world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
        world.queue().wait_until_drained(DEADLINE);
        (length(&world) == before).then_some(())
    });
}

#[test]
fn with_a_delivery_log_deliveries_are_followed_there() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "[results]\nkeep = \"1d\"\n").expect("the file is written");
    let _worker = world.worker(&["--config", file.path().to_str().expect("a path")]);
    let mut follower = Follower::start(&console, "");
    assert_eq!(follower.next_of(&world, "/ok")["status"], 200);
    assert_eq!(length(&world), 0);
}

#[test]
fn a_client_learns_that_redis_refuses_to_have_jobs_recorded() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    world.redis.command(&["SET", CONTROL, "of another type"]);
    assert!(status(&console).starts_with("HTTP/1.1 503"));
}

#[test]
fn a_stop_ends_the_streams() {
    let world = World::new(BUILD);
    let mut console = Console::start(&world);
    let mut follower = Follower::start(&console, "");
    assert_eq!(console.process.stop().code(), Some(0));
    let mut rest = Vec::new();
    assert!(follower.0.read_to_end(&mut rest).is_ok(), "the stream ends in order");
    let log = console.process.log().join("\n");
    assert!(!log.contains("requests that have not ended are cut"), "{log}");
}

#[test]
fn a_thousand_streams_are_served_and_no_more() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let _worker = world.worker(&[]);
    let mut followers: Vec<Follower> = (0..1_000).map(|_| Follower::start(&console, "")).collect();
    assert!(status(&console).starts_with("HTTP/1.1 503"), "there is no place for more");
    assert_eq!(console.get("/v1/queues").0, 200, "other requests are served");
    assert_eq!(followers[0].next_of(&world, "/ok")["status"], 200);
    for follower in &mut followers[1..] {
        assert_eq!(follower.next()["status"], 200);
    }
    drop(followers.split_off(1));
    wait::eventually("the places are free again", DEADLINE, || {
        // The console notices that a client has gone when it sends to it.
        world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
        status(&console).starts_with("HTTP/1.1 200").then_some(())
    });
}

/// A command that is killed at the end of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_command_line_follows_deliveries_too() {
    let world = World::new(BUILD);
    let _worker = world.worker(&[]);
    let mut command = Command::new(BUILD.program());
    command.args(["tail", "--json", "--queue", "default", "--status", "200"]);
    command.env("POSTRIDER_REDIS_URL", world.redis.url()).stdout(Stdio::piped());
    let mut tail = Killed(command.spawn().expect("it starts"));
    let stdout = tail.0.stdout.take().expect("a pipe");
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let line = wait::eventually("a delivery is followed", DEADLINE, || {
        world.queue().enqueue(&[("url", NOWHERE), ("max_attempts", "1")]);
        world.queue().enqueue(&[("url", &world.sink.url("/ok"))]);
        lines.recv_timeout(Duration::from_millis(300)).ok()
    });
    let view: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&view["status"], &view["outcome"]), (&json!(200), &json!("succeeded")));
    drop((tail, lines));
    reader.join().expect("the reader ends");
}
