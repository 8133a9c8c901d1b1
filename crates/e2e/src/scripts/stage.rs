//! A private Redis with one queue, to call a script and inspect the result.

use std::cell::RefCell;

use super::{Call, FLOW, GROUP, Script, key};
use crate::redis::RedisServer;
use crate::resp::{Connection, Reply};

/// A running job: its delivery and job id.
#[derive(Clone, Debug)]
pub struct RunningJob {
    /// The id of its stream entry.
    pub id: String,
    /// The consumer that it was delivered to.
    pub consumer: String,
    /// The delivery count.
    pub count: String,
    /// The job's id when it waits.
    pub job_id: String,
}

/// The number of copies of a job by place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// In the stream, and to be read again: not delivered yet, or pending.
    pub stream: usize,
    /// In the hash of waiting jobs, with a due time or a flow in the set of flows.
    pub waiting: usize,
    /// Among the dead letters or the rejected entries.
    pub dead: usize,
    /// Lost: in the stream, delivered, but pending for no consumer; or in the hash without a due time and
    /// without a flow.
    pub stray: usize,
}

impl Copies {
    /// Copies that a worker will process, or that are dead letters.
    pub fn found(self) -> usize {
        self.stream + self.waiting + self.dead
    }
}

/// The queue `default` with its group.
pub struct Stage {
    redis: RedisServer,
    connection: RefCell<Connection>,
}

impl Default for Stage {
    fn default() -> Self {
        Stage::new()
    }
}

impl Stage {
    /// # Panics
    ///
    /// If there is no Redis.
    pub fn new() -> Stage {
        let redis = RedisServer::start();
        let connection = RefCell::new(redis.connect());
        let stage = Stage { redis, connection };
        stage.call(&Call::join());
        stage
    }

    /// Sends a command.
    ///
    /// # Panics
    ///
    /// If Redis does not reply.
    pub fn command(&self, arguments: &[impl AsRef<[u8]>]) -> Reply {
        self.connection.borrow_mut().command(arguments).expect("the Redis server of the test answers")
    }

    /// Calls a script as a user with all permissions.
    pub fn call(&self, call: &Call) -> Reply {
        self.command(&call.command())
    }

    /// Calls a script as a user without the permission for one command.
    ///
    /// # Panics
    ///
    /// If the server does not know the command.
    pub fn call_without(&self, command: &str, call: &Call) -> Reply {
        let right = format!("-{}", command.to_lowercase());
        let made = self.command(&["ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "+@all", &right]);
        assert_eq!(made, Reply::Simple("OK".to_owned()));
        let mut connection = self.redis.connect();
        let known = connection.command(&["AUTH", "limited", "pw"]);
        assert_eq!(known.ok(), Some(Reply::Simple("OK".to_owned())));
        connection.command(&call.command()).expect("the Redis server of the test answers")
    }

    /// Puts a job into the stream.
    pub fn enqueue(&self, fields: &[(&str, &str)]) -> String {
        let key = key("jobs");
        let mut command = vec!["XADD", &key, "*"];
        command.extend(fields.iter().flat_map(|(name, value)| [*name, *value]));
        self.command(&command).text()
    }

    /// Delivers all new entries to a consumer and returns their ids.
    pub fn read(&self, consumer: &str) -> Vec<String> {
        let streams = [key("jobs"), ">".to_owned()];
        let command =
            ["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", "100", "STREAMS", &streams[0], &streams[1]];
        match self.command(&command).array() {
            [stream] => stream.array()[1].array().iter().map(|entry| entry.array()[0].text()).collect(),
            _ => Vec::new(),
        }
    }

    /// Puts a job into the stream and delivers it.
    ///
    /// # Panics
    ///
    /// If another job is delivered, too.
    pub fn deliver(&self, consumer: &str, fields: &[(&str, &str)]) -> RunningJob {
        let id = self.enqueue(fields);
        assert_eq!(self.read(consumer), [id.as_str()]);
        RunningJob { job_id: id.clone(), id, consumer: consumer.to_owned(), count: "1".to_owned() }
    }

    /// The number of copies, by place, of the job whose bytes contain `mark`.
    pub fn copies(&self, mark: &str) -> Copies {
        let mut copies = Copies::default();
        let last = self.last_delivered();
        let pending: Vec<String> = self.pending().iter().map(|row| row.array()[0].text()).collect();
        for (id, text) in self.entries("jobs") {
            if text.contains(mark) {
                let read_again = pending.contains(&id) || order(&id) > order(&last);
                *(if read_again { &mut copies.stream } else { &mut copies.stray }) += 1;
            }
        }
        let dead = [self.entries("dead"), self.entries("rejected")].concat();
        copies.dead = dead.iter().filter(|(_, text)| text.contains(mark)).count();
        let mut scheduled = self.texts(&["ZRANGE", &key("scheduled"), "0", "-1"]);
        for flow in self.texts(&["ZRANGE", &key("flows"), "0", "-1"]) {
            scheduled.extend(self.texts(&["ZRANGE", &key(&format!("flow:{flow}")), "0", "-1"]));
        }
        for pair in self.texts(&["HGETALL", &key("waiting")]).chunks_exact(2) {
            if pair[1].contains(mark) {
                *(if scheduled.contains(&pair[0]) { &mut copies.waiting } else { &mut copies.stray }) += 1;
            }
        }
        copies
    }

    /// All state in Redis except idle times. Two equal snapshots mean that nothing has moved.
    pub fn snapshot(&self) -> String {
        let pending: Vec<String> = self
            .pending()
            .iter()
            .map(|row| row.array())
            .map(|row| format!("{:?}", (&row[0], &row[1], &row[3])))
            .collect();
        let results = self.texts(&["KEYS", "*:result:*"]);
        let hash = self.texts(&["HGETALL", &key("waiting")]);
        let set = self.texts(&["ZRANGE", &key("scheduled"), "0", "-1", "WITHSCORES"]);
        let flow = self.texts(&["ZRANGE", &key(&format!("flow:{FLOW}")), "0", "-1", "WITHSCORES"]);
        format!(
            "{:?} {pending:?} {:?} {hash:?} {set:?} {flow:?} {results:?}",
            self.entries("jobs"),
            self.entries("dead")
        )
    }

    /// The rows of XPENDING.
    pub fn pending(&self) -> Vec<Reply> {
        match self.command(&["XPENDING", &key("jobs"), GROUP, "-", "+", "1000"]) {
            Reply::Array(rows) => rows,
            _ => Vec::new(),
        }
    }

    fn last_delivered(&self) -> String {
        let groups = self.command(&["XINFO", "GROUPS", &key("jobs")]);
        let Reply::Array(groups) = groups else { return "0-0".to_owned() };
        let group = groups.first().map(Reply::array).unwrap_or_default();
        let at =
            group.iter().position(|name| matches!(name, Reply::Bulk(name) if name == b"last-delivered-id"));
        at.map_or_else(|| "0-0".to_owned(), |at| group[at + 1].text())
    }

    /// The entries of a stream: id, and all fields as one text.
    fn entries(&self, what: &str) -> Vec<(String, String)> {
        let Reply::Array(entries) = self.command(&["XRANGE", &key(what), "-", "+"]) else {
            return Vec::new();
        };
        let text = |fields: &Reply| fields.array().iter().map(|field| field.text() + " ").collect::<String>();
        entries.iter().map(|entry| (entry.array()[0].text(), text(&entry.array()[1]))).collect()
    }

    fn texts(&self, command: &[&str]) -> Vec<String> {
        match self.command(command) {
            Reply::Array(replies) => replies.iter().map(Reply::text).collect(),
            // The key has a wrong type, set by a test, so it contains no jobs.
            _ => Vec::new(),
        }
    }

    /// A value of `waiting`: the `cmsgpack` of the list `lua`.
    pub fn pack(&self, lua: &str) -> Vec<u8> {
        self.command(&["EVAL", &format!("return cmsgpack.pack({lua})"), "0"]).bytes().to_vec()
    }

    /// Holds a new job in [`FLOW`] and returns its id.
    ///
    /// # Panics
    ///
    /// If it is not held.
    pub fn hold(&self, fields: &[(&str, &str)]) -> String {
        let held = self.deliver("holder", fields);
        assert_eq!(letter(&self.call(&Call::postpone_into_flow(&held, fields))), "o");
        held.job_id
    }

    /// Adds a member to the set of [`FLOW`], with its packed job if given.
    pub fn hold_raw(&self, score: &str, job_id: &str, packed: Option<&[u8]>) {
        if let Some(packed) = packed {
            self.command(&[b"HSET", key("waiting").as_bytes(), job_id.as_bytes(), packed]);
        }
        self.command(&["ZADD", &key(&format!("flow:{FLOW}")), score, job_id]);
        self.command(&["ZADD", &key("flows"), "0", FLOW]);
    }

    /// Redis' clock, Unix ms.
    pub fn now(&self) -> i64 {
        let time = self.command(&["TIME"]);
        let part = |index: usize| time.array()[index].text().parse::<i64>().unwrap_or(0);
        part(0) * 1000 + part(1) / 1000
    }

    /// Adds a member to the schedule, due since `score`, with its packed job if given.
    pub fn schedule(&self, score: &str, job_id: &str, packed: Option<&[u8]>) {
        if let Some(packed) = packed {
            self.command(&[b"HSET", key("waiting").as_bytes(), job_id.as_bytes(), packed]);
        }
        self.command(&["ZADD", &key("scheduled"), score, job_id]);
    }
}

fn order(id: &str) -> (u64, u64) {
    let (millis, sequence) = id.split_once('-').unwrap_or((id, "0"));
    (millis.parse().unwrap_or(0), sequence.parse().unwrap_or(0))
}

/// The letter that a settling script returns for its one job.
pub(crate) fn letter(reply: &Reply) -> String {
    match reply {
        Reply::Array(parts) if parts.len() == 3 => parts[0].text(),
        Reply::Error(error) => format!("error {error}"),
        other => other.text(),
    }
}

impl Stage {
    /// Settles a job and returns the letter, or `error …`.
    pub fn settle(&self, script: Script, held: &RunningJob, fields: &[(&str, &str)]) -> String {
        letter(&self.call(&Call::settle(script, held, fields)))
    }

    /// The same where a success is refused as well if another worker holds the job.
    pub fn settle_held(&self, script: Script, held: &RunningJob, fields: &[(&str, &str)]) -> String {
        letter(&self.call(&Call::settle(script, held, fields).still_held(&held.count)))
    }

    /// [`Stage::settle`] without the permission for one command.
    pub fn settle_without(
        &self,
        command: &str,
        script: Script,
        held: &RunningJob,
        fields: &[(&str, &str)],
    ) -> String {
        letter(&self.call_without(command, &Call::settle(script, held, fields)))
    }

    /// Removes a consumer from the list. Returns the number of jobs handed back, and whether it was removed.
    ///
    /// # Panics
    ///
    /// If the script fails.
    pub fn leave(&self, consumer: &str) -> (i64, bool) {
        let reply = self.call(&Call::leave(consumer));
        (reply.array()[0].integer(), reply.array()[1].integer() == 1)
    }

    /// Takes over jobs by `Call::reclaim` and returns the entries.
    ///
    /// # Panics
    ///
    /// If the script fails.
    pub fn take_over(&self, consumer: &str, lease_ms: u32) -> Vec<Reply> {
        self.call(&Call::reclaim(consumer, lease_ms)).array()[1].array().to_vec()
    }
}
