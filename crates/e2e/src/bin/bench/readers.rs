//! What a console with readers costs a worker: the processor time of the worker's own thread for a job, with a console in the
//! same process or in another one, and without.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2e::drain::{self, STREAM};
use e2e::http_call;
use e2e::process::{Build, Postrider};
use e2e::quick_sink::QuickSink;
use e2e::redis::{RedisServer, free_port};
use e2e::wait;

use crate::arguments::Arguments;
use crate::enqueue::{in_turn, ratios};
use crate::process;
use crate::running::PATIENCE;
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// Where the console is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    InTheWorker,
    Beside,
}

const PLACES: [(Place, &str); 3] = [
    (Place::Nowhere, "no console"),
    (Place::InTheWorker, "`worker --console` with ten readers"),
    (Place::Beside, "`postrider console` with ten readers"),
];
/// Half of the readers follow deliveries; the others read one of these each second.
const PAGES: [&str; 5] = ["/", "/queues/default", "/jobs?state=ready", "/dead", "/destinations"];
const PERIOD: Duration = Duration::from_secs(1);
/// Workers learn within a second that somebody follows deliveries.
const WARM_UP: Duration = Duration::from_secs(3);

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let mut costs: [Vec<[f64; 2]>; 3] = [const { vec![] }; 3];
    for round in 0..arguments.rounds {
        for index in in_turn(round, PLACES.len()) {
            let cost = once(PLACES[index].0, arguments, redis, sink);
            eprintln!("{}: {cost:.2?} µs/job", PLACES[index].1);
            costs[index].push(cost);
        }
    }
    drain::command(&mut redis.connect(), &["FLUSHALL"]);
    let mut rows =
        Rows::new(&["", "CPU µs/job, own thread", "to the first", "whole process", "to the first"]);
    let of = |index: usize, part: usize| -> Vec<f64> { costs[index].iter().map(|cost| cost[part]).collect() };
    for (index, (_, name)) in PLACES.iter().enumerate() {
        let mut row = vec![(*name).to_owned()];
        for part in [0, 1] {
            row.push(Summary::of(of(index, part)).text(2));
            row.push(ratios(&of(index, part), &of(0, part)).text(3));
        }
        rows.rows.push(row);
    }
    rows
}

/// The processor time of the worker's own thread, and of the whole process, in µs for each job.
fn once(place: Place, arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> [f64; 2] {
    let mut connection = redis.connect();
    let backlog = 8 * arguments.jobs;
    drain::preload(&mut connection, STREAM, &[sink.url()], backlog);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())).to_string();
    let in_worker = ["--console", &listen];
    let more: &[&str] = if place == Place::InTheWorker { &in_worker } else { &[] };
    let beside = (place == Place::Beside).then(|| {
        Postrider::console(Build::Lean, &["--redis-url", &redis.url()], &[("POSTRIDER_LOG", "info")])
    });
    let address =
        beside.as_ref().map_or_else(|| listen.parse().expect("an address"), |(_, address)| *address);
    let running = Variant::Lean.start_with(&redis.url(), arguments.in_flight.unwrap_or(64), more);
    let readers = (place != Place::Nowhere).then(|| Readers::start(address));
    wait::unless_interrupted(WARM_UP);
    let now = |left: usize| {
        let id = running.process();
        (left, process::thread_time(id), process::usage(id).time)
    };
    let first = now(drain::left(&mut connection));
    assert!(first.0 > arguments.jobs, "{} jobs are left after the warm-up: raise --jobs", first.0);
    let last = wait::eventually("the jobs are done", PATIENCE, || {
        let left = drain::left(&mut connection);
        (left + arguments.jobs <= first.0).then(|| now(left))
    });
    if let Some(readers) = readers {
        readers.stop();
    }
    let jobs = (first.0 - last.0) as f64;
    [(last.1 - first.1).as_secs_f64() * 1e6 / jobs, (last.2 - first.2).as_secs_f64() * 1e6 / jobs]
}

/// Five that follow deliveries, and five that read a page each second.
struct Readers {
    stop: Arc<AtomicBool>,
    /// What they have read: bytes of deliveries, and pages.
    read: Arc<[AtomicUsize; 2]>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    fn start(address: SocketAddr) -> Readers {
        let (stop, read) = (Arc::<AtomicBool>::default(), Arc::<[AtomicUsize; 2]>::default());
        let thread = |work: fn(SocketAddr, usize, &AtomicBool, &[AtomicUsize; 2]), number: usize| {
            let (stop, read) = (stop.clone(), read.clone());
            std::thread::spawn(move || work(address, number, &stop, &read))
        };
        let threads = (0..PAGES.len()).flat_map(|number| [thread(follow, number), thread(poll, number)]);
        let threads = threads.collect();
        Readers { stop, read, threads }
    }

    /// # Panics
    ///
    /// If they have read nothing: then nothing was measured.
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a reader does not panic"));
        let [deliveries, pages] = &*self.read;
        let (deliveries, pages) = (deliveries.load(Ordering::Relaxed), pages.load(Ordering::Relaxed));
        assert!(deliveries > 100_000 && pages >= 2 * PAGES.len(), "{deliveries} bytes, {pages} pages");
    }
}

/// Reads deliveries until it is stopped; begins again while the console does not listen yet.
fn follow(address: SocketAddr, _: usize, stop: &AtomicBool, read: &[AtomicUsize; 2]) {
    let mut bytes = vec![0; 64 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        let request = format!("GET /v1/tail HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        let mut is_open = stream.write_all(request.as_bytes()).is_ok();
        while is_open && !stop.load(Ordering::Relaxed) {
            match stream.read(&mut bytes) {
                Ok(0) => is_open = false,
                Ok(count) => drop(read[0].fetch_add(count, Ordering::Relaxed)),
                // Nothing has come for a moment.
                Err(_) => {}
            }
        }
    }
}

/// Reads a page once a second.
fn poll(address: SocketAddr, number: usize, stop: &AtomicBool, read: &[AtomicUsize; 2]) {
    let start = Instant::now() + PERIOD * u32::try_from(number).unwrap_or(0) / 5;
    for second in 0.. {
        while Instant::now() < start + PERIOD * second {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let page = http_call::exchange(address, "GET", PAGES[number], &[], b"", PATIENCE);
        if page.is_ok_and(|page| page.status == 200) {
            read[1].fetch_add(1, Ordering::Relaxed);
        }
    }
}
