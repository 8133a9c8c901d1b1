//! Calls of the scripts of ordered jobs, of callbacks and of notices.

use postrider_queue::Fields;
use postrider_queue::job::LinePlace;

use super::Generator;
use crate::calls::{Asking, Call, Held, LineMode, Shard};
use crate::redis::{Bytes, Db, Id, Value};

const SHARD: Shard = Shard(0);
/// A callback, as scripts get it, and its job id.
const CALLBACK: (&str, &str) =
    (r#"["_job_id","1-0-callback","url","http://a.example/done","_callback_of","1-0"]"#, "1-0-callback");

/// The place of a job of the key `k`.
fn place_of(job_id: &str) -> String {
    let fields: Fields = vec![("order".into(), "k".into())];
    LinePlace::of(&fields, job_id.as_bytes()).map_or_else(String::new, |place| place.as_str().to_owned())
}

impl Generator {
    /// The same settlement, mostly with a callback, or of an ordered job.
    pub(super) fn more_of(&mut self, call: Call, job_ids: &[String]) -> Call {
        let (text, id) = (CALLBACK.0.to_owned(), CALLBACK.1.to_owned());
        let call = match call.script {
            "complete_with_result" | "dead_letter" | "dead_letter_entry" if self.chance(2) => {
                call.with_callback(Some(text))
            }
            "cancel_ready" | "cancel_waiting" if self.chance(2) => call.with_callback_of(Some((text, id))),
            _ => call,
        };
        if call.script == "postpone" || self.chance(2) {
            return call;
        }
        let places: Vec<String> = job_ids.iter().map(|job_id| place_of(job_id)).collect();
        let mode = match call.script {
            "hand_back" => LineMode::Keep,
            "dead_letter" | "dead_letter_entry" => self.one(&[LineMode::Pass, LineMode::Stop]),
            _ => LineMode::Pass,
        };
        call.in_line(SHARD, &places, mode)
    }

    /// A place that there is, or another one.
    fn place(&mut self, db: &Db) -> String {
        let places: Vec<Bytes> = match db.keys.get(&SHARD.key("order")).map(|entry| &*entry.value) {
            Some(Value::Sorted(set)) => {
                set.keys().filter(|place| !place.starts_with(b"!")).cloned().collect()
            }
            _ => vec![],
        };
        if places.is_empty() || self.chance(8) {
            let ids = ["1-0".to_owned(), self.entry(db, "jobs"), "made-up".to_owned()];
            return place_of(&ids[self.rng.usize(..ids.len())]);
        }
        String::from_utf8_lossy(&places[self.rng.usize(..places.len())]).into_owned()
    }

    /// A job that waits for its turn, or one that does not exist.
    fn in_line(&mut self, db: &Db) -> String {
        let ids: Vec<Bytes> = match db.keys.get(&SHARD.key("order_waiting")).map(|entry| &*entry.value) {
            Some(Value::Hash(hash)) => hash.keys().cloned().collect(),
            _ => vec![],
        };
        let id = if ids.is_empty() { b"1-0".to_vec() } else { ids[self.rng.usize(..ids.len())].clone() };
        String::from_utf8_lossy(&id).into_owned()
    }

    pub(super) fn line(&mut self, db: &Db) -> Call {
        match self.rng.u32(..12) {
            0..4 => self.take_turns(db),
            4 => SHARD.sweep_order_waiting(),
            5 => SHARD.sweep_lines(self.one(&["", "", "13fbd79c3d390e5d"])),
            6 | 7 => {
                let places = [self.place(db), self.place(db)];
                SHARD.drop_places(self.one(&["-", "-", "5-1"]), self.rng.u64(1..9), &places)
            }
            8 => SHARD.resume_line(&[self.place(db)]),
            9 => {
                let job_id = self.in_line(db);
                let call = SHARD.cancel_in_line(&job_id, "cancelled by hand");
                self.more_of(call, &[job_id])
            }
            10 => {
                let (id, place) = (self.entry(db, "dead"), self.place(db));
                let position = LinePlace::parse(&place).and_then(|place| place.position());
                SHARD.replay_in_line(&id, &place, &position.unwrap_or_default())
            }
            _ => {
                let states = self.one(&[["", "1"], ["1", ""], ["1", "2"], ["2", "1"]]);
                SHARD.notice("a subject", states, &self.fields())
            }
        }
    }

    fn take_turns(&mut self, db: &Db) -> Call {
        let mut held: Vec<Held> = vec![self.held(db), self.held(db)];
        let id = |held: &Held| Id::parse(held.id.as_bytes(), 0).map_or((0, 0), |id| (id.0, id.1));
        held.sort_by_key(id);
        held.dedup_by(|one, other| one.id == other.id);
        let consumer = held[0].consumer.clone();
        let asking = |held: Held| Asking { place: place_of(&held.id), id: held.id, count: held.count };
        SHARD.take_turns(&consumer, &held.into_iter().map(asking).collect::<Vec<_>>())
    }
}
