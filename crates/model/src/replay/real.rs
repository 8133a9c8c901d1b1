//! A real worker, a real Redis, and an operator and a producer who call the scripts as the model does.

use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider};
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::wait;

use super::destination::Destination;
use crate::calls::{Call, GROUP, MARK, Shard};
use crate::redis::{Bytes, Id};
use crate::world::{Answer, Event, FLOW_ID, JOBS, Pausable, Place, RESULT_MS, Seen, Shape, attempts};

/// How long the real world may take until it is where the model is.
const DEADLINE: Duration = Duration::from_secs(60);
/// What the worker is called with. A lease is short: a killed worker's jobs wait for it.
const ARGUMENTS: [&str; 10] = [
    "--queue",
    "m",
    "--lease",
    "1s",
    "--retry-base",
    "200ms",
    "--shutdown-timeout",
    "0s",
    "--timeout",
    "10m",
];
/// How long a job waits that has a delay, or expires, ms.
const DELAY_MS: u64 = 300;
const SHARD: Shard = Shard(0);

pub(super) struct Real {
    redis: RedisServer,
    destination: Destination,
    worker: Option<Postrider>,
    sources: Vec<(&'static str, String)>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_of(bytes: &[u8], job: usize) -> bool {
    text(bytes).contains(&format!("/job{job}"))
}

impl Real {
    /// Starts Redis, the destination and a worker.
    pub(super) fn start() -> Self {
        let redis = RedisServer::start();
        redis.command(&[b"SET".to_vec(), SHARD.key("mark"), MARK.as_bytes().to_vec()]);
        let sources = postrider_queue::internals::script_sources();
        let destination = Destination::start();
        let mut real = Self { redis, destination, worker: None, sources };
        real.start_worker();
        real
    }

    fn start_worker(&mut self) {
        self.worker = Some(Postrider::ready_worker(Build::Lean, &self.redis, &ARGUMENTS, &[]));
    }

    fn call(&self, call: &Call) -> Reply {
        let source = self.sources.iter().find(|(name, _)| *name == call.script);
        let source = source.expect("there is such a script").1.clone().into_bytes();
        let own = [b"EVAL".to_vec(), source, call.keys.len().to_string().into_bytes()];
        let words: Vec<Bytes> =
            own.into_iter().chain(call.keys.clone()).chain(call.arguments.clone()).collect();
        match self.redis.command(&words) {
            Reply::Error(error) => panic!("{}: {error}", call.script),
            reply => reply,
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Enqueue(job, shape) => self.enqueue(job, shape),
            // A status that proves that the destination works.
            Event::Answer(job, answer) => {
                self.destination.answer(job, if answer == Answer::Success { 200 } else { 500 });
            }
            Event::Kill => {
                self.worker.take().expect("a worker runs").kill();
                self.destination.close_all();
            }
            Event::Stop => {
                self.worker.take().expect("a worker runs").stop();
                self.destination.close_all();
            }
            Event::Start => self.start_worker(),
            Event::Cancel(job) => self.cancel(job),
            Event::Replay(job) => {
                let (id, _) = self.entry("dead", job).expect("the model has a dead letter, too");
                self.call(&SHARD.replay("dead", &id.to_string(), 0));
            }
            Event::Pause(what) => self.set_paused(what, true),
            Event::Resume(what) => self.set_paused(what, false),
        }
    }

    fn enqueue(&self, job: usize, shape: Shape) {
        let time = self.redis.command(&["TIME"]);
        let now = time.array()[0].text().parse::<u64>().expect("a time is a number") * 1000;
        let [delay, expires, kept] =
            [DELAY_MS, now + 1000 + DELAY_MS, RESULT_MS].map(|number| number.to_string());
        let url = self.destination.url(job);
        let mut fields = vec!["url", &url, "max_attempts", "2"];
        match shape {
            Shape::Plain => {}
            Shape::Delayed => fields.extend(["delay_ms", &delay]),
            Shape::Limited => fields.extend(["flow", "mine"]),
            Shape::Expiring => fields.extend(["flow", "mine", "expires_at", &expires]),
            Shape::Result => fields.extend(["result_ttl_ms", &kept]),
        }
        let fields: Vec<Bytes> = fields.into_iter().map(|part| part.as_bytes().to_vec()).collect();
        self.call(&SHARD.enqueue(None, 0, 0, &fields));
    }

    fn cancel(&self, job: usize) {
        if let Some((job_id, packed, flow)) = self.waiting(job) {
            let kept = text(&packed).contains("result_ttl_ms").then_some(RESULT_MS);
            self.call(&SHARD.cancel_waiting(&job_id, flow, kept, None));
            return;
        }
        let (id, fields) = self.entry("jobs", job).expect("the model has the job, too");
        let named =
            |name: &[u8]| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| text(&pair[1]));
        let kept = named(b"result_ttl_ms").map(|_| RESULT_MS);
        let job_id = named(b"_job_id").unwrap_or_else(|| id.to_string());
        self.call(&SHARD.cancel_ready(&id.to_string(), &job_id, kept, None));
    }

    /// A running worker has read it before anything else happens.
    fn set_paused(&self, what: Pausable, is_paused: bool) {
        let read = |worker: &Postrider| worker.log().iter().filter(|line| line.contains("paused")).count();
        let before = self.worker.as_ref().map(read);
        let field = what.field();
        self.call(&if is_paused { Call::pause(&field, 0, 0) } else { Call::resume(&field) });
        if let (Some(worker), Some(before)) = (&self.worker, before) {
            wait::eventually("the worker reads what is paused", DEADLINE, || {
                (read(worker) > before).then_some(())
            });
            if what == Pausable::Queue && is_paused {
                // Until then, the read that blocks may get a job.
                wait::eventually("the worker ends its blocking read", DEADLINE, || {
                    (self.redis.blocked_reads() == 0).then_some(())
                });
            }
        }
    }

    /// The first entry of a job in a stream.
    fn entry(&self, stream: &str, job: usize) -> Option<(Id, Vec<Bytes>)> {
        let reply =
            self.redis.command(&[b"XRANGE".to_vec(), SHARD.key(stream), b"-".to_vec(), b"+".to_vec()]);
        reply.array().iter().find_map(|entry| {
            let fields: Vec<Bytes> =
                entry.array()[1].array().iter().map(|part| part.bytes().to_vec()).collect();
            let id = Id::parse(entry.array()[0].bytes(), 0)?;
            fields.iter().any(|part| is_of(part, job)).then_some((id, fields))
        })
    }

    /// The id of a waiting job, its fields, and its flow if that holds it.
    fn waiting(&self, job: usize) -> Option<(String, Bytes, Option<&'static str>)> {
        let reply = self.redis.command(&[b"HGETALL".to_vec(), SHARD.key("waiting")]);
        let pairs = reply.array().chunks_exact(2);
        let own = pairs.into_iter().find(|pair| is_of(pair[1].bytes(), job))?;
        let set = SHARD.key(&format!("flow:{}", *FLOW_ID));
        let held = self.redis.command(&[b"ZSCORE".to_vec(), set, own[0].bytes().to_vec()]);
        let flow = (held != Reply::Nil).then_some(FLOW_ID.as_str());
        Some((own[0].text(), own[1].bytes().to_vec(), flow))
    }

    fn place(&self, job: usize) -> Place {
        if let Some((id, _)) = self.entry("jobs", job) {
            let id = id.to_string().into_bytes();
            let group = GROUP.as_bytes().to_vec();
            let words = [b"XPENDING".to_vec(), SHARD.key("jobs"), group, id.clone(), id, b"1".to_vec()];
            let is_running = matches!(self.redis.command(&words), Reply::Array(rows) if !rows.is_empty());
            return if is_running { Place::Running } else { Place::Ready };
        }
        if let Some((_, _, flow)) = self.waiting(job) {
            return if flow.is_some() { Place::Held } else { Place::Scheduled };
        }
        self.entry("dead", job).map_or(Place::Nowhere, |(_, fields)| Place::Dead(attempts(&fields)))
    }

    fn seen(&self) -> Seen {
        let (arrived, waits) = self.destination.seen();
        let results = self.redis.command(&[b"KEYS".to_vec(), SHARD.key("result:*")]);
        let places: [Place; JOBS] = std::array::from_fn(|job| self.place(job));
        Seen { places, arrived, waits, results: results.array().len() }
    }

    /// Waits until the real world is where the model is.
    ///
    /// # Errors
    /// Where it is, if not.
    pub(super) fn wait_for(&self, expected: &Seen) -> Result<(), String> {
        let end = Instant::now() + DEADLINE;
        loop {
            let seen = self.seen();
            // Twice: a job may move while the first one is read.
            if seen == *expected && self.seen() == *expected {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("{seen:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
