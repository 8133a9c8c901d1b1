//! Clients that are slow, silent or too many: they hold up neither the console nor the worker beside it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use e2e::http_call::exchange;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;
use serde_json::{Value, json};

use super::{BUILD, Console, JSON, NOWHERE};

const JOBS: usize = 200;
/// As many clients may follow deliveries.
const STREAMS: usize = 1_000;
/// Their bodies together are announced as four times the memory that the console uses for bodies.
const SLOW_BODIES: usize = 16;
const SLOW_HEADS: usize = 50;
const SILENT: usize = 50;

/// Connections that somebody keeps open to do harm.
struct Hostile {
    /// They send a byte now and then.
    slow: Vec<TcpStream>,
    /// They have asked for much, and read nothing.
    silent: Vec<TcpStream>,
}

fn connection(address: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.set_nonblocking(true).expect("an option");
    // What the console does not take, it does not need for the harm.
    let _ = stream.write(head.as_bytes());
    stream
}

impl Hostile {
    fn attack(address: SocketAddr) -> Hostile {
        let many =
            |number: usize, head: &str| (0..number).map(|_| connection(address, head)).collect::<Vec<_>>();
        let body = "POST /v1/queues/default/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                    content-length: 33554432\r\n\r\n";
        let mut slow = many(SLOW_BODIES, body);
        slow.extend(many(SLOW_HEADS, "GET /v1/queues HTTP/1.1\r\nhost: localhost\r\nx-slow: "));
        let read = "GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
        let mut silent = many(SILENT, &read);
        silent.extend(many(STREAMS, "GET /v1/tail HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        Hostile { slow, silent }
    }

    /// Each slow client sends a byte.
    fn trickle(&mut self) {
        self.slow.iter_mut().for_each(|stream| drop(stream.write(b" ")));
    }

    /// How many of the streams are refused.
    fn refused(&mut self) -> usize {
        let mut start = [0; 12];
        let streams = self.silent.iter().skip(SILENT);
        streams.filter(|stream| stream.peek(&mut start).is_ok() && start.ends_with(b"503")).count()
    }
}

/// A worker with a console beside it.
fn worker(world: &World) -> Console {
    let mut worker = world.worker(&["--console", "127.0.0.1:0"]);
    let line = worker.wait_for_log("serves the console", DEADLINE);
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    let address = line["address"].as_str().and_then(|address| address.parse().ok());
    Console { process: worker, address: address.expect("an address") }
}

/// Jobs are enqueued through the console, and delivered by the worker.
fn works(world: &World, console: &Console, hostile: &mut Hostile) {
    let before = world.sink.requests().len();
    let job = json!({"url": world.sink.url("/ok")});
    for number in 0..JOBS {
        if number % 20 == 0 {
            hostile.trickle();
        }
        let (status, answer) = console.post("/v1/queues/default/jobs", &job);
        assert_eq!(status, 201, "{answer}");
    }
    wait::eventually("all jobs are delivered", DEADLINE, || {
        hostile.trickle();
        (world.sink.requests().len() == before + JOBS).then_some(())
    });
}

#[test]
fn hostile_clients_hold_up_neither_the_console_nor_the_worker() {
    let mut world = World::new(BUILD);
    let console = worker(&world);
    let mut hostile = Hostile::attack(console.address);
    works(&world, &console, &mut hostile);
    assert_eq!(hostile.refused(), 0, "there are as many places as streams");
    let (status, problem) = console.get("/v1/tail");
    assert!(status == 503 && problem["detail"].as_str().is_some_and(|detail| detail.contains("too many")));
    world.redis.kill();
    hostile.trickle();
    assert_eq!(console.get("/readyz").0, 503);
    console.refuses(("GET", "/v1/queues", &[], ""), 503, "Redis");
    world.redis.restart();
    wait::eventually("Redis is back", DEADLINE, || {
        hostile.trickle();
        (console.get("/v1/queues").0 == 200).then_some(())
    });
    works(&world, &console, &mut hostile);
}

/// As many connections as the console has places never send a whole head.
#[test]
fn slow_heads_keep_nobody_out() {
    const PLACES: usize = 2_048;
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let listening = connection(console.address, "GET /v1/tail HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let head = "GET /v1/queues HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
    let slow: Vec<TcpStream> = (0..PLACES).map(|_| connection(console.address, head)).collect();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(console.post("/v1/queues/default/jobs", &json!({"url": NOWHERE})).0, 201);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // The oldest ones made room, and no connection with a request.
    let is_open = |stream: &TcpStream| matches!(stream.peek(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    assert!(!is_open(&slow[0]) && is_open(&slow[PLACES - 1]));
    let mut start = [0; 12];
    wait::eventually("the stream begins", DEADLINE, || listening.peek(&mut start).is_ok().then_some(()));
    assert!(start.ends_with(b"200"));
}

#[test]
fn what_is_too_large_is_refused() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let long = "x".repeat(20_000);
    let head = exchange(console.address, "GET", "/v1/queues", &[("x-long", &long)], b"", DEADLINE);
    assert_eq!(head.expect("an answer").status, 431);
    let announced = [JSON, ("content-length", "99999999999")];
    console.refuses(("POST", "/v1/queues/default/jobs", &announced, ""), 413, "too large");
    // A body without an announced length.
    let mut stream = TcpStream::connect(console.address).expect("a connection");
    let head = "POST /v1/dead/replay HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("4e20\r\n{}\r\n", " ".repeat(20_000));
    stream.write_all(head.as_bytes()).expect("it is sent");
    // The console may answer and close before all of it has arrived.
    let _ = (0..20).try_for_each(|_| stream.write_all(chunk.as_bytes()));
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(console.post("/v1/queues/default/jobs", &json!({"url": NOWHERE})).0, 201);
}
