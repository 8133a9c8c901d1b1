//! What flows that hang, or jobs that always fail, cost the others.

use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait;

use crate::arguments::Arguments;
use crate::summary::{Rows, Summary};

/// How long each measurement takes, and the window in which the worst share is looked for.
const TIME: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(5);
/// How often good jobs come in all, where they are not the question.
const PAUSE: Duration = Duration::from_millis(10);

/// The good jobs of one measurement: which share was delivered in the worst window, and how long they took.
struct Measured {
    share: f64,
    /// In milliseconds.
    p50: f64,
    /// In milliseconds.
    p99: f64,
}

/// Rounds alternate between the variants, so that a busy machine slows all alike; the table has medians.
pub(crate) fn run(arguments: &Arguments) -> Rows {
    let mut rows = Rows::new(&["good jobs", "beside", "worst 5 s", "p50 ms", "p99 ms", "p99 ratio"]);
    for healthy in [1, 100] {
        let hanging = [0, 1, 100, 1000];
        let names = hanging.map(|hanging| format!("{hanging} flows that hang"));
        let measured = alternating(arguments.rounds, &hanging, |hanging| beside_hanging(healthy, *hanging));
        add(&mut rows, &format!("100/s to {healthy} flows"), &names, &measured);
    }
    for a_second in [1, 10, 40] {
        let paths = ["/ok?bad", "/hang", "/status/503"];
        let names = ["10 % more", "10 % that hang", "10 % that get 503"].map(str::to_owned);
        let measured = alternating(arguments.rounds, &paths, |path| among_poisonous(a_second, path));
        add(&mut rows, &format!("{a_second}/s to one flow"), &names, &measured);
    }
    rows
}

/// Measures each variant once a round.
fn alternating<T>(rounds: usize, variants: &[T], measure: impl Fn(&T) -> Measured) -> Vec<Vec<Measured>> {
    let mut measured: Vec<Vec<Measured>> = variants.iter().map(|_| vec![]).collect();
    for _ in 0..rounds {
        for (variant, measured) in variants.iter().zip(&mut measured) {
            measured.push(measure(variant));
        }
    }
    measured
}

/// Adds a row for each variant. The first one is what the others are compared with.
fn add(rows: &mut Rows, jobs: &str, names: &[String], measured: &[Vec<Measured>]) {
    let of = |rounds: &[Measured], value: fn(&Measured) -> f64| Summary::of(rounds.iter().map(value));
    let alone = of(&measured[0], |one| one.p99).median;
    for (name, rounds) in names.iter().zip(measured) {
        let p99 = of(rounds, |one| one.p99);
        rows.rows.push(vec![
            jobs.to_owned(),
            name.clone(),
            of(rounds, |one| one.share).text(2),
            of(rounds, |one| one.p50).text(1),
            p99.text(1),
            format!("{:.2}", p99.median / alone),
        ]);
        eprintln!("{:?}", rows.rows.last());
    }
}

/// Good jobs to flows that answer, in turn, beside flows that hang and get six jobs each.
fn beside_hanging(healthy: usize, hanging: usize) -> Measured {
    let (redis, good, dead) = (RedisServer::start(), Sink::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = worker(&redis);
    let send = |number: usize| {
        let url = good.url(&format!("/ok?{number}"));
        queue.enqueue(&[("url", url.as_str()), ("flow", &format!("good-{}", number % healthy))]);
    };
    // All good flows have answered before.
    (0..healthy).for_each(send);
    good.wait_for(healthy, wait::DEADLINE);
    for number in 0..6 * hanging {
        queue.enqueue(&[
            ("url", dead.url("/hang").as_str()),
            ("flow", &format!("hanging-{}", number % hanging)),
        ]);
    }
    // A queue is read in order: good jobs behind this burst would wait until it has been read, whatever becomes of it.
    wait::eventually("the burst is read", wait::DEADLINE, || {
        (queue.depth() <= queue.pending()).then_some(())
    });
    let sent = steadily(PAUSE, |number| send(healthy + number));
    measured(&good, &sent, |number| format!("/ok?{}", healthy + number))
}

/// Good jobs of a flow, with a job that always fails after each ninth.
fn among_poisonous(a_second: u32, path: &str) -> Measured {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = worker(&redis);
    let sent = steadily(Duration::from_secs(1) / a_second, |number| {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
        if number % 9 == 0 {
            queue.enqueue(&[("url", sink.url(path))]);
        }
    });
    measured(&sink, &sent, |number| format!("/ok?{number}"))
}

fn worker(redis: &RedisServer) -> Postrider {
    let arguments = ["--concurrency", "64", "--timeout", "10s", "--shutdown-timeout", "0s"];
    Postrider::ready_worker(Build::Lean, redis, &arguments, &[])
}

/// Enqueues a job each `pause`. Returns when each was enqueued.
fn steadily(pause: Duration, enqueue: impl Fn(usize)) -> Vec<Instant> {
    let (start, mut sent) = (Instant::now(), vec![]);
    while start.elapsed() < TIME {
        sent.push(Instant::now());
        enqueue(sent.len() - 1);
        let next = start + pause * u32::try_from(sent.len()).unwrap_or(u32::MAX);
        wait::unless_interrupted(next.saturating_duration_since(Instant::now()));
    }
    sent
}

/// When each good job arrived first.
fn arrivals(sink: &Sink, jobs: usize, path: impl Fn(usize) -> String) -> Vec<Option<Instant>> {
    let requests = sink.requests();
    let first: std::collections::HashMap<&str, Instant> =
        requests.iter().rev().map(|request| (request.path.as_str(), request.arrived)).collect();
    (0..jobs).map(|number| first.get(path(number).as_str()).copied()).collect()
}

fn measured(sink: &Sink, sent: &[Instant], path: impl Fn(usize) -> String) -> Measured {
    // The last ones may still be held. One that has not arrived by then counts as the whole time.
    let end = Instant::now() + WINDOW;
    let mut arrived = arrivals(sink, sent.len(), &path);
    while arrived.iter().any(Option::is_none) && Instant::now() < end {
        wait::unless_interrupted(PAUSE);
        arrived = arrivals(sink, sent.len(), &path);
    }
    let begins = (0..=(TIME - WINDOW).as_secs()).map(|second| sent[0] + Duration::from_secs(second));
    let share = begins.map(|begin| {
        let within = |at: &Instant| *at >= begin && *at < begin + WINDOW;
        let expected = sent.iter().filter(|at| within(at)).count();
        arrived.iter().flatten().filter(|at| within(at)).count() as f64 / expected.max(1) as f64
    });
    let mut took: Vec<Duration> = sent
        .iter()
        .zip(&arrived)
        .map(|(sent, arrived)| arrived.map_or(TIME, |arrived| arrived.saturating_duration_since(*sent)))
        .collect();
    took.sort_unstable();
    let millis = |at: usize| took[at].as_secs_f64() * 1000.0;
    Measured {
        share: share.fold(1.0, f64::min),
        p50: millis(took.len() / 2),
        p99: millis((took.len() - 1) * 99 / 100),
    }
}
