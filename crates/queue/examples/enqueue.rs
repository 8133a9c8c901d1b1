//! A producer in Rust: enqueues one job under an idempotency key, then many in few calls.
//!
//! `cargo run -p postrider-queue --example enqueue -- redis://127.0.0.1:6379 http://127.0.0.1:8080/`

use std::error::Error;
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use postrider_queue::{Enqueuing, Fields, IdempotencyKey, NewJob, QueueName, Redis};
use telemetry::Telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [redis_url, url] = arguments.as_slice() else {
        return Err("usage: enqueue REDIS_URL URL".into());
    };
    // Uses the program's own OpenTelemetry providers, if it has set any: then the job joins the current
    // trace.
    let redis = Redis::connect(redis_url, &Telemetry::global()).await?;
    let name: QueueName = "default".parse()?;

    let key = IdempotencyKey { key: "order-7".to_owned(), ttl: Duration::from_secs(3600) };
    let how = Enqueuing { key: Some(key), cap: NonZeroU64::new(1_000_000) };
    let job = redis.enqueue(&name, job(url, r#"{"order":7}"#), &how).await?;
    println!("{}{}", job.entry, if job.known { " existed already" } else { "" });

    let key = |number| IdempotencyKey { key: format!("order-{number}"), ttl: Duration::from_secs(3600) };
    let new = |number| NewJob { fields: job_number(url, number), key: Some(key(number)) };
    let many = (0..100).map(new).collect();
    println!("and {} more", redis.enqueue_all(&name, many).await?.len());
    redis.close().await;
    Ok(())
}

fn job(url: &str, body: &str) -> Fields {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    vec![(bytes("url"), bytes(url)), (bytes("body"), bytes(body))]
}

fn job_number(url: &str, number: u32) -> Fields {
    job(url, &format!(r#"{{"number":{number}}}"#))
}
