//! How a worker settles its jobs.

use e2e::resp::Reply;
use postrider_queue::Fields;
use postrider_queue::job::{Delivery, Job};
use postrider_queue::work::{CallbackBody, CallbackJob, fields};

use super::view::{callback_of, number_of, place_of};
use super::{ATTEMPTS_MAX, Conclusion, Fate, Lines, SHARD, STEP_MS, Stage, Verdict};
use crate::calls::{Call, Held, LineMode, MARK, Postpone};
use crate::faults::Kind;
use crate::redis::Id;
use crate::scripts::Sources;
use crate::world::job;
use crate::world::replies::{bytes, parts};

/// The mark of a job.
fn mark_of(job_id: &str) -> String {
    sha1_smol::Sha1::from([MARK, job_id].concat()).digest().to_string()
}

pub(super) fn job_id_of(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&fields::job_id(delivery)).into_owned()
}

/// The callback of a job that has ended, as a script gets it, and its job id. `is_ours` is whether the caller adds the mark.
pub(super) fn callback(
    delivery: &Delivery,
    succeeds: bool,
    now: u64,
    is_ours: bool,
) -> Option<(String, String)> {
    let callbacks = Job::decode(delivery).ok()?.callbacks?;
    let to = if succeeds { callbacks.on_success.as_ref()? } else { callbacks.on_failure.as_ref()? };
    let ended = CallbackBody {
        job_id: job_id_of(delivery),
        queue: "m".to_owned(),
        enqueued_at: now,
        ended_at: now,
        ..CallbackBody::default()
    };
    let callback = CallbackJob::new(to, &ended, None);
    let flat = job::flat(&callback.fields);
    let mut texts: Vec<_> = flat.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    if is_ours {
        texts.extend(["_mark".to_owned(), mark_of(&callback.job_id)]);
    }
    Some((serde_json::Value::from(texts).to_string(), callback.job_id))
}

/// The fields of a job after an attempt.
fn attempted(delivery: &Delivery, decoded: &Job) -> Fields {
    let mut written = job::after_attempt(delivery, decoded, decoded.trail.attempts + 1);
    if let Some(place) = &decoded.trail.place {
        fields::push(&mut written, "_place", place.clone());
    }
    written
}

fn letter(reply: &Reply) -> Option<u8> {
    match reply {
        Reply::Array(_) => parts(reply).first().and_then(letter),
        _ => bytes(reply).first().copied(),
    }
}

impl Lines {
    /// An attempt ends, and the worker settles the job.
    pub(super) fn finish(&mut self, sources: &Sources, worker: usize, id: Id, verdict: Verdict, fate: Fate) {
        let Some(flight) = self.workers[worker].flights.get_mut(&id) else { return };
        let decoded = Job::decode(&job::delivery(id, flight.count, &flight.fields));
        let made = decoded.as_ref().map_or(0, |job| job.trail.attempts);
        flight.stage = Stage::Ends(match verdict {
            _ if decoded.is_err() => Conclusion::Dead,
            Verdict::Works => Conclusion::Success,
            Verdict::Fails if made + 1 < ATTEMPTS_MAX => Conclusion::Retry,
            Verdict::Fails | Verdict::Refused => Conclusion::Dead,
        });
        self.settle(sources, worker, id, fate);
    }

    /// The call that settles a job.
    fn settlement(&self, held: &Held, delivery: &Delivery, ending: Conclusion) -> Option<Call> {
        let (decoded, now) = (Job::decode(delivery).ok()?, self.redis.db.now);
        let job_id = job_id_of(delivery);
        let called = |succeeds| callback(delivery, succeeds, now, true).map(|(text, _)| text);
        let (call, mode) = match ending {
            Conclusion::Success => match called(true) {
                None => {
                    let ids = std::slice::from_ref(&held.id);
                    let count = place_of(delivery).map(|_| held.count);
                    (SHARD.complete(&held.consumer, count, Some(0), ids, None), LineMode::Pass)
                }
                called => {
                    let call = SHARD.complete_with_result(held, &job_id, 0, None);
                    (call.with_callback(called), LineMode::Pass)
                }
            },
            Conclusion::Retry => {
                let how = Postpone {
                    mode: "retry",
                    delay_ms: STEP_MS,
                    not_before: 0,
                    enqueued_at: decoded.trail.at.unwrap_or(0),
                    flow: "",
                    rank: 0,
                    expires: 0,
                    is_counted: true,
                };
                return Some(SHARD.postpone(held, &job_id, &how, &job::flat(&attempted(delivery, &decoded))));
            }
            Conclusion::Dead => {
                let mut written = attempted(delivery, &decoded);
                fields::push(&mut written, "_job_id", job_id);
                fields::push(&mut written, "_reason", "attempts");
                let mode = if self.is_stopping { LineMode::Stop } else { LineMode::Pass };
                let call = SHARD.dead_letter(held, "dead", None, None, &job::flat(&written));
                (call.with_callback(called(false)), mode)
            }
            Conclusion::HandBack => {
                let mut written = fields::handed_back(delivery, now);
                fields::push(&mut written, "_mark", mark_of(&job_id));
                (SHARD.hand_back(held, &job::flat(&written)), LineMode::Keep)
            }
        };
        Some(match place_of(delivery) {
            None => call,
            Some(place) => call.in_line(SHARD, &[place.as_str().to_owned()], mode),
        })
    }

    /// Settles a job.
    pub(super) fn settle(&mut self, sources: &Sources, worker: usize, id: Id, fate: Fate) {
        let Some(flight) = self.workers[worker].flights.get(&id).cloned() else { return };
        let Stage::Ends(ending) = flight.stage else { return };
        let held = Held { consumer: self.name(worker), id: id.to_string(), count: flight.count };
        let delivery = job::delivery(id, flight.count, &flight.fields);
        let Some(call) = self.settlement(&held, &delivery, ending) else { return };
        let is_there = |world: &Self| world.stream("jobs").is_some_and(|jobs| jobs.entries.contains_key(&id));
        // A success ends a job under a lost lease, too, unless it is ordered.
        let is_final = call.script == "complete";
        let is_ours = (is_final || self.is_held(worker, id, flight.count)) && is_there(self);
        let before = self.redis.db.keys.clone();
        let rights = self.redis.left.of(Kind::Rights);
        let reply = self.call(sources, &call, fate);
        let lacks_right = self.redis.left.of(Kind::Rights) < rights;
        if !is_ours && self.redis.db.keys != before {
            self.broken = Some("fence: a settlement under a lost lease has no effect");
        }
        if is_ours && !is_there(self) {
            if let Some(job) = number_of(&flight.fields) {
                self.ended(job, ending, lacks_right);
            } else if let Some((job, kind)) =
                callback_of(&flight.fields).filter(|_| ending == Conclusion::Success)
            {
                self.redis.truth[job].called[kind] += 1;
            }
        }
        let flights = &mut self.workers[worker].flights;
        match &reply {
            _ if fate == Fate::Lost => {
                flights.get_mut(&id).into_iter().for_each(|flight| flight.in_doubt = true);
            }
            // The worker repeats it.
            Reply::Error(_) => {}
            // Done, or its lease is lost.
            _ => drop(flights.remove(&id)),
        }
        assert!(letter(&reply).is_none_or(|letter| b"ogl".contains(&letter)));
    }

    /// A settlement has removed the entry of a job.
    fn ended(&mut self, job: usize, ending: Conclusion, lacks_right: bool) {
        let (is_stopping, is_copied) = (self.is_stopping, self.live(job) > 0);
        let account = &mut self.redis.truth[job];
        match ending {
            Conclusion::Success => {
                account.ends[0] += 1;
                (account.is_over, account.is_nowhere) = (true, true);
            }
            Conclusion::Dead => {
                account.ends[1] += 1;
                account.is_over = true;
                // Without the right, it is not noted.
                account.stops = is_stopping && !lacks_right;
            }
            Conclusion::Retry | Conclusion::HandBack => {}
        }
        if is_copied && account.is_over && self.is_torn {
            // Another copy of it will be sent.
            self.is_disordered = true;
        }
    }
}
