//! Calls of scripts, mostly with arguments that fit the present state.

use super::Generator;
use crate::calls::{Ask, Call, FLOW, FlowLimits, Held, Log, Postpone, Report, Shard, Tick};
use crate::redis::{Db, Value};

/// A lease that expires while steps follow one another, ms.
const LEASE_MS: u64 = 5;

const SHARD: Shard = Shard(0);

impl Generator {
    pub(super) fn script(&mut self, db: &Db) -> Call {
        match self.rng.u32(..13) {
            10 => self.periodic(db),
            11 | 12 => self.line(db),
            0..4 => self.settlement(db),
            4 | 5 => self.produce(),
            6 => self.by_hand(db),
            7 => self.flow(db),
            _ => self.loops(db),
        }
    }

    /// A delivery, mostly one that exists.
    pub(super) fn held(&mut self, db: &Db) -> Held {
        let group = self.stream(db, "jobs").and_then(|stream| stream.groups.get(b"postrider".as_slice()));
        let rows: Vec<Held> = group
            .into_iter()
            .flat_map(|group| &group.pending)
            .map(|(id, pending)| Held {
                consumer: String::from_utf8_lossy(&pending.consumer).into_owned(),
                id: id.to_string(),
                count: pending.count,
            })
            .collect();
        let wrong = Held {
            consumer: self.consumer().to_owned(),
            id: self.entry(db, "jobs"),
            count: self.rng.u64(..3),
        };
        if rows.is_empty() || self.chance(6) { wrong } else { rows[self.rng.usize(..rows.len())].clone() }
    }

    fn log(&mut self) -> Option<Log> {
        self.chance(3).then(|| Log { age_ms: 60_000, jobs: self.rng.u64(1..6), bytes: 100 })
    }

    fn settlement(&mut self, db: &Db) -> Call {
        let (held, log) = (self.held(db), self.log());
        let fields = self.fields();
        let mut job_ids = vec![held.id.clone()];
        let call = match self.rng.u32(..7) {
            0 => {
                let mut ids = vec![held.id.clone(), self.entry(db, "jobs")];
                let order = |id: &String| {
                    let (millis, sequence) = id.split_once('-').unwrap_or_default();
                    (millis.parse::<u64>().unwrap_or(0), sequence.parse::<u64>().unwrap_or(0))
                };
                ids.sort_by_key(order);
                ids.dedup();
                job_ids.clone_from(&ids);
                let count = self.chance(2).then_some(held.count);
                SHARD.complete(&held.consumer, count, self.one(&[None, Some(0), Some(3)]), &ids, log)
            }
            1 => SHARD.complete_with_result(&held, &held.id.clone(), 60_000, log),
            2 => {
                let result = self.chance(2).then_some(("1-0", 50_u64));
                let stream = self.one(&["dead", "rejected"]);
                SHARD.dead_letter(&held, stream, result, log, &fields)
            }
            3 => SHARD.dead_letter_entry(&held, self.rng.bool(), log, &fields),
            4 => SHARD.hand_back(&held, &fields),
            _ => {
                let expires = if self.chance(2) { db.now + self.rng.u64(..10) } else { 0 };
                let how = Postpone {
                    mode: self.one(&["retry", "delay", "flow"]),
                    delay_ms: self.rng.u64(..10),
                    not_before: 0,
                    enqueued_at: if self.rng.bool() { db.now.saturating_sub(3) } else { 0 },
                    flow: FLOW,
                    rank: self.rng.u64(..4),
                    expires,
                    is_counted: self.rng.bool(),
                };
                let job_id = if self.chance(3) { "1-0".to_owned() } else { held.id.clone() };
                SHARD.postpone(&held, &job_id, &how, &fields)
            }
        };
        self.more_of(call, &job_ids)
    }

    fn produce(&mut self) -> Call {
        let key = Some(("k", self.rng.u64(5..40)));
        let (fields, changes) = (self.fields(), self.rng.u64(..3));
        match self.rng.u32(..7) {
            6 => SHARD.enqueue_in_series(self.rng.u64(..3), self.rng.u64(5..40), &[&fields, &fields]),
            0 | 1 => SHARD.enqueue(None, self.rng.u64(..8), 0, &fields),
            2 => SHARD.enqueue(key, 0, changes, &fields),
            3 => SHARD.enqueue_all(&[None, key, key], changes, &fields),
            4 => SHARD.claim_keys("k", changes, 20),
            _ => match self.rng.u32(..4) {
                0 => SHARD.key_homes(20),
                1 => SHARD.reshard("reopen", &[self.rng.u32(1..4)]),
                2 => SHARD.reshard("shrunk", &[1, 2]),
                _ => SHARD.reshard("reshard", &[self.rng.u32(1..4)]),
            },
        }
    }

    fn by_hand(&mut self, db: &Db) -> Call {
        let flow = self.rng.bool().then_some(FLOW);
        let (result_ms, log) = (self.rng.bool().then_some(50), self.log());
        let job_id = String::from_utf8_lossy(&self.waiting(db)).into_owned();
        match self.rng.u32(..8) {
            0 | 1 => {
                let call = SHARD.cancel_ready(&self.entry(db, "jobs"), &job_id, result_ms, log);
                self.more_of(call, &[job_id])
            }
            2 => {
                let call = SHARD.cancel_waiting(&job_id, flow, result_ms, log);
                self.more_of(call, &[job_id])
            }
            3 => SHARD.run_now(&job_id, flow),
            4 => SHARD.replay("dead", &self.entry(db, "dead"), self.one(&[0, 10])),
            5 => Call::pause("q:m", self.one(&[0, db.now + 5]), self.one(&[0, 5])),
            6 => Call::resume("q:m"),
            _ => self.one(&[Call::read_control as fn() -> Call, || Call::watch(5)])(),
        }
    }

    fn flow(&mut self, db: &Db) -> Call {
        let consumer = self.consumer();
        match self.rng.u32(..6) {
            0 | 1 => {
                let expired = [self.waiting(db)];
                let expired = if self.rng.bool() { &expired[..] } else { &[] };
                SHARD.admit(FLOW, self.rng.u64(..3), self.rng.i64(-2..2), 5, expired, None)
            }
            2 => Call::flow_release(self.rng.bool()),
            3 => {
                let wait_ms = self.rng.u64(..10);
                let reports =
                    [Report::Works, Report::Fails { pause_ms: 3 }, Report::Asks { wait_ms, accepted: 2 }];
                Call::flow_report(consumer, self.one(&reports))
            }
            _ => {
                let ask = Ask {
                    making: self.rng.u64(..2),
                    more: self.rng.u64(..3),
                    is_made: self.rng.bool(),
                    is_paid: self.chance(3),
                    is_past_breaker: self.chance(3),
                    limits: FlowLimits { rate: self.one(&["0", "0", "100"]), most: self.one(&[0, 2]) },
                };
                Call::flow_acquire(consumer, ask)
            }
        }
    }

    fn loops(&mut self, db: &Db) -> Call {
        let consumer = self.consumer();
        match self.rng.u32(..13) {
            12 => SHARD.count(2),
            0 | 1 => SHARD.join(),
            2 => SHARD.leave(consumer),
            3 => {
                let held = self.held(db);
                let consumer = if self.rng.bool() { &held.consumer } else { consumer };
                SHARD.extend(consumer, LEASE_MS, &[(held.id.clone(), held.count)])
            }
            4 | 5 => {
                let expected = db.now + self.one(&[0, 0, 0, 1_000_000]);
                SHARD.reclaim(consumer, 1000 * LEASE_MS, self.rng.u64(..2), self.rng.bool(), expected)
            }
            6 => SHARD.reclaim(consumer, LEASE_MS, self.rng.u64(..2), self.rng.bool(), db.now),
            7 => SHARD.claim_lost(consumer, self.one(&["-", "5-1"]), LEASE_MS),
            8 | 9 => SHARD.promote(5, self.log()),
            10 => SHARD.sweep(),
            _ => {
                let (one, other) = (self.waiting(db), self.waiting(db));
                SHARD.requeue(&[(one, Some(FLOW)), (other, None)])
            }
        }
    }

    /// A definition as Redis has it, mostly.
    fn due(&mut self, db: &Db) -> Tick {
        let field = |kind: &str| match db.keys.get(&SHARD.key("cron")).map(|entry| &*entry.value) {
            Some(Value::Hash(hash)) => hash.get(format!("{kind}:p").as_bytes()).cloned(),
            _ => None,
        };
        let text = |kind: &str| String::from_utf8(field(kind).unwrap_or_default()).unwrap_or_default();
        let tick = if self.chance(6) { "5".to_owned() } else { text("n") };
        Tick { name: "p".to_owned(), text: text("d"), tick, last_job: text("j") }
    }

    fn periodic(&mut self, db: &Db) -> Call {
        let (due, next) = (self.due(db), Some(db.now + self.rng.u64(..10)));
        match self.rng.u32(..8) {
            0 | 1 => {
                let before = if self.chance(5) { "another" } else { due.text.as_str() };
                let next = next.filter(|_| self.rng.bool());
                let text = self.one(&["a definition", "another"]);
                SHARD.cron_apply(Some(("p", before, text)), next, self.one(&[&[] as &[&str], &["q"]]))
            }
            2 if self.chance(3) => SHARD.cron_apply(None, None, &["p"]),
            2 => SHARD.cron_pause("p", None),
            3 => SHARD.cron_pause("p", next),
            4 | 5 => SHARD.cron_due(self.rng.bool()),
            _ => {
                let jobs = vec![self.fields(); self.rng.usize(..3)];
                SHARD.cron_tick(&due, next.filter(|_| self.rng.bool()), [1, 0], &jobs)
            }
        }
    }
}
