//! Builds all Redis keys. All keys of a shard have one hash tag, so that each script works on one cluster
//! slot.

use fred::types::Key;

use crate::job::FlowId;

/// The consumer group of all workers.
pub(crate) const GROUP: &str = "postrider";

/// The name of a queue: `[A-Za-z0-9_.-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueName(String);

/// A text is not a queue's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a queue's name must be 1 to 64 letters, digits, `_`, `.` or `-`, and not only dots; `{0}` is none")]
pub struct BadQueueName(String);

impl std::str::FromStr for QueueName {
    type Err = BadQueueName;

    fn from_str(name: &str) -> Result<Self, BadQueueName> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        // No URL can contain the path segments `.` and `..`.
        let is_dots = name.bytes().all(|byte| byte == b'.');
        if (1..=64).contains(&name.len()) && name.bytes().all(known) && !is_dots {
            Ok(Self(name.to_owned()))
        } else {
            Err(BadQueueName(name.to_owned()))
        }
    }
}

impl QueueName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for QueueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keys of one queue. A key is shared bytes: a clone allocates nothing.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// Stream: ready and running jobs.
    pub(crate) jobs: Key,
    /// Hash: job id to the fields of a waiting job.
    pub(crate) waiting: Key,
    /// Sorted set: job ids by due time.
    pub(crate) scheduled: Key,
    /// Stream: dead letters.
    pub(crate) dead: Key,
    /// Stream: entries that are not jobs.
    pub(crate) rejected: Key,
    /// Hash: number and bytes of the entries of `dead` and `rejected`.
    pub(crate) sizes: Key,
    /// String: how many jobs had which outcome, by minute and by hour.
    pub(crate) stats: Key,
    /// Stream: the delivery log, records of jobs that have ended.
    pub(crate) log: Key,
    /// Stream with TTL: records of jobs that have ended while somebody followed them and no log was kept.
    pub(crate) tail: Key,
    /// Sorted set: flows that hold jobs, by the time of their next check.
    pub(crate) flows: Key,
    /// Sorted set: held jobs by the time when they expire, each as its flow and its id in one text.
    pub(crate) expiring: Key,
    /// Sorted set: the places of ordered jobs in the lines of their keys.
    pub(crate) order: Key,
    /// Hash: job id to the fields of a job that waits for its turn.
    pub(crate) order_waiting: Key,
    /// Hash: the place of a dead letter that stops its line, to what is known of it.
    pub(crate) order_stopped: Key,
    /// String: the mark of the entries that our scripts write.
    pub(crate) mark: Key,
    /// Hash: consumer to its last heartbeat.
    pub(crate) workers: Key,
    prefix: String,
}

impl Keys {
    /// Shard 0 has the hash tag `{QUEUE}`, shard n `{QUEUE/n}`.
    pub(crate) fn new(queue: &QueueName, shard: u32) -> Self {
        let prefix = match shard {
            0 => format!("postrider:{{{queue}}}:"),
            shard => format!("postrider:{{{queue}/{shard}}}:"),
        };
        let key = |name: &str| Key::from(format!("{prefix}{name}"));
        Self {
            jobs: key("jobs"),
            waiting: key("waiting"),
            scheduled: key("scheduled"),
            dead: key("dead"),
            rejected: key("rejected"),
            sizes: key("sizes"),
            stats: key("stats"),
            log: key("log"),
            tail: key("tail"),
            flows: key("flows"),
            expiring: key("expiring"),
            order: key("order"),
            order_waiting: key("order_waiting"),
            order_stopped: key("order_stopped"),
            mark: key("mark"),
            workers: key("workers"),
            prefix,
        }
    }

    /// Sorted set: ids of the jobs that a flow holds, in the order in which they were enqueued.
    pub(crate) fn flow(&self, id: FlowId) -> Key {
        Key::from(format!("{}flow:{id}", self.prefix))
    }

    /// Hash with TTL: the state of a flow that all workers share, over all queues.
    pub(crate) fn limits(id: FlowId) -> Key {
        Key::from(format!("postrider:flow:{{{id}}}"))
    }

    /// Stream: changes by hand, over all queues.
    pub(crate) fn audit() -> Key {
        Key::from_static_str("postrider:{audit}")
    }

    /// Hash: what operators have set for all workers. A queue of this name uses the same slot and other keys.
    pub(crate) fn control() -> Key {
        Key::from_static_str("postrider:{control}")
    }

    /// String: the claim of a run of `postrider certify`.
    pub(crate) fn claim() -> Key {
        Key::from_static_str("postrider:{certify}:run")
    }

    /// Hash: how many shards the queue has.
    pub(crate) fn meta(queue: &QueueName) -> Key {
        Key::from(format!("postrider:{{{queue}}}:meta"))
    }

    /// Hash: the definitions of periodic jobs, and their state; sorted set: their names by the time of the next look. They
    /// are with the first shard.
    pub(crate) fn cron(&self) -> [Key; 2] {
        ["cron", "cron_due"].map(|name| Key::from(format!("{}{name}", self.prefix)))
    }

    /// Hash with TTL: what workers have given notice of and has not ended. It is with the first shard of the notices' queue.
    pub(crate) fn notices(&self) -> Key {
        Key::from(format!("{}notices", self.prefix))
    }

    /// String with TTL: the id of the job that was enqueued under an idempotency key.
    pub(crate) fn idempotency(&self, key: &str) -> Key {
        Key::from(format!("{}key:{key}", self.prefix))
    }

    /// String with TTL: how many calls of a producer's series are enqueued.
    pub(crate) fn series(&self, id: u64) -> Key {
        Key::from(format!("{}series:{id:016x}", self.prefix))
    }

    /// String with TTL: the result of a job.
    pub(crate) fn result(&self, job_id: &[u8]) -> Key {
        let mut key = format!("{}result:", self.prefix).into_bytes();
        key.extend_from_slice(job_id);
        Key::from(key.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_hash_tag() {
        for wrong in ["", "a}b", "a/1", "a b", &"x".repeat(65), "é"] {
            assert!(wrong.parse::<QueueName>().is_err(), "{wrong}");
        }
        assert!("Mail_out.v2-x".parse::<QueueName>().is_ok());
    }

    #[test]
    fn keys_are_those_of_the_wire_format() {
        let queue: QueueName = "default".parse().unwrap();
        let keys = Keys::new(&queue, 0);
        assert_eq!(keys.jobs.as_str(), Some("postrider:{default}:jobs"));
        assert_eq!(Keys::new(&queue, 3).dead.as_str(), Some("postrider:{default/3}:dead"));
        assert_eq!(Keys::new(&queue, 3).log.as_str(), Some("postrider:{default/3}:log"));
        assert_eq!(keys.result(b"7-0").as_str(), Some("postrider:{default}:result:7-0"));
    }
}
