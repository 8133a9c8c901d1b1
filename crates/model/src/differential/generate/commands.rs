//! Commands without a script: those of the worker, and those by which operators and accidents change keys.

use super::{Generator, KEYS};
use crate::calls::{FLOW, GROUP, Shard};
use crate::redis::{Bytes, Db};

impl Generator {
    pub(super) fn command(&mut self, db: &Db) -> Vec<Bytes> {
        if self.chance(2) { self.of_the_stream(db) } else { self.of_other_keys(db) }
    }

    fn of_the_stream(&mut self, db: &Db) -> Vec<Bytes> {
        let key = |name: &str| String::from_utf8(Shard(0).key(name)).unwrap_or_default();
        let consumer = self.consumer().to_owned();
        let jobs = key("jobs");
        let words: Vec<String> = match self.rng.u32(..17) {
            0..5 => return self.add(&jobs),
            5..9 => {
                let count = self.rng.u32(1..4).to_string();
                ["XREADGROUP", "GROUP", GROUP, &consumer, "COUNT", &count, "STREAMS", &jobs, ">"]
                    .map(Into::into)
                    .into()
            }
            9 => vec!["XACK".into(), jobs, GROUP.into(), self.entry(db, "jobs")],
            10 => vec!["XDEL".into(), jobs, self.entry(db, "jobs")],
            11 => ["XGROUP", "DELCONSUMER", &jobs, GROUP, &consumer].map(Into::into).into(),
            12 if self.chance(3) => ["XGROUP", "DESTROY", &jobs, GROUP].map(Into::into).into(),
            12 => vec!["XGROUP".into(), "SETID".into(), jobs, GROUP.into(), self.entry(db, "jobs")],
            13 => {
                let start = self.one(&["0", "$"]);
                ["XGROUP", "CREATE", &jobs, GROUP, start, "MKSTREAM"].map(Into::into).into()
            }
            14 => {
                let from = self.one(&["-", "(1-0", "5"]);
                ["XPENDING", &jobs, GROUP, "IDLE", "2", from, "+", "3", &consumer].map(Into::into).into()
            }
            15 => {
                let id = self.entry(db, "jobs");
                let more = self.one(&["FORCE", "JUSTID"]);
                ["XCLAIM", &jobs, GROUP, &consumer, "0", &id, "IDLE", "3", more].map(Into::into).into()
            }
            _ => ["XREVRANGE", &jobs, "+", "-", "COUNT", "2"].map(Into::into).into(),
        };
        words.into_iter().map(String::into_bytes).collect()
    }

    fn of_other_keys(&mut self, db: &Db) -> Vec<Bytes> {
        let key = |name: &str| String::from_utf8(Shard(0).key(name)).unwrap_or_default();
        let set = key(&format!("flow:{FLOW}"));
        let words: Vec<String> = match self.rng.u32(..6) {
            0 if self.chance(3) => vec!["DEL".into(), key(self.one(&KEYS))],
            0 => vec!["SET".into(), key(self.one(&KEYS)), "a text".into(), "NX".into()],
            1 => {
                let (score, job_id) = (self.score(db), self.waiting(db));
                let set = self.one(&[&*key("scheduled"), &set]).to_owned();
                return vec![b"ZADD".to_vec(), set.into_bytes(), score.into_bytes(), job_id];
            }
            2 => {
                let hash = self.one(&["waiting", "waiting", "order_waiting"]);
                return vec![b"HDEL".to_vec(), key(hash).into_bytes(), self.waiting(db)];
            }
            3 => {
                let value = self.one(&["", "\u{1}", "\u{fffd}x", "text"]);
                let hash = self.one(&["waiting", "order_waiting"]);
                ["HSET", &key(hash), "9-9", value].map(Into::into).into()
            }
            _ => {
                let from = self.one(&["-inf", "(5", "0"]);
                ["ZRANGEBYSCORE", &set, from, "+inf", "LIMIT", "0", "2"].map(Into::into).into()
            }
        };
        words.into_iter().map(String::into_bytes).collect()
    }

    fn add(&mut self, jobs: &str) -> Vec<Bytes> {
        // A producer may choose an id, also one in the future.
        let id = if self.chance(12) { self.one(&["5-1", "99999999999999-3", "0-0"]) } else { "*" };
        let own = ["XADD", jobs, id].map(|word| word.as_bytes().to_vec());
        own.into_iter().chain(self.fields()).collect()
    }

    /// A time near the present, one that never comes, or one of a flow.
    fn score(&mut self, db: &Db) -> String {
        match self.rng.u32(..6) {
            0 => "inf".to_owned(),
            1 => "-1".to_owned(),
            2 => "2000000000000000".to_owned(),
            3 => "10000000000005".to_owned(),
            _ => (db.now + self.rng.u64(..10)).to_string(),
        }
    }
}
