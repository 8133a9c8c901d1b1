//! The client in Rust: the crate `postrider-queue`.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::process::{Build, Postrider};
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::wait::DEADLINE;
use postrider_queue::{Enqueuing, Fields, IdempotencyKey, JsonJob, NewJob, Publication, QueueName, Redis};
use serde_json::Value;
use telemetry::Telemetry;
use tokio::runtime::{Builder, Runtime};

use super::cases::{self, Case, Expected};
use super::text;

/// The limit of a job's fields.
const JOB_BYTES_MAX: usize = 4 << 20;

fn parsed(case: &Case) -> Result<JsonJob, (String, Option<String>)> {
    let job = JsonJob::parse(case.job.as_bytes(), JOB_BYTES_MAX);
    job.map_err(|error| (error.to_string(), error.field().map(str::to_owned)))
}

#[test]
fn rust_passes_the_cases() {
    let client = Client::connect();
    for case in cases::jobs().into_iter().filter(|case| case.is_for("rust")) {
        match (parsed(&case), &case.expected) {
            (Ok(job), Expected::Entry { fields, .. }) => {
                let pair = |(name, value): &(bytes::Bytes, bytes::Bytes)| {
                    (String::from_utf8_lossy(name).into_owned(), value.to_vec())
                };
                let mut own: e2e::queue::Fields = job.fields.iter().map(pair).collect();
                own.sort();
                assert!(own == *fields, "{}: {own:?}", case.name);
                client.enqueue("rust", job.fields, None);
            }
            (Err((error, named)), Expected::Refused { error: expected, field }) => {
                assert!(error.contains(expected), "{}: {error}", case.name);
                assert!(field.is_none() || named == *field, "{}: {error}", case.name);
            }
            (Ok(_), _) => panic!("{}: it is not refused", case.name),
            (Err((error, _)), _) => panic!("{}: {error}", case.name),
        }
    }
    super::the_worker_accepts("rust", Build::Lean, &client.server, "rust");
}

#[test]
fn rust_chooses_the_shards_of_the_cases() {
    let client = Client::connect();
    for (index, case) in cases::others("shards").iter().enumerate() {
        for (number, shard) in case["shards"].as_object().expect("shards by their number") {
            let queue = format!("keys-{index}-{number}");
            client.server.command(&["HSET", &key(&queue, 0, "meta"), "shards", number]);
            let job = client.enqueue(&queue, job(), Some(text(&case["key"])));
            assert_eq!(u64::from(job.shard), shard.as_u64().expect("a number"), "{case}");
        }
    }
}

#[test]
fn rust_follows_each_step_of_a_reshard() {
    reshard(|_| true, false);
}

/// A number of shards that was read a moment ago may be used: each job is enqueued once all the same, in whatever shard.
#[test]
fn rust_enqueues_once_by_a_number_of_shards_that_it_remembers() {
    // Other steps change what no program changes in a moment.
    let is_possible =
        |steps: &[Value]| steps.iter().all(|step| step.get("meta").is_none() && step.get("put").is_none());
    assert!(reshard(is_possible, true) > 2);
}

/// Runs scenarios, and returns how many.
fn reshard(is_for: impl Fn(&[Value]) -> bool, remembers: bool) -> usize {
    let cases = cases::others("reshard");
    let scenarios = cases.iter().map(|case| case["steps"].as_array().expect("steps"));
    let scenarios: Vec<_> = scenarios.filter(|steps| is_for(steps)).collect();
    for (index, steps) in scenarios.iter().enumerate() {
        let (client, queue) = (Client::connect(), format!("reshard-{index}"));
        let mut scenario = Scenario { client, queue, jobs: BTreeMap::new(), remembers };
        steps.iter().for_each(|step| scenario.run(step));
    }
    scenarios.len()
}

struct Client {
    server: RedisServer,
    redis: Redis,
    runtime: Runtime,
}

impl Client {
    fn connect() -> Client {
        let (server, runtime) = (RedisServer::start(), Builder::new_current_thread().enable_all().build());
        let runtime = runtime.expect("a runtime");
        let redis = runtime.block_on(producer(&server));
        Client { server, redis, runtime }
    }

    fn enqueue(&self, queue: &str, fields: Fields, own: Option<&str>) -> Publication {
        let how = Enqueuing { key: own.map(idempotency), cap: None };
        let name: QueueName = queue.parse().expect("a name");
        self.runtime.block_on(self.redis.enqueue(&name, fields, &how)).expect("it is enqueued")
    }
}

async fn producer(server: &RedisServer) -> Redis {
    Redis::connect(&server.url(), &Telemetry::global()).await.expect("Redis answers")
}

struct Scenario {
    client: Client,
    queue: String,
    jobs: BTreeMap<String, String>,
    /// Whether the client may use numbers of shards that it read in an earlier step.
    remembers: bool,
}

impl Scenario {
    fn run(&mut self, step: &Value) {
        if !self.remembers {
            self.client.redis = self.client.runtime.block_on(producer(&self.client.server));
        }
        let member = |name: &str| step.get(name);
        if let Some(number) = member("shards") {
            self.reshard(&number.to_string());
        } else if let Some(meta) = member("meta") {
            let Reply::Array(time) = self.client.server.command(&["TIME"]) else { panic!("a time") };
            let now = format!("{}000", time[0].text());
            for (field, value) in meta.as_object().expect("fields") {
                let value = text(value).replace("NOW", &now);
                self.client.server.command(&["HSET", &key(&self.queue, 0, "meta"), field, &value]);
            }
        } else if let Some(put) = member("put") {
            let hour = ["PX", "3600000"];
            self.client
                .server
                .command(&[&["SET", &self.key_of(put), text(&put["value"])], &hour[..]].concat());
        } else if let Some(held) = member("holds") {
            if self.remembers {
                return;
            }
            let found = self.client.server.command(&["GET", &self.key_of(held)]).text();
            assert_eq!(found, text(&held["value"]), "{step}");
        } else if let Some(own) = member("enqueue") {
            let job = self.client.enqueue(&self.queue, ordered(&step["order"]), Some(text(own)));
            self.check(step, &job, &step["shard"], &step["known"], &step["job"]);
        } else {
            self.enqueue_many(step);
        }
    }

    fn enqueue_many(&mut self, step: &Value) {
        let keys = step["enqueue_many"].as_array().unwrap_or_else(|| panic!("an unknown step: {step}"));
        let new = |(index, own): (usize, &Value)| NewJob {
            fields: ordered(&step["order"][index]),
            key: own.as_str().map(idempotency),
        };
        let name: QueueName = self.queue.parse().expect("a name");
        let all = self.client.redis.enqueue_all(&name, keys.iter().enumerate().map(new).collect());
        let all = self.client.runtime.block_on(all).expect("all are enqueued");
        assert_eq!(all.len(), keys.len());
        for (index, job) in all.iter().enumerate() {
            self.check(step, job, &step["shard"][index], &step["known"][index], &step["jobs"][index]);
        }
    }

    fn check(&mut self, step: &Value, job: &Publication, shard: &Value, known: &Value, name: &Value) {
        let is_there = |shard| shard == u64::from(job.shard);
        assert!(self.remembers || shard.as_u64().is_none_or(is_there), "{step}: {job:?}");
        assert_eq!(Some(job.known), known.as_bool(), "{step}: {job:?}");
        let id = job.entry.to_string();
        let first = match step.get("job_id") {
            Some(expected) => text(expected).to_owned(),
            None => self.jobs.entry(text(name).to_owned()).or_insert_with(|| id.clone()).clone(),
        };
        assert_eq!(id, first, "{step}");
    }

    fn reshard(&self, number: &str) {
        let arguments = ["queues", "shards", &self.queue, number];
        let url = self.client.server.url();
        let output = Postrider::run(Build::Lean, &arguments, &[("POSTRIDER_REDIS_URL", &url)], DEADLINE);
        assert_eq!(output.code(), 0, "{output:?}");
    }

    fn key_of(&self, step: &Value) -> String {
        let what = format!("key:{}", text(&step["key"]));
        key(&self.queue, step["shard"].as_u64().expect("a shard"), &what)
    }
}

fn key(queue: &str, shard: u64, what: &str) -> String {
    match shard {
        0 => format!("postrider:{{{queue}}}:{what}"),
        shard => format!("postrider:{{{queue}/{shard}}}:{what}"),
    }
}

fn idempotency(own: &str) -> IdempotencyKey {
    IdempotencyKey { key: own.to_owned(), ttl: Duration::from_secs(3600) }
}

fn job() -> Fields {
    vec![("url".into(), "http://sink.test/x".into())]
}

/// A job with an order key, if there is one.
fn ordered(key: &Value) -> Fields {
    let key = key.as_str().map(|key| ("order".into(), key.to_owned().into()));
    job().into_iter().chain(key).collect()
}
