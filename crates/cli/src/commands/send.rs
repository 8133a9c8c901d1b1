//! `postrider send`

mod batch;
mod check;
mod from;
mod lines;
mod report;

use std::error::Error;
use std::io::Read;
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use postrider_console::view::{instant, why_waiting};
use postrider_queue::admin::{Inspector, ShardName};
use postrider_queue::job::Fields;
use postrider_queue::{Enqueuing, IdempotencyKey, JobResult, Publication, QueueName, Redis};
use serde_json::{Map, Value, json};
use telemetry::Telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::jobs::state_text;
use super::limits::JobLimits;
use super::target::name;
use super::trace_url::TraceUrl;
use super::{RedisArgs, Usage};
use crate::units::{duration, some_time};
use from::FromArgs;
use report::Report;

/// What is taken for a method where there is no URL.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Enqueue a job; with --wait, print its outcome
///
/// With --from, each line of a file is a job: a JSON object with the job's fields. `url` is required, `headers` is an
/// object, `body` is text that is sent unchanged or any other JSON. A job with a `key` is enqueued once within
/// --key-ttl, so that such a file can be sent again without harm.
///
/// A file is checked whole before its first job is enqueued. A pipe cannot be read twice, so it is checked line by
/// line: jobs before a wrong line are enqueued then. An error in the middle names the --skip to continue with.
#[derive(Debug, Args)]
#[command(
    override_usage = "postrider send [OPTIONS] [METHOD] <URL>\n       postrider send [OPTIONS] --from <FILE>"
)]
pub(super) struct SendArgs {
    /// Method (default POST) and URL of the request
    #[arg(num_args = 1..=2, required_unless_present = "file", value_name = "[METHOD] URL")]
    target: Vec<String>,
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    redis: RedisArgs,
    #[command(flatten)]
    limits: JobLimits,
    /// Header of the request; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Body of the request; `@FILE` reads a file, `@-` reads standard input
    #[arg(short = 'd', long = "data", value_name = "DATA")]
    data: Option<String>,
    /// Queue
    #[arg(long, env = "POSTRIDER_QUEUE", default_value = "default", value_parser = name, value_name = "NAME")]
    queue: QueueName,
    /// Your own name for the job, shown to the destination and in the tools: printable ASCII without a blank
    #[arg(long)]
    label: Option<String>,
    /// Idempotency key: enqueue the job once, however often the command is repeated
    #[arg(long, value_parser = key, value_name = "KEY")]
    key: Option<String>,
    /// Time for which a key is remembered
    #[arg(long, default_value = "24h", value_parser = key_ttl, value_name = "DURATION")]
    key_ttl: Duration,
    /// Refuse if the queue contains this many jobs [default: no limit]
    #[arg(long, env = "POSTRIDER_QUEUE_CAP", value_parser = cap, value_name = "N")]
    cap: Option<NonZeroU64>,
    /// Name of a retry policy in the worker's configuration
    #[arg(long, value_name = "NAME")]
    retry: Option<String>,
    /// Order key: jobs of one key are attempted one after the other, in the order in which they were enqueued
    #[arg(long, value_name = "KEY")]
    order: Option<String>,
    /// Flow: jobs of one flow are limited together [default: the destination's host and port]
    #[arg(long, value_name = "KEY")]
    flow: Option<String>,
    /// Send the job after this time
    #[arg(long = "in", visible_alias = "delay", value_parser = duration, value_name = "DURATION")]
    delay: Option<Duration>,
    /// Send the job not before this time, RFC 3339: 2026-12-24T18:00:00Z, or 2026-12-24T19:00:00+01:00
    #[arg(long, value_parser = time, value_name = "TIME", conflicts_with = "delay")]
    at: Option<u64>,
    /// Deadline of each attempt [default: the worker's]
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Name of the secret that the worker signs the request with
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// URL that is called when the job has succeeded, or a JSON object with `url`, `method`, `headers`, `secret`
    #[arg(long, value_name = "URL")]
    on_success: Option<String>,
    /// The same for a job that is dead-lettered or cancelled
    #[arg(long, value_name = "URL")]
    on_failure: Option<String>,
    /// Maximum number of attempts [default: the worker's]
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// Wait until the job is delivered or dead, and print the outcome
    #[arg(long)]
    wait: bool,
    /// Longest time to wait; Ctrl-C ends the wait, too
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION")]
    wait_timeout: Duration,
    #[command(flatten)]
    trace_url: TraceUrl,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl SendArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        if let Some(file) = &self.from.file {
            return from::run(&self, file, telemetry).await;
        }
        let fields = self.fields()?;
        self.limits.check(&fields)?;
        let redis = Redis::connect(self.redis.url(), telemetry).await?;
        // From now on, Ctrl-C ends the wait: the job's id is printed all the same.
        let interrupted = self.wait.then(|| signal(SignalKind::interrupt())).transpose()?;
        let publication = redis.enqueue(&self.queue, fields, &self.enqueuing()).await?;
        let (mut outcome, mut result, mut why) = ("enqueued", None, None);
        if let Some(interrupted) = interrupted {
            result = self.wait(&redis, &publication, interrupted).await?;
            outcome = result
                .as_ref()
                .map_or("waiting", |result| if result.outcome == "succeeded" { "succeeded" } else { "dead" });
            if result.is_none() {
                why = self.state(&publication, telemetry).await;
            }
        }
        redis.close().await;
        let (queue, links) = (self.queue.to_string(), self.trace_url.links());
        let report = Report { publication, label: self.label, queue, outcome, result, why, links };
        if self.json {
            print_line!("{}", report.json());
        } else {
            print_line!("{}", report.text());
        }
        Ok(report.code())
    }

    fn enqueuing(&self) -> Enqueuing {
        let key = self.key.clone().map(|key| IdempotencyKey { key, ttl: self.key_ttl });
        Enqueuing { key, cap: self.cap }
    }

    fn fields(&self) -> Result<Fields, Usage> {
        let (method, url) = match self.target.as_slice() {
            [url, method] if url.contains("://") && !method.contains("://") => {
                return Err(Usage(format!("write the method before the URL: postrider send {method} …")));
            }
            [method, url] => (Some(method), url),
            [method] if METHODS.contains(&method.to_ascii_uppercase().as_str()) => {
                return Err(Usage(format!("the URL is missing: postrider send {method} https://…")));
            }
            [url, ..] => (None, url),
            [] => return Err(Usage("the URL is missing".to_owned())),
        };
        let mut fields = Fields::new();
        let mut push = |name: &'static str, value: Option<Bytes>| {
            fields.extend(value.map(|value| (Bytes::from_static(name.as_bytes()), value)));
        };
        let millis = |time: Duration| Bytes::from(time.as_millis().to_string());
        push("url", Some(Bytes::from(url.clone())));
        push("method", method.map(|method| method.clone().into()));
        push("headers", self.headers()?);
        push("body", self.body()?);
        push("label", self.label.clone().map(Bytes::from));
        push("delay_ms", self.delay.map(millis));
        push("not_before", self.at.map(|at| at.to_string().into()));
        push("timeout_ms", self.timeout.map(millis));
        push("order", self.order.clone().map(Bytes::from));
        push("flow", self.flow.clone().map(Bytes::from));
        push("secret", self.secret.clone().map(Bytes::from));
        push("retry", self.retry.clone().map(Bytes::from));
        push("on_success", self.on_success.clone().map(Bytes::from));
        push("on_failure", self.on_failure.clone().map(Bytes::from));
        push("max_attempts", self.max_attempts.map(|attempts| attempts.to_string().into()));
        // The result outlives the wait, so that the last poll finds it.
        let kept = self.wait.then(|| millis(self.wait_timeout + Duration::from_secs(60)));
        push("result_ttl_ms", kept);
        Ok(fields)
    }

    fn headers(&self) -> Result<Option<Bytes>, Usage> {
        if self.headers.is_empty() {
            return Ok(None);
        }
        let mut object = Map::new();
        for header in &self.headers {
            let (name, value) = header
                .split_once(':')
                // The error omits the text, which may hold a secret.
                .ok_or_else(|| Usage("a header has no colon; write -H 'name: value'".to_owned()))?;
            let values = object.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| json!([]));
            if let Value::Array(values) = values {
                values.push(value.trim().into());
            }
        }
        Ok(Some(Value::Object(object).to_string().into()))
    }

    fn body(&self) -> Result<Option<Bytes>, Usage> {
        match self.data.as_deref() {
            None => Ok(None),
            Some("@-") => {
                let mut body = Vec::new();
                std::io::stdin()
                    .read_to_end(&mut body)
                    .map_err(|error| Usage(format!("cannot read the body from standard input: {error}")))?;
                Ok(Some(body.into()))
            }
            Some(data) => match data.strip_prefix('@') {
                Some(path) => match std::fs::read(path) {
                    Ok(body) => Ok(Some(body.into())),
                    Err(error) => Err(Usage(format!("cannot read the body from {path}: {error}"))),
                },
                None => Ok(Some(data.to_owned().into())),
            },
        }
    }

    async fn wait(
        &self,
        redis: &Redis,
        job: &Publication,
        mut interrupted: Signal,
    ) -> Result<Option<JobResult>, Box<dyn Error>> {
        let (began, job_id) = (Instant::now(), job.entry.to_string());
        let queue = redis.producer_shard(&self.queue, job.shard);
        loop {
            let result = queue.result(&job_id).await?;
            if result.is_some() || began.elapsed() >= self.wait_timeout {
                return Ok(result);
            }
            // Poll quickly at first, for jobs that finish quickly.
            let pause = began.elapsed().clamp(Duration::from_millis(5), Duration::from_millis(200));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = interrupted.recv() => return Ok(None),
            }
        }
    }
}

impl SendArgs {
    /// The state of a job that is not done yet; `None` if it cannot be found out: that is no failure of the command.
    async fn state(&self, job: &Publication, telemetry: &Telemetry) -> Option<String> {
        let inspector = Inspector::connect(self.redis.url(), telemetry).await.ok()?;
        let shard = ShardName { queue: self.queue.clone(), number: job.shard };
        let found = inspector.find(&shard, &job.entry.to_string()).await.ok()?.jobs.into_iter().next()?;
        let now = inspector.now().await.ok()?;
        let why = why_waiting(&inspector, &found, now).await.ok()?;
        inspector.close().await;
        let state = state_text(&found, now);
        Some(why.map_or(state.clone(), |why| format!("{state}: {why}")))
    }
}

/// Unix milliseconds.
fn time(text: &str) -> Result<u64, &'static str> {
    instant(text).ok_or("this is no time; write 2026-12-24T18:00:00Z, or 2026-12-24T19:00:00+01:00")
}

fn cap(text: &str) -> Result<NonZeroU64, &'static str> {
    text.parse().map_err(|_| "write a number, at least 1; without --cap there is no limit")
}

fn key_ttl(text: &str) -> Result<Duration, String> {
    let ttl = some_time(text)?;
    if ttl > IdempotencyKey::TTL_MAX { Err("it must be at most 3650days".to_owned()) } else { Ok(ttl) }
}

fn key(text: &str) -> Result<String, &'static str> {
    IdempotencyKey::check(text).map(|()| text.to_owned())
}
