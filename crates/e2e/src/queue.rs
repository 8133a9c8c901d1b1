//! The keys of one queue in Redis as a client sees them: the wire format, version 1.

use std::time::Duration;

use crate::redis::RedisServer;
use crate::resp::Reply;
use crate::wait;

/// A view of the keys of one queue.
#[derive(Clone, Copy)]
pub struct Queue<'a> {
    redis: &'a RedisServer,
    name: &'a str,
}

/// The fields of a job, in order. A producer may have written any bytes, and a name twice.
pub type Fields = Vec<(String, Vec<u8>)>;

/// A job that ended without success.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The id of its entry in the stream of dead letters.
    pub entry_id: String,
    /// All fields, in order.
    pub fields: Fields,
}

impl DeadLetter {
    /// The first field of that name, as text.
    pub fn field(&self, name: &str) -> Option<String> {
        let (_, value) = self.fields.iter().find(|(field, _)| field == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Why it was dead-lettered: its `_reason`, or empty.
    pub fn reason(&self) -> String {
        self.field("_reason").unwrap_or_default()
    }

    /// The fields that the producer wrote, in order.
    pub fn own_fields(&self) -> Fields {
        self.fields.iter().filter(|(name, _)| !name.starts_with('_')).cloned().collect()
    }
}

impl<'a> Queue<'a> {
    /// The queue `name` on that server.
    pub fn new(redis: &'a RedisServer, name: &'a str) -> Queue<'a> {
        Queue { redis, name }
    }

    /// The key `postrider:{NAME}:WHAT`.
    pub fn key(&self, what: &str) -> String {
        format!("postrider:{{{}}}:{what}", self.name)
    }

    /// Adds a job to the stream like any producer, and returns its entry id.
    ///
    /// # Panics
    ///
    /// If Redis returns an error.
    pub fn enqueue<F: AsRef<[u8]>, V: AsRef<[u8]>>(&self, fields: &[(F, V)]) -> String {
        let key = self.key("jobs");
        let mut arguments: Vec<&[u8]> = vec![b"XADD", key.as_bytes(), b"*"];
        for (name, value) in fields {
            arguments.extend([name.as_ref(), value.as_ref()]);
        }
        self.redis.command(&arguments).text()
    }

    /// Puts a job into the stream that a worker has handed back: under its job id, with the mark of our scripts.
    ///
    /// # Panics
    ///
    /// If Redis returns an error.
    pub fn hand_back(&self, job_id: &str, fields: &[(&str, &str)]) -> String {
        const HAND_BACK: &str = "redis.call('SET', KEYS[2], 'made-by-the-test', 'NX') \
                            local mark = redis.sha1hex(redis.call('GET', KEYS[2]) .. ARGV[1]) \
                            return redis.call('XADD', KEYS[1], '*', '_job_id', ARGV[1], '_mark', mark, unpack(ARGV, 2))";
        let (jobs, mark) = (self.key("jobs"), self.key("mark"));
        let mut command = vec!["EVAL", HAND_BACK, "2", &jobs, &mark, job_id];
        command.extend(fields.iter().flat_map(|(name, value)| [*name, *value]));
        self.redis.command(&command).text()
    }

    /// Adds a job to the schedule, due in an hour, after its first attempt.
    ///
    /// # Panics
    ///
    /// If Redis returns an error.
    pub fn schedule(&self, job_id: &str, fields: &[(&str, &str)]) {
        const POSTPONE: &str = "redis.call('SET', KEYS[3], 'made-by-the-test', 'NX') \
                            local mark = redis.sha1hex(redis.call('GET', KEYS[3]) .. ARGV[1]) \
                            redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({'_mark', mark, unpack(ARGV, 2)})) \
                            redis.call('ZADD', KEYS[2], redis.call('TIME')[1] * 1000 + 3600000, ARGV[1])";
        let (waiting, scheduled, mark) = (self.key("waiting"), self.key("scheduled"), self.key("mark"));
        let mut command = vec!["EVAL", POSTPONE, "3", &waiting, &scheduled, &mark, job_id];
        command.extend(fields.iter().flat_map(|(name, value)| [*name, *value]));
        command.extend(["_attempt", "1", "_waited", "1"]);
        command.extend(["_job_id", job_id, "_enqueued_at", "1795396101000"]);
        assert_eq!(self.redis.command(&command), Reply::Nil);
    }

    /// Holds a job in the set of the flow with this id. The flow is due in an hour.
    ///
    /// # Panics
    ///
    /// If Redis returns an error.
    pub fn postpone(&self, flow: &str, job_id: &str, fields: &[(&str, &str)]) {
        const POSTPONE: &str = "redis.call('SET', KEYS[4], 'made-by-the-test', 'NX') \
                            local mark = redis.sha1hex(redis.call('GET', KEYS[4]) .. ARGV[2]) \
                            redis.call('HSET', KEYS[1], ARGV[2], cmsgpack.pack({'_mark', mark, unpack(ARGV, 3)})) \
                            redis.call('ZADD', KEYS[2], 1795396101000, ARGV[2]) \
                            redis.call('ZADD', KEYS[3], redis.call('TIME')[1] * 1000 + 3600000, ARGV[1])";
        let set = self.key(&format!("flow:{flow}"));
        let (waiting, flows, mark) = (self.key("waiting"), self.key("flows"), self.key("mark"));
        let mut command = vec!["EVAL", POSTPONE, "4", &waiting, &set, &flows, &mark, flow, job_id];
        command.extend(fields.iter().flat_map(|(name, value)| [*name, *value]));
        command.extend(["_job_id", job_id, "_enqueued_at", "1795396101000"]);
        assert_eq!(self.redis.command(&command), Reply::Nil);
    }

    /// Adds a job that had a delay and an expiry to the dead letters, and returns its entry id there.
    ///
    /// # Panics
    ///
    /// If Redis returns an error.
    pub fn dead_letter(&self, job_id: &str, reason: &str, url: &str) -> String {
        let key = self.key("dead");
        let own = ["XADD", &key, "*", "url", url, "body", "hello", "delay_ms", "3600000"];
        let end = ["expires_at", "1795396101000", "_job_id", job_id, "_attempt", "3", "_history"];
        let trail =
            [r#"[{"at":1795396101000,"ms":7,"status":503}]"#, "_reason", reason, "_error", "it failed"];
        self.redis.command(&[&own[..], &end, &trail, &["_dead_at", "1"]].concat()).text()
    }

    /// Jobs in the stream: ready or running.
    pub fn depth(&self) -> i64 {
        self.redis.command(&["XLEN", &self.key("jobs")]).integer()
    }

    /// Running jobs; 0 while there is no consumer group.
    pub fn pending(&self) -> i64 {
        pending_count(&self.redis.command(&["XPENDING", &self.key("jobs"), "postrider"]))
    }

    /// Jobs in the hash of waiting jobs.
    pub fn waiting(&self) -> i64 {
        self.redis.command(&["HLEN", &self.key("waiting")]).integer()
    }

    /// Jobs that wait for their turns.
    pub fn in_line(&self) -> i64 {
        self.redis.command(&["HLEN", &self.key("order_waiting")]).integer()
    }

    /// The fields of a waiting job.
    ///
    /// # Panics
    ///
    /// If no job with that id waits.
    pub fn waiting_fields(&self, job_id: &str) -> Fields {
        const READ: &str = "return cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))";
        pairs(&self.redis.command(&["EVAL", READ, "1", &self.key("waiting"), job_id]))
    }

    /// The number of scheduled jobs.
    pub fn scheduled(&self) -> i64 {
        self.redis.command(&["ZCARD", &self.key("scheduled")]).integer()
    }

    /// The number of held jobs, over all flows in the set of flows.
    pub fn held(&self) -> i64 {
        let flows = self.redis.command(&["ZRANGE", &self.key("flows"), "0", "-1"]);
        let count = |flow: &Reply| {
            self.redis.command(&["ZCARD", &self.key(&format!("flow:{}", flow.text()))]).integer()
        };
        flows.array().iter().map(count).sum()
    }

    /// Whether only dead letters are left: no job ready, running, scheduled or held. One transaction reads
    /// all numbers, so that no job is missed while it moves from one place to another.
    ///
    /// # Errors
    ///
    /// The remaining numbers, for a person.
    pub fn drained(&self) -> Result<(), String> {
        let mut connection = self.redis.connect();
        let mut command =
            |arguments: &[&str]| connection.command(arguments).expect("the Redis server of the test answers");
        let jobs = self.key("jobs");
        command(&["MULTI"]);
        command(&["XLEN", &jobs]);
        command(&["HLEN", &self.key("waiting")]);
        command(&["ZCARD", &self.key("scheduled")]);
        command(&["XPENDING", &jobs, "postrider"]);
        command(&["HLEN", &self.key("order_waiting")]);
        let Reply::Array(replies) = command(&["EXEC"]) else {
            // The server is becoming the primary, or loads its data.
            return Err("the server accepts no reads now".to_owned());
        };
        let [depth, waiting, scheduled] = [0, 1, 2].map(|index: usize| replies[index].integer());
        let pending = pending_count(&replies[3]);
        let in_line = replies[4].integer();
        if [depth, waiting, scheduled, pending, in_line] == [0; 5] {
            return Ok(());
        }
        Err(format!(
            "{depth} in the stream, {pending} pending, {waiting} waiting, {scheduled} scheduled, {in_line} in line"
        ))
    }

    /// Waits until only dead letters are left.
    ///
    /// # Panics
    ///
    /// With the remaining numbers if the queue is not drained at the deadline.
    pub fn wait_until_drained(&self, deadline: Duration) {
        wait::eventually_or("an empty queue", deadline, || self.drained());
    }

    /// The dead letters and the rejected entries, each oldest first.
    pub fn dead(&self) -> Vec<DeadLetter> {
        ["dead", "rejected"].into_iter().flat_map(|stream| self.letters(stream)).collect()
    }

    /// The rejected entries, oldest first.
    pub fn rejected(&self) -> Vec<DeadLetter> {
        self.letters("rejected")
    }

    fn letters(&self, stream: &str) -> Vec<DeadLetter> {
        let reply = self.redis.command(&["XRANGE", &self.key(stream), "-", "+"]);
        reply.array().iter().map(dead_letter).collect()
    }

    /// The result of a job with `result_ttl_ms`, as its JSON text.
    pub fn result(&self, job_id: &str) -> Option<String> {
        match self.redis.command(&["GET", &self.key(&format!("result:{job_id}"))]) {
            Reply::Nil => None,
            reply => Some(reply.text()),
        }
    }
}

/// The count in the summary of `XPENDING`. An error is NOGROUP.
fn pending_count(summary: &Reply) -> i64 {
    if let Reply::Array(summary) = summary { summary[0].integer() } else { 0 }
}

fn dead_letter(entry: &Reply) -> DeadLetter {
    let [id, fields] = entry.array() else { panic!("not a stream entry: {entry:?}") };
    DeadLetter { entry_id: id.text(), fields: pairs(fields) }
}

fn pairs(list: &Reply) -> Fields {
    list.array().chunks_exact(2).map(|pair| (pair[0].text(), pair[1].bytes().to_vec())).collect()
}
