//! Calls of scripts, with the keys and arguments that their headers define, as the worker, producers and tools make them.

mod by_hand;
mod cron;
mod flows;
mod lines;
mod settle;

pub(crate) use by_hand::CONTROL;
pub(crate) use cron::{HOLD_MS, Tick};
pub(crate) use flows::{Ask, FLOW, FlowLimits, Report, TRIAL_MS};
pub(crate) use lines::{Asking, LineMode};
pub(crate) use settle::{Held, Log, Postpone};

use crate::redis::Bytes;

/// The consumer group of all workers.
pub(crate) const GROUP: &str = "postrider";
/// The mark of every shard.
pub(crate) const MARK: &str = "mark-of-the-shard";
/// The number of jobs that a call takes or moves at most.
const JOBS_MAX: &str = "100";
/// The number of deliveries of a job at most.
pub(crate) const DELIVERIES_MAX: u64 = postrider_queue::work::DELIVERIES_MAX;

/// One call of a script.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) script: &'static str,
    pub(crate) keys: Vec<Bytes>,
    pub(crate) arguments: Vec<Bytes>,
}

/// The keys of one shard of the queue `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shard(pub(crate) u32);

impl Shard {
    /// The key with that last part.
    pub(crate) fn key(self, name: &str) -> Bytes {
        match self.0 {
            0 => format!("postrider:{{m}}:{name}"),
            shard => format!("postrider:{{m/{shard}}}:{name}"),
        }
        .into_bytes()
    }

    /// A call with these keys of the shard.
    fn call<A: AsRef<[u8]>>(self, script: &'static str, keys: &[&str], arguments: &[A]) -> Call {
        let arguments = arguments.iter().map(|argument| argument.as_ref().to_vec()).collect();
        Call { script, keys: keys.iter().map(|name| self.key(name)).collect(), arguments }
    }

    /// Creates the group if it is missing.
    pub(crate) fn join(self) -> Call {
        self.call("join", &["jobs", "mark"], &[GROUP, MARK])
    }

    /// Removes a worker.
    pub(crate) fn leave(self, consumer: &str) -> Call {
        self.call("leave", &["jobs", "workers", "order"], &[GROUP, consumer, MARK])
    }

    /// Renews leases: the id and the delivery count of each, in ascending order.
    pub(crate) fn extend(self, consumer: &str, lease_ms: u64, leases: &[(String, u64)]) -> Call {
        let record = format!(r#"{{"lease_ms":{lease_ms},"log":null,"measures":true,"version":"0.1.0"}}"#);
        let own = [GROUP, consumer, &record, "100000"].map(str::to_owned);
        let leases = leases.iter().flat_map(|(id, count)| [id.clone(), count.to_string()]);
        self.call("extend", &["jobs", "workers"], &own.into_iter().chain(leases).collect::<Vec<_>>())
    }

    /// Takes over jobs. `expected` is Redis' time as the caller expects it.
    pub(crate) fn reclaim(
        self,
        consumer: &str,
        lease_ms: u64,
        suspects: u64,
        counts_own: bool,
        expected: u64,
    ) -> Call {
        let numbers =
            [lease_ms, 100, suspects, counts_own.into(), expected, lease_ms / 2, 4096, DELIVERIES_MAX];
        let numbers = numbers.map(|number| number.to_string());
        let own = [GROUP, consumer].map(str::to_owned);
        self.call("reclaim", &["jobs", "workers"], &own.into_iter().chain(numbers).collect::<Vec<_>>())
    }

    /// Claims entries that are pending for no consumer.
    pub(crate) fn claim_lost(self, consumer: &str, after: &str, lease_ms: u64) -> Call {
        self.call("claim_lost", &["jobs"], &[GROUP, consumer, after, JOBS_MAX, &lease_ms.to_string()])
    }

    /// Moves due jobs to the stream.
    pub(crate) fn promote(self, again_ms: u64, log: Option<Log>) -> Call {
        let keys = ["jobs", "waiting", "scheduled", "rejected", "flows", "expiring", "stats"];
        let call = self.call("promote", &keys, &[JOBS_MAX, &again_ms.to_string()]);
        call.with_log(self, log, None)
    }

    /// Reads waiting jobs without a due time.
    pub(crate) fn sweep(self) -> Call {
        self.call("sweep", &["waiting", "scheduled", "mark"], &["0", "50", "4096", MARK])
    }

    /// Makes these jobs due that are not in the sets of their flows. Each with its flow.
    pub(crate) fn requeue(self, jobs: &[(Bytes, Option<&str>)]) -> Call {
        let mut flows: Vec<&str> = vec![];
        let mut arguments = vec![];
        for (job_id, flow) in jobs {
            let number = flow.map_or(0, |flow| {
                flows.iter().position(|known| *known == flow).unwrap_or_else(|| {
                    flows.push(flow);
                    flows.len() - 1
                }) + 1
            });
            arguments.extend([job_id.clone(), number.to_string().into_bytes()]);
        }
        let sets: Vec<String> = flows.iter().map(|flow| format!("flow:{flow}")).collect();
        let keys = ["waiting", "scheduled", "flows"].into_iter().chain(sets.iter().map(String::as_str));
        self.call("requeue", &keys.collect::<Vec<_>>(), &arguments)
    }

    /// Enqueues a job, under an idempotency key for a time, if given, which is claimed elsewhere after that many changes of the
    /// number of shards.
    pub(crate) fn enqueue(self, key: Option<(&str, u64)>, cap: u64, changes: u64, fields: &[Bytes]) -> Call {
        let name = key.map_or_else(|| "jobs".to_owned(), |(key, _)| format!("key:{key}"));
        let numbers = [key.map_or(0, |(_, ttl)| ttl), cap, changes];
        let mut call =
            self.call("enqueue", &["jobs", "waiting", &name], &numbers.map(|number| number.to_string()));
        call.keys.extend((cap > 0).then(|| self.key("order_waiting")));
        call.arguments.extend_from_slice(fields);
        call
    }

    /// Enqueues a job for each key.
    pub(crate) fn enqueue_all(self, jobs: &[Option<(&str, u64)>], changes: u64, fields: &[Bytes]) -> Call {
        let mut call = self.call("enqueue_all", &["jobs"], &[] as &[&str]);
        for key in jobs {
            call.keys.extend(key.map(|(key, _)| self.key(&format!("key:{key}"))));
            let numbers = [key.map_or(0, |(_, ttl)| ttl), changes, fields.len() as u64];
            call.arguments.extend(numbers.map(|number| number.to_string().into_bytes()));
            call.arguments.extend_from_slice(fields);
        }
        call
    }

    /// Enqueues jobs in a call of a series.
    pub(crate) fn enqueue_in_series(self, number: u64, ttl_ms: u64, jobs: &[&[Bytes]]) -> Call {
        let numbers = [number, ttl_ms].map(|number| number.to_string());
        let mut call = self.call("enqueue_in_series", &["jobs", "series:1"], &numbers);
        for fields in jobs {
            call.arguments.push(fields.len().to_string().into_bytes());
            call.arguments.extend_from_slice(fields);
        }
        call
    }

    /// Claims idempotency keys.
    pub(crate) fn claim_keys(self, key: &str, changes: u64, ttl_ms: u64) -> Call {
        self.call("claim_keys", &[&format!("key:{key}")], &[changes, ttl_ms].map(|number| number.to_string()))
    }

    /// Reads where an idempotency key may be.
    pub(crate) fn key_homes(self, ttl_ms: u64) -> Call {
        self.call("key_homes", &["meta"], &[ttl_ms.to_string()])
    }

    /// Changes the number of shards: sets it, or the number that is read at least.
    pub(crate) fn reshard(self, script: &'static str, shards: &[u32]) -> Call {
        self.call(script, &["meta"], &shards.iter().map(u32::to_string).collect::<Vec<_>>())
    }
}

impl Call {
    /// Adds the keys and bounds of the delivery log, and a record.
    fn with_log(mut self, shard: Shard, log: Option<Log>, record: Option<&str>) -> Self {
        if let Some(Log { age_ms, jobs, bytes }) = log {
            self.keys.extend(["log", "sizes"].map(|name| shard.key(name)));
            self.arguments.extend([age_ms, jobs, bytes].map(|number| number.to_string().into_bytes()));
            self.arguments.extend(record.map(|record| record.as_bytes().to_vec()));
        }
        self
    }

    fn with(mut self, fields: &[Bytes]) -> Self {
        self.arguments.extend_from_slice(fields);
        self
    }
}
