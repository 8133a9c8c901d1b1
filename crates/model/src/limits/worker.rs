//! What a worker does between two calls.

use e2e::resp::Reply;

use super::{Fate, Life, Limits, Step, TICK_MS, Verdict, WORKERS, key};
use crate::calls::{Ask, Call, Report, TRIAL_MS};
use crate::faults::Kind;
use crate::faulty::Event;
use crate::scripts::Sources;

/// The first pause of the breaker.
const PAUSE_MS: u64 = TICK_MS;

/// What a flow has granted.
struct Grant {
    granted: u64,
    why: u8,
}

fn number(reply: &Reply, index: usize) -> u64 {
    match reply {
        Reply::Array(parts) => match parts.get(index) {
            Some(Reply::Integer(number)) => number.unsigned_abs(),
            _ => 0,
        },
        _ => 0,
    }
}

fn letter(reply: &Reply, index: usize) -> u8 {
    match reply {
        Reply::Array(parts) => match parts.get(index) {
            Some(Reply::Bulk(text)) => text.first().copied().unwrap_or(0),
            _ => 0,
        },
        _ => 0,
    }
}

impl Limits {
    fn ask(&self, worker: usize, more: u64) -> Ask {
        let making = self.workers[worker].attempts.into();
        let limits = self.limits;
        Ask { making, more, is_made: false, is_paid: false, is_past_breaker: false, limits }
    }

    /// Asks the flow, and notes what is true of it then. Without a reply nothing is granted.
    fn acquire(&mut self, sources: &Sources, worker: usize, ask: Ask, fate: Fate) -> Grant {
        let call = Call::flow_acquire(&self.name(worker), ask);
        let reply = self.redis.call(sources, &call, fate);
        let grant = Grant { granted: number(&reply, 0), why: letter(&reply, 2) };
        self.judge(&ask, &grant);
        if fate == Fate::Answered { grant } else { Grant { granted: 0, why: 0 } }
    }

    fn judge(&mut self, ask: &Ask, grant: &Grant) {
        if grant.granted == 0 {
            return;
        }
        if !ask.is_paid {
            self.redis.truth.taken += 1;
        }
        let is_trial = b"tT".contains(&grant.why);
        let is_open = self.redis.truth.open_until.is_some_and(|until| self.redis.time < until);
        if is_open && !ask.is_past_breaker && !self.is_excused {
            self.broken = Some("breaker: while it is open, nothing is granted");
        }
        if is_trial {
            let ticks = u8::try_from(TRIAL_MS / TICK_MS).unwrap_or(u8::MAX);
            if self.redis.truth.trial.is_some_and(|since| self.redis.time < since + ticks) && !self.is_excused
            {
                self.broken = Some("trial: one at a time, until it is known or its time is over");
            }
            self.redis.truth.trial = Some(self.redis.time);
        }
    }

    fn begin(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        let own = &self.workers[worker];
        let ask = self.ask(worker, 1);
        if own.is_open && !own.has_trial {
            // Its breaker is or was open: only a trial may go.
            let grant = self.acquire(sources, worker, Ask { is_paid: true, ..ask }, fate);
            let own = &mut self.workers[worker];
            own.has_trial = grant.granted > 0 && grant.why != b'-';
            own.is_open = grant.granted == 0 || own.has_trial;
            return;
        }
        let has_trial = own.has_trial;
        let ask = Ask { is_made: true, is_past_breaker: has_trial, ..ask };
        let grant = self.acquire(sources, worker, ask, fate);
        let own = &mut self.workers[worker];
        own.has_trial = false;
        if grant.granted > 0 {
            own.attempts += 1;
            own.trials += u8::from(has_trial || grant.why != b'-' && grant.why != b'r' && grant.why != b'c');
        } else {
            own.is_open |= grant.why == b'o';
            if has_trial {
                self.release(sources, true, Fate::Answered);
            }
        }
    }

    fn begin_admitted(&mut self, sources: &Sources, worker: usize, is_trial: bool, fate: Fate) {
        let ask = Ask { is_made: true, is_paid: true, is_past_breaker: true, ..self.ask(worker, 1) };
        let grant = self.acquire(sources, worker, ask, fate);
        self.admitted = None;
        if grant.granted == 0 {
            return self.release(sources, is_trial, Fate::Answered);
        }
        let own = &mut self.workers[worker];
        own.attempts += 1;
        own.trials += u8::from(is_trial);
    }

    /// Gives back what was granted to a job that is not sent.
    fn release(&mut self, sources: &Sources, is_trial: bool, fate: Fate) {
        let reply = self.redis.call(sources, &Call::flow_release(is_trial), fate);
        // A right may be missing after the trial or the token was given back.
        if is_trial && !self.remembers("trial_until") {
            self.redis.truth.trial = None;
        } else if is_trial && !matches!(reply, Reply::Error(_)) {
            self.broken = Some("trial: one that is given back is free");
        }
        self.redis.truth.taken -= 1;
    }

    fn end(&mut self, sources: &Sources, worker: usize, is_trial: bool, verdict: Verdict, fate: Fate) {
        let name = self.name(worker);
        let own = &mut self.workers[worker];
        own.attempts -= 1;
        own.trials -= u8::from(is_trial);
        own.owes = true;
        match verdict {
            Verdict::Works if is_trial || own.is_open => {
                own.is_open = false;
                let reply = self.redis.call(sources, &Call::flow_report(&name, Report::Works), fate);
                if !matches!(reply, Reply::Error(_)) {
                    (self.redis.truth.trial, self.redis.truth.open_until) = (None, None);
                    if self.remembers("trips") {
                        self.broken = Some("breaker: an answer closes it");
                    }
                }
            }
            Verdict::Fails if is_trial || !own.is_open => {
                own.is_open = true;
                let report = Report::Fails { pause_ms: PAUSE_MS };
                let reply = self.redis.call(sources, &Call::flow_report(&name, report), fate);
                let is_alone = number(&reply, 2) == 1;
                if !matches!(reply, Reply::Error(_)) && !is_alone {
                    let ticks = u8::try_from(number(&reply, 0).div_ceil(TICK_MS)).unwrap_or(u8::MAX);
                    self.redis.truth.trial = None;
                    self.redis.truth.open_until = Some(self.redis.time.saturating_add(ticks));
                }
            }
            Verdict::NotSent if is_trial => self.release(sources, true, fate),
            _ => {}
        }
    }

    /// Reports how many attempts a worker makes.
    pub(super) fn report_count(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        let ask = Ask { is_paid: true, is_past_breaker: true, ..self.ask(worker, 0) };
        self.acquire(sources, worker, ask, fate);
        self.workers[worker].owes = false;
    }

    /// Time passes. Each worker that runs reports its attempts again.
    pub(super) fn pass(&mut self, sources: &Sources) {
        self.redis.pass();
        for worker in 0..WORKERS {
            if self.workers[worker].life == Life::Up && self.workers[worker].attempts > 0 {
                self.report_count(sources, worker, Fate::Answered);
            }
        }
        let is_counted = self.workers.iter().all(|own| own.life != Life::Paused || own.attempts == 0);
        if is_counted && self.exceeded_by() == 0 {
            self.is_excused = false;
        }
    }

    pub(super) fn do_step(&mut self, sources: &Sources, step: Step) {
        if let Some(fate) = fate_of(step) {
            self.redis.spend(fate);
        }
        match step {
            Step::Pass => self.pass(sources),
            Step::Begin(worker, fate) => self.begin(sources, worker, fate),
            Step::Admit(worker, fate) => {
                let grant = self.acquire(sources, worker, self.ask(worker, 1), fate);
                self.admitted = (grant.granted > 0).then_some(b"tT".contains(&grant.why));
            }
            Step::BeginAdmitted(worker, fate) => {
                let is_trial = self.admitted == Some(true);
                self.begin_admitted(sources, worker, is_trial, fate);
            }
            Step::Decline(_, fate) => {
                let is_trial = self.admitted.take() == Some(true);
                self.release(sources, is_trial, fate);
            }
            Step::End(worker, is_trial, verdict, fate) => self.end(sources, worker, is_trial, verdict, fate),
            Step::Count(worker, fate) => self.report_count(sources, worker, fate),
            Step::Start(worker) => self.start_worker(worker),
            Step::Continue(worker) => self.workers[worker].life = Life::Up,
            fault => self.happen(fault),
        }
    }

    pub(super) fn start_worker(&mut self, worker: usize) {
        let own = &mut self.workers[worker];
        (own.life, own.process) = (Life::Up, own.process + 1);
    }

    /// Whatever Redis knew of the flow is over, or deleted.
    fn forget(&mut self) {
        (self.is_excused, self.is_filled) = (true, true);
        (self.redis.truth.trial, self.redis.truth.open_until) = (None, None);
    }

    fn happen(&mut self, fault: Step) {
        match fault {
            Step::Kill(worker) => {
                self.redis.left.spend(Kind::Kill);
                let own = &mut self.workers[worker];
                (own.life, own.attempts, own.trials) = (Life::Absent, 0, 0);
                (own.is_open, own.has_trial, own.owes) = (false, false, false);
            }
            Step::Pause(worker) => {
                self.redis.left.spend(Kind::Pause);
                self.workers[worker].life = Life::Paused;
                // Its report expires, and its attempts go on.
                self.is_excused = true;
            }
            Step::Happen(event) => {
                self.redis.happen(event);
                match event {
                    Event::SetClock { .. } => self.forget(),
                    Event::Failover => self.is_excused = true,
                    Event::FillMemory | Event::FreeMemory => {}
                }
            }
            Step::DeleteKey => {
                self.redis.left.spend(Kind::Key);
                self.redis.db.keys.remove(&key());
                self.forget();
            }
            _ => {}
        }
    }
}

fn fate_of(step: Step) -> Option<Fate> {
    match step {
        Step::Begin(_, fate) | Step::Admit(_, fate) | Step::BeginAdmitted(_, fate) => Some(fate),
        Step::Decline(_, fate) | Step::End(_, _, _, fate) | Step::Count(_, fate) => Some(fate),
        _ => None,
    }
}
