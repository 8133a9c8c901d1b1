//! Settles jobs. Each settlement is one script, which refuses a lost lease.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::types::{Key, Value};
use telemetry::Context;

use super::bounds::{push_bounds, stream};
use super::line::{InLine, LineMode};
use super::transition::{KeptResult, Transition, WaitingJob};
use super::wait_reason::WaitReason;
use crate::job::{Fields, Lease, Reason};
use crate::redis::{Error, LogTarget, MARK_FIELD, QueueShard, Settled, number, push_fields, unexpected};
use crate::trail::CallbackJob;
use crate::trail::fields::{has_delay, value};

/// How many bytes of an entry are kept that is too large.
const RAW_BYTES: u64 = 64 * 1024;

/// Where a job waits, for the script that moves it there.
struct WaitingPlace {
    /// The schedule three times, or the set of a flow, the set of flows, and the set of expiring jobs.
    sets: [Key; 3],
    mode: &'static str,
    /// Whether an attempt has failed.
    is_retry: bool,
    delay: Duration,
    not_before: u64,
    rank: u32,
    expires: u64,
}

impl QueueShard {
    /// Settles one job. `line` is what becomes of its line if it has an order key.
    ///
    /// # Errors
    /// fred's. Then the job may be settled or not.
    pub async fn settle(
        &self,
        lease: Lease,
        transition: &Transition,
        line: Option<&InLine>,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let settled = self.write(lease, transition, line, parent).await;
        self.healed(settled).await
    }

    async fn write(
        &self,
        lease: Lease,
        transition: &Transition,
        line: Option<&InLine>,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let own = &self.0.keys;
        match transition {
            Transition::Complete { result: None, callback: None, log, .. } => {
                let place = line.map(|line| |_| Some(&line.place));
                let settled = self.complete(&[lease], |_| log.as_deref(), place, Some(0), parent).await?;
                Ok(settled.first().copied().unwrap_or(Settled::Gone))
            }
            Transition::Complete { result, log, callback, .. } => {
                let ended = (result.as_ref(), callback.as_deref(), line);
                self.complete_one(lease, ended, log.as_deref(), parent).await
            }
            Transition::Schedule { delay, not_before, why, job } => {
                let mode = if *why == WaitReason::Delay { "delay" } else { "retry" };
                let place = WaitingPlace {
                    is_retry: matches!(why, WaitReason::Backoff | WaitReason::RetryAfter),
                    sets: [(); 3].map(|()| own.scheduled.clone()),
                    mode,
                    delay: *delay,
                    not_before: *not_before,
                    rank: 0,
                    expires: 0,
                };
                self.postpone(lease, place, job, parent).await
            }
            Transition::Hold { flow, within, rank, expires, job, .. } => {
                let place = WaitingPlace {
                    sets: [own.flow(*flow), own.flows.clone(), own.expiring.clone()],
                    is_retry: false,
                    mode: "flow",
                    delay: *within,
                    not_before: 0,
                    rank: (*rank).min(1800),
                    expires: expires.unwrap_or(0),
                };
                self.postpone(lease, place, job, parent).await
            }
            Transition::DeadLetter { .. } => self.dead_letter(lease, transition, line, parent).await,
            Transition::HandBack { fields, .. } => self.hand_back(lease, fields, line, parent).await,
        }
    }

    /// Removes one succeeded job, stores its result and enqueues its callback.
    async fn complete_one(
        &self,
        lease: Lease,
        (result, callback, line): (Option<&KeptResult>, Option<&CallbackJob>, Option<&InLine>),
        log: Option<&str>,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let own = &self.0.keys;
        let key = result.map_or_else(|| own.jobs.clone(), |result| own.result(&result.job_id));
        let mut keys = vec![own.jobs.clone(), key, own.stats.clone()];
        let mut args = self.lease(lease);
        args.push(number(result.map_or(0, |result| result.ttl.as_millis() as u64)));
        args.push(result.map_or("", |result| &result.text).into());
        self.push_record(&mut keys, &mut args, log);
        self.push_callback(&mut args, callback);
        let scripts = &self.0.scripts;
        let script = match line {
            None => &scripts.complete_with_result,
            Some(line) => {
                self.push_end(&mut keys, &mut args, line);
                &scripts.in_line.complete_with_result
            }
        };
        self.settled_one(&script.call(&self.0.redis, parent, keys, args).await?)
    }

    /// Moves a job to the schedule, or to the set of its flow.
    async fn postpone(
        &self,
        lease: Lease,
        place: WaitingPlace,
        job: &WaitingJob,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let mut keys = vec![self.0.keys.jobs.clone(), self.0.keys.waiting.clone()];
        keys.extend(place.sets);
        keys.extend(place.is_retry.then(|| self.0.keys.stats.clone()));
        let mut args = self.lease(lease);
        args.push(job.job_id.clone().into());
        args.push(place.mode.into());
        args.push(number(place.delay.as_millis() as u64));
        args.push(number(place.not_before));
        args.push(number(job.enqueued.unwrap_or(0)));
        args.extend([number(place.rank.into()), number(place.expires)]);
        args.push(self.0.mark.text().as_ref().into());
        push_fields(&mut args, &job.fields);
        // When it returns, its producer's delay is over: it waited for that now, or had passed it before.
        if has_delay(&job.fields) {
            args.extend(["_waited".into(), "1".into()]);
        }
        let asked = Instant::now();
        let reply = self.0.scripts.postpone.call(&self.0.redis, parent, keys, args).await?;
        let (letter, due, now): (String, u64, u64) = reply.convert()?;
        self.0.clock.set(now, asked);
        match letter.as_str() {
            "o" => Ok(Settled::Waits(Duration::from_millis(due.saturating_sub(now)))),
            "d" => Ok(Settled::Due),
            "l" => Ok(Settled::Lost),
            "g" => Ok(Settled::Gone),
            _ => Err(unexpected()),
        }
    }

    /// Hands a job back to the end of the stream.
    async fn hand_back(
        &self,
        lease: Lease,
        fields: &Fields,
        line: Option<&InLine>,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let mut args = self.lease(lease);
        push_fields(&mut args, fields);
        let job_id = value(fields, "_job_id").unwrap_or_default();
        args.extend([MARK_FIELD.into(), self.0.mark.of(&job_id).into()]);
        let mut keys = vec![self.0.keys.jobs.clone()];
        let scripts = &self.0.scripts;
        let script = match line {
            None => &scripts.hand_back,
            Some(line) => {
                let places = std::iter::once(&line.place);
                self.push_line(&mut keys, &mut args, places, LineMode::Keep, None);
                &scripts.in_line.hand_back
            }
        };
        self.settled_one(&script.call(&self.0.redis, parent, keys, args).await?)
    }

    /// The keys of a dead letter. Adds the bounds of its stream, and its result.
    fn dead_stream(&self, args: &mut Vec<Value>, reason: Reason, result: Option<&KeptResult>) -> Vec<Key> {
        let own = &self.0.keys;
        let mut keys = vec![own.jobs.clone(), stream(own, reason), own.sizes.clone()];
        push_bounds(args, reason, result.map(|result| (result.ttl, result.text.as_str())));
        keys.push(result.map_or_else(|| keys[1].clone(), |result| own.result(&result.job_id)));
        keys.push(own.stats.clone());
        keys
    }

    /// Dead-letters a job.
    async fn dead_letter(
        &self,
        lease: Lease,
        letter: &Transition,
        line: Option<&InLine>,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let Transition::DeadLetter { reason, fields, is_partial, result, log, callback, .. } = letter else {
            return Err(unexpected());
        };
        let mut args = self.lease(lease);
        let mut keys = self.dead_stream(&mut args, *reason, result.as_ref());
        let (log, scripts) = (log.as_deref(), &self.0.scripts);
        let (script, in_line) = if *is_partial {
            args.extend([number(RAW_BYTES), number((*reason != Reason::Malformed).into())]);
            args.push(self.0.mark.text().as_ref().into());
            self.push_record(&mut keys, &mut args, log);
            let is_new =
                |name: &Bytes| matches!(name.as_ref(), b"_job_id" | b"_reason" | b"_error" | b"_callback");
            for (name, value) in fields.iter().filter(|(name, _)| is_new(name)) {
                args.extend([name.clone().into(), value.clone().into()]);
            }
            (&scripts.dead_letter_entry, &scripts.in_line.dead_letter_entry)
        } else {
            self.push_record(&mut keys, &mut args, log);
            push_fields(&mut args, fields);
            (&scripts.dead_letter, &scripts.in_line.dead_letter)
        };
        self.push_callback(&mut args, callback.as_deref());
        let script = match line {
            None => script,
            Some(line) => {
                self.push_end(&mut keys, &mut args, line);
                in_line
            }
        };
        self.settled_one(&script.call(&self.0.redis, parent, keys, args).await?)
    }

    /// Adds the callback of a job, if it has one, with the mark of an entry that a script of ours writes.
    fn push_callback(&self, args: &mut Vec<Value>, callback: Option<&CallbackJob>) {
        if let Some(callback) = callback {
            let mark = self.0.mark.of(callback.job_id.as_bytes());
            args.push(callback.list(Some((MARK_FIELD, mark))).into());
        }
    }

    /// Adds what the end of an ordered job needs.
    fn push_end(&self, keys: &mut Vec<Key>, args: &mut Vec<Value>, line: &InLine) {
        self.push_line(keys, args, std::iter::once(&line.place), LineMode::End, line.stop.as_ref());
    }

    /// Adds the record of one job for the delivery log, if there is one.
    fn push_record(&self, keys: &mut Vec<Key>, args: &mut Vec<Value>, record: Option<&str>) {
        let target = self.0.log.target();
        self.push_records(keys, args, target, record.map(|record| Bytes::copy_from_slice(record.as_bytes())));
    }

    /// Adds the keys and the bounds of the delivery log, if there is one, and the records.
    pub(super) fn push_records(
        &self,
        keys: &mut Vec<Key>,
        args: &mut Vec<Value>,
        target: Option<LogTarget>,
        records: Option<Bytes>,
    ) {
        if let (Some(target), Some(records)) = (target, records) {
            target.push(&self.0.keys, keys, args);
            args.push(records.into());
        }
    }

    /// Reads the reply of a script that ends jobs.
    pub(super) fn settled(&self, reply: &Value) -> Result<Vec<Settled>, Error> {
        let (settled, refusal) = Settled::parse(reply)?;
        if let Some(refusal) = refusal {
            self.0.log.refused(self.0.link.shard(), &refusal);
        }
        Ok(settled)
    }

    fn settled_one(&self, reply: &Value) -> Result<Settled, Error> {
        self.settled(reply)?.into_iter().next().ok_or_else(unexpected)
    }

    /// Group, consumer, entry and delivery: the first arguments of a settlement of one job.
    fn lease(&self, lease: Lease) -> Vec<Value> {
        let mut args = self.identity(2);
        args.push(lease.entry.to_string().into());
        args.push(number(lease.delivery));
        args
    }
}
