//! The parts of a job's way that need neither Redis nor a destination: `cargo bench -p postrider`.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use postrider::entry::{Delivery, EntryId, Fields, Lease};
use postrider::job::Job;
use postrider::outcome::{Answer, Circumstances, Ending, Outcome};
use postrider::retry::RetryPolicy;
use telemetry::{Context, SpanKind, Telemetry};

fn main() {
    divan::main();
}

fn delivery(fields: &[(&'static str, &'static str)]) -> Delivery {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let fields: Fields = fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
    let entry = EntryId { millis: 1_795_396_101_000, sequence: 3 };
    Delivery { lease: Lease { entry, delivery: 1, epoch: 0 }, fields }
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
    let ending = Ending::Answer(Answer { status, ..Answer::default() });
    let at =
        Circumstances { number: 1, max_attempts: None, age: Duration::from_secs(1), left: None, random: 0.5 };
    bencher.bench(|| Outcome::judge(black_box(&ending), &policy, &at));
}

#[divan::bench]
fn a_span_switched_off(bencher: divan::Bencher) {
    let telemetry = Telemetry::disabled();
    let parent = Context::none();
    bencher.bench(|| {
        let builder = black_box(&telemetry).span(SpanKind::Client, "POST").parent(black_box(&parent));
        builder.start(|attributes| attributes.set("http.request.method", "POST"))
    });
}

#[divan::bench]
fn a_measurement_switched_off(bencher: divan::Bencher) {
    let counter = Telemetry::disabled().counter("jobs", "{job}", "Jobs");
    bencher.bench(|| black_box(&counter).add(1, |attributes| attributes.set("queue", "default")));
}
