//! What it costs to enqueue many jobs at once, in a request to the console and by the library.

use std::process::{Command, Stdio};
use std::time::Instant;

use e2e::drain::{self, STREAM, command};
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use fred::prelude::{Builder, ClientLike, Config, StreamsInterface};
use postrider_queue::{Fields, NewJob, QueueName, Redis};
use telemetry::Telemetry;

use crate::arguments::Arguments;
use crate::enqueue::{BUILDS, TIME, URL, body, console, in_turn, ratios};
use crate::http_load::{load, post};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// Jobs of one request, and of one call of `enqueue_all`.
const BATCH: usize = 5_000;

/// A way to enqueue many jobs.
#[derive(Clone, Copy)]
enum Way {
    /// The reference: a pipeline of XADD, which checks nothing.
    Pipeline,
    Library,
    /// `postrider send --from`.
    File,
    Console(usize),
}

const WAYS: [(Way, &str); 5] = [
    (Way::Pipeline, "XADD in a pipeline"),
    (Way::Library, "enqueue_all"),
    (Way::File, "send --from, lean"),
    (Way::Console(0), "NDJSON to the console, lean"),
    (Way::Console(1), "NDJSON to the console, otel off"),
];

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let line = format!("{{\"url\":\"{URL}\",\"body\":\"{}\"}}\n", body());
    let file = TextFile::new(&line.repeat(arguments.jobs));
    let request = post("/v1/queues/default/jobs", "application/x-ndjson", &line.repeat(BATCH));
    let consoles = BUILDS.map(|(build, _)| console(build, redis));
    let mut rates = WAYS.map(|_| vec![]);
    for round in 0..arguments.rounds {
        for index in in_turn(round, WAYS.len()) {
            command(&mut redis.connect(), &["FLUSHALL"]);
            let (way, name) = WAYS[index];
            let rate = match way {
                Way::Pipeline => pipeline(redis),
                Way::Library => library(redis),
                Way::File => send_from(redis, &file, arguments.jobs),
                Way::Console(index) => load(consoles[index].1, &request, 1, TIME).per_second * BATCH as f64,
            };
            eprintln!("round {} of {}: {name}: {rate:.0} jobs/s", round + 1, arguments.rounds);
            rates[index].push(rate);
        }
    }
    command(&mut redis.connect(), &["FLUSHALL"]);
    let mut rows = Rows::new(&["", "jobs/s", "to XADD", "to enqueue_all"]);
    for ((_, name), own) in WAYS.iter().zip(&rates) {
        let rate = Summary::of(own.iter().copied());
        rows.rows.push(vec![
            (*name).to_owned(),
            rate.text(0),
            ratios(own, &rates[0]).text(2),
            ratios(own, &rates[1]).text(2),
        ]);
    }
    rows
}

fn pipeline(redis: &RedisServer) -> f64 {
    block_on(async {
        let config = Config::from_url(&redis.url()).expect("the address of a server");
        let client =
            Builder::from_config(config).build().expect("a client needs no more than its configuration");
        client.init().await.expect("Redis answers");
        let body = body();
        let rate = per_second(async || {
            let pipeline = client.pipeline();
            for _ in 0..BATCH {
                let fields = vec![("url", URL), ("body", &body)];
                let queued: Result<(), _> = pipeline.xadd(STREAM, false, None, "*", fields).await;
                queued.expect("a pipeline takes commands");
            }
            let ids: Vec<String> = pipeline.all().await.expect("Redis takes the jobs");
            assert_eq!(ids.len(), BATCH);
        });
        let rate = rate.await;
        client.quit().await.expect("a connection can be closed");
        rate
    })
}

fn library(redis: &RedisServer) -> f64 {
    block_on(async {
        let producer = Redis::connect(&redis.url(), &Telemetry::disabled()).await.expect("Redis answers");
        let name: QueueName = "default".parse().expect("a name of a queue");
        let fields: Fields = vec![("url".into(), URL.into()), ("body".into(), body().into())];
        let jobs: Vec<NewJob> = vec![NewJob::from(fields); BATCH];
        let rate = per_second(async || {
            producer.enqueue_all(&name, jobs.clone()).await.expect("Redis takes the jobs");
        });
        let rate = rate.await;
        producer.close().await;
        rate
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime needs no more than a few file descriptors").block_on(work)
}

/// The jobs that one caller enqueues in a second, [`BATCH`] in a call.
async fn per_second(enqueue: impl AsyncFn()) -> f64 {
    let (began, mut measured) = (Instant::now(), None::<(Instant, usize)>);
    loop {
        enqueue().await;
        match &mut measured {
            Some((_, batches)) => *batches += 1,
            None if began.elapsed() > TIME / 5 => measured = Some((Instant::now(), 0)),
            None => {}
        }
        if let Some((since, batches)) = measured
            && began.elapsed() >= TIME
        {
            return (batches * BATCH) as f64 / since.elapsed().as_secs_f64();
        }
    }
}

/// From the start of the program to its end.
fn send_from(redis: &RedisServer, file: &TextFile, jobs: usize) -> f64 {
    let began = Instant::now();
    let sent = Command::new(Variant::Lean.program())
        .args(["send", "--redis-url", &redis.url(), "--from", file.path()])
        .stdout(Stdio::null())
        .status();
    let rate = jobs as f64 / began.elapsed().as_secs_f64();
    assert!(sent.expect("the program can be started").success());
    assert_eq!(drain::left(&mut redis.connect()), jobs);
    rate
}
