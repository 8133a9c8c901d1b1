//! The steps of a job that need neither Redis nor a destination: `cargo bench -p postrider-worker`.

#[path = "parts/telemetry.rs"]
mod of_telemetry;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use postrider_queue::job::Job;
use postrider_queue::job::{Delivery, EntryId, Fields, Lease};
use postrider_worker::internals::InFlight;
use postrider_worker::internals::RetryPolicy;
use postrider_worker::internals::{Answer, Circumstances, Outcome, SendResult};

fn main() {
    divan::main();
}

fn delivery(fields: &[(&'static str, &'static str)]) -> Delivery {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let fields: Fields = fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
    Delivery::new(lease(3), fields)
}

fn lease(sequence: u64) -> Lease {
    let entry = EntryId { millis: 1_795_396_101_000, sequence };
    Lease { entry, delivery: 1, epoch: 0 }
}

#[divan::bench]
fn decode_the_smallest_job(bencher: divan::Bencher) {
    let delivery = delivery(&[("url", "http://127.0.0.1:8080/hook"), ("body", "hello")]);
    bencher.bench(|| Job::decode(black_box(&delivery)));
}

#[divan::bench]
fn decode_a_job_with_headers_and_context(bencher: divan::Bencher) {
    let delivery = delivery(&[
        ("url", "https://example.org/hook?a=b"),
        ("method", "PUT"),
        ("headers", r#"{"content-type":"application/json","x-two":["a","b"]}"#),
        ("body", r#"{"hello":"world"}"#),
        ("timeout_ms", "5000"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]);
    bencher.bench(|| Job::decode(black_box(&delivery)));
}

#[divan::bench(args = [200, 404, 503])]
fn judge(bencher: divan::Bencher, status: u16) {
    let policy = RetryPolicy::default();
    let result = SendResult::Answer(Answer { status, ..Answer::default() });
    let at =
        Circumstances { number: 1, max_attempts: None, age: Duration::from_secs(1), left: None, random: 0.5 };
    bencher.bench(|| Outcome::judge(black_box(&result), &policy, &at));
}

/// The worker's part of the settlement of a group of jobs, without Redis.
#[divan::bench(args = [1, 28, 256])]
fn settle_a_group(bencher: divan::Bencher, jobs: u64) {
    let deliveries: Vec<Arc<Delivery>> =
        (0..jobs).map(|job| Arc::new(Delivery::new(lease(job), Fields::new()))).collect();
    let (in_flight, now) = (InFlight::default(), Instant::now());
    bencher.counter(jobs).bench_local(|| {
        for delivery in &deliveries {
            in_flight.take(delivery, now);
        }
        let mut done: Vec<Lease> = deliveries.iter().rev().map(|delivery| delivery.lease).collect();
        done.sort_unstable_by_key(|lease| lease.entry);
        let held: Vec<Lease> = done.into_iter().filter_map(|lease| in_flight.current(lease)).collect();
        held.into_iter().filter(|lease| in_flight.remove(*lease)).count()
    });
}
