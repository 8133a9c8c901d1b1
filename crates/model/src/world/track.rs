//! The world as a real one runs: each loop has its turn as soon as it can, and time passes when nothing else can happen. Only what
//! comes from outside is chosen: that is what is replayed against a real worker.

use std::rc::Rc;
use std::sync::Arc;

use super::control::Pausable;
use super::fault::Fault;
use super::job::{self, Shape};
use super::worker::{Answer, Life};
use super::{JOBS, Rules, SHARD, World, fingerprint};
use crate::calls::GROUP;
use crate::faults::Fate;
use crate::redis::{Id, Value};
use crate::scripts::Sources;

/// How often time passes until nothing happens any more, at most.
const TICKS_MAX: usize = 60;
/// How often a worker is killed at most: a job that has been delivered more often runs alone.
const KILLS_MAX: u8 = 2;

/// What comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Enqueue(usize, Shape),
    /// The destination answers the request of a job.
    Answer(usize, Answer),
    Kill,
    Stop,
    Start,
    Cancel(usize),
    Replay(usize),
    Pause(Pausable),
    Resume(Pausable),
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nobody has enqueued it, or it has ended without a trace.
    Nowhere,
    Ready,
    Running,
    Scheduled,
    Held,
    /// After that number of attempts.
    Dead(u64),
}

/// What can be seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) places: [Place; JOBS],
    /// How many requests of each job have arrived.
    pub(crate) arrived: [usize; JOBS],
    /// Whether the destination has not answered the last one.
    pub(crate) waits: [bool; JOBS],
    /// How many results are kept.
    pub(crate) results: usize,
}

/// A run.
pub(crate) struct Track {
    world: World,
    rules: Rules,
    /// The worker that runs, if one does, is this one.
    worker: usize,
    kills: u8,
    arrived: [usize; JOBS],
    /// The flights whose request has arrived: the process and the entry.
    counted: Vec<(u8, usize, Id)>,
}

impl Track {
    /// A worker runs, and nothing is enqueued.
    pub(crate) fn start() -> Self {
        let rules = Rules {
            sources: Arc::new(Sources::new(&[])),
            slip: None,
            ticks_max: u8::MAX,
            jobs: JOBS,
            calm: Rc::default(),
        };
        let mut world = World::start(&rules, &[], 0);
        world.stop_worker(&rules, 1);
        Self { world, rules, worker: 0, kills: 0, arrived: [0; JOBS], counted: vec![] }
    }

    fn is_up(&self) -> bool {
        self.world.workers[self.worker].life == Life::Up
    }

    /// What may happen next.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = vec![];
        let is_paused = |what: Pausable| self.world.server.pauses[what as usize].is_some();
        if let Some(job) = (0..JOBS).find(|job| !self.world.server.is_enqueued[*job]) {
            let shapes = [Shape::Plain, Shape::Delayed, Shape::Limited, Shape::Result];
            events.extend(shapes.map(|shape| Event::Enqueue(job, shape)));
            // Otherwise the clock decides whether it is sent.
            if self.is_up() && is_paused(Pausable::Flow) && !is_paused(Pausable::Queue) {
                events.push(Event::Enqueue(job, Shape::Expiring));
            }
        }
        let seen = self.seen();
        for job in 0..JOBS {
            if seen.waits[job] {
                events.extend([Answer::Success, Answer::Failure].map(|answer| Event::Answer(job, answer)));
            }
            match seen.places[job] {
                Place::Ready | Place::Scheduled | Place::Held => events.push(Event::Cancel(job)),
                Place::Dead(_) => events.push(Event::Replay(job)),
                _ => {}
            }
        }
        if self.is_up() {
            let flights = self.world.workers[self.worker].flights.values();
            if self.kills < KILLS_MAX && flights.into_iter().all(|flight| flight.count < 2) {
                events.push(Event::Kill);
            }
            events.push(Event::Stop);
        } else {
            events.push(Event::Start);
        }
        for what in Pausable::ALL {
            events.push(if is_paused(what) { Event::Resume(what) } else { Event::Pause(what) });
        }
        events
    }

    /// Whether nothing is left to do but to wait for the end.
    pub(crate) fn ends(&self) -> Option<Event> {
        let seen = self.seen();
        if !self.is_up() {
            return Some(Event::Start);
        }
        let paused =
            Pausable::ALL.into_iter().find(|what| self.world.server.pauses[*what as usize].is_some());
        let waiting = (0..JOBS).find(|job| seen.waits[*job]);
        paused.map(Event::Resume).or(waiting.map(|job| Event::Answer(job, Answer::Success)))
    }

    /// Something happens, and whatever follows from it.
    pub(crate) fn happen(&mut self, event: Event) {
        let (rules, worker) = (self.rules.clone(), self.worker);
        let world = &mut self.world;
        match event {
            Event::Enqueue(job, shape) => world.enqueue(&rules, job, shape, Fate::Answered),
            Event::Answer(job, answer) => {
                if let Some(id) = world.flight_of(worker, job) {
                    // Its request was sent before anything was paused.
                    let paused = std::mem::take(&mut world.workers[worker].paused);
                    world.try_job(&rules, worker, id, answer);
                    world.workers[worker].paused = paused;
                }
            }
            Event::Kill => {
                self.kills += 1;
                world.happen(&rules, Fault::Kill(worker), Fate::Answered);
            }
            Event::Stop => world.stop_worker(&rules, worker),
            Event::Start => {
                self.worker = 1 - worker;
                world.start_worker(self.worker, &rules);
            }
            Event::Cancel(job) => drop(world.happen(&rules, Fault::Cancel(job), Fate::Answered)),
            Event::Replay(job) => drop(world.happen(&rules, Fault::Replay(job), Fate::Answered)),
            Event::Pause(what) => world.pause_jobs(&rules, what, 0, Fate::Answered),
            Event::Resume(what) => world.resume_jobs(&rules, what),
        }
        self.settle_down();
    }

    /// Every loop has its turn until nothing happens, also with time.
    fn settle_down(&mut self) {
        let (rules, worker) = (self.rules.clone(), self.worker);
        for _ in 0..TICKS_MAX {
            if !self.is_up() {
                return;
            }
            loop {
                let before = fingerprint(&self.world);
                let process = self.world.workers[worker].process;
                let is_sent = |id| self.counted.contains(&(process, worker, id));
                self.world.go_on(&rules, worker, is_sent);
                if fingerprint(&self.world) == before {
                    break;
                }
            }
            self.count_requests();
            if !self.needs_time() {
                return;
            }
            self.world.pass(&rules);
        }
        panic!("something happens again and again: {:?}", self.seen());
    }

    fn count_requests(&mut self) {
        let own = &self.world.workers[self.worker];
        for (id, flight) in own.flights.iter().filter(|(_, flight)| flight.ending.is_none()) {
            let key = (own.process, self.worker, *id);
            let job = flight.fields.iter().find_map(|part| job::number_of(part));
            if let Some(job) = job.filter(|_| !self.counted.contains(&key)) {
                self.counted.push(key);
                self.arrived[job] += 1;
            }
        }
    }

    /// Whether something happens after some time.
    fn needs_time(&self) -> bool {
        let (world, worker) = (&self.world, self.worker);
        let is_paused = |what| world.pauses(worker, what);
        let is_held = world.has_held() && !is_paused(Pausable::Queue) && !is_paused(Pausable::Flow);
        world.has_members("scheduled")
            || world.has_members("expiring")
            || is_held
            || !is_paused(Pausable::Queue) && world.has_foreign_entries(worker)
    }

    /// What can be seen from outside.
    pub(crate) fn seen(&self) -> Seen {
        let waits = |job: usize| self.is_up() && self.world.flight_of(self.worker, job).is_some();
        let prefix = SHARD.key("result:");
        let keys = self.world.server.db.keys.keys();
        Seen {
            places: std::array::from_fn(|job| self.world.place_of(job)),
            arrived: self.arrived,
            waits: std::array::from_fn(waits),
            results: keys.filter(|key| key.starts_with(&prefix)).count(),
        }
    }
}

impl World {
    /// Every loop of a worker has its turn. Requests get no answer.
    fn go_on(&mut self, rules: &Rules, worker: usize, is_sent: impl Fn(Id) -> bool) {
        if self.has_news(worker) {
            self.read_control(rules, worker);
        }
        if self.has_new() && !self.pauses(worker, Pausable::Queue) {
            self.fetch(rules, worker, Fate::Answered);
        }
        let ids: Vec<Id> = self.workers[worker].flights.keys().copied().collect();
        for id in ids {
            let flight = self.workers[worker].flights.get(&id);
            if flight.is_some_and(|flight| flight.ending.is_none()) && !is_sent(id) {
                self.try_job(rules, worker, id, Answer::Open);
            }
            self.settle(rules, worker, id, Fate::Answered);
        }
        if self.has_due_jobs() {
            self.promote(rules, worker, Fate::Answered);
        }
        if self.workers[worker].wakes {
            self.admit(rules, worker, Fate::Answered);
        }
        if !self.workers[worker].expired.is_empty() {
            self.expire(rules, worker, Fate::Answered);
        }
        let may = !self.pauses(worker, Pausable::Queue) && self.may_reclaim(rules, worker);
        if may && self.has_expired(worker) {
            self.ask(rules, worker);
            self.reclaim(rules, worker, Fate::Answered);
        }
    }

    /// Whether entries are pending that the worker does not have in flight.
    fn has_foreign_entries(&self, worker: usize) -> bool {
        let group = self.jobs().and_then(|stream| stream.groups.get(GROUP.as_bytes()));
        let own = &self.workers[worker].flights;
        group.is_some_and(|group| group.pending.keys().any(|id| !own.contains_key(id)))
    }

    fn place_of(&self, job: usize) -> Place {
        if let Some(id) = self.entry_of("jobs", job) {
            let group = self.jobs().and_then(|stream| stream.groups.get(GROUP.as_bytes()));
            let is_running = group.is_some_and(|group| group.pending.contains_key(&id));
            return if is_running { Place::Running } else { Place::Ready };
        }
        if let Some((_, flow)) = self.waiting_of(job) {
            return if flow.is_some() { Place::Held } else { Place::Scheduled };
        }
        let Some(Value::Stream(dead)) = self.value("dead") else { return Place::Nowhere };
        let letter = self.entry_of("dead", job).and_then(|id| dead.entries.get(&id));
        letter.map_or(Place::Nowhere, |fields| Place::Dead(job::attempts(fields)))
    }

    /// The flight of a job that has no ending.
    fn flight_of(&self, worker: usize, job: usize) -> Option<Id> {
        let is_it = |fields: &[Vec<u8>]| fields.iter().any(|part| job::number_of(part) == Some(job));
        let mut flights = self.workers[worker].flights.iter();
        flights.find(|(_, flight)| flight.ending.is_none() && is_it(&flight.fields)).map(|(id, _)| *id)
    }
}
