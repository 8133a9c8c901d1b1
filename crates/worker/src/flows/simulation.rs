//! Simulates a worker with many destinations in virtual time, on one thread and on two: which slots they get.

mod scenarios;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;

use super::candidate::{Candidate, Line};
use super::flow::AttemptEnd;
use super::shared::SharedFlows;
use super::silence::AttemptKey;
use super::table::{Decision, FlowTable};
use super::window::Verdict;

/// A destination.
#[derive(Clone, Copy, Debug)]
enum Host {
    /// Answers after this time.
    Answers(Duration),
    /// Never answers; its attempts end after the timeout.
    Hangs,
}

/// What happens at a time. Ends come before arrivals.
#[derive(Clone, Copy, Debug)]
enum Event {
    End { thread: usize, host: usize, key: AttemptKey, verdict: Verdict },
    Arrival { host: usize },
    Check,
}

const SLOTS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A thread of the worker.
struct Thread {
    table: FlowTable,
    own_slots: usize,
    slots: usize,
    in_flight: usize,
}

/// A job in the stream.
struct Waiting {
    host: usize,
    arrived: Instant,
    admitted: Option<Instant>,
}

/// A worker, its jobs and its destinations.
struct Simulation {
    threads: Vec<Thread>,
    /// The thread that is the first to read.
    next: usize,
    /// The only thread that reads, if the others stand still.
    only: Option<usize>,
    start: Instant,
    now: Instant,
    hosts: Vec<Host>,
    events: BTreeMap<(Instant, u64), Event>,
    number: u64,
    /// Jobs that no slot has been free for, and those that were admitted.
    stream: VecDeque<Waiting>,
    /// Jobs that wait in Redis, by flow.
    held: HashMap<usize, VecDeque<Instant>>,
    /// For each host, when each job was delivered, and how long it took since its arrival.
    delivered: Vec<Vec<(Duration, Duration)>>,
    /// When each host got its first attempt.
    tried: Vec<Option<Duration>>,
}

fn flow(host: usize) -> FlowId {
    FlowId::of(&format!("h{host}:80"))
}

impl Simulation {
    fn new(threads: usize, hosts: Vec<Host>) -> Self {
        Self::with_slots(SLOTS, threads, hosts)
    }

    fn with_slots(all: usize, threads: usize, hosts: Vec<Host>) -> Self {
        let start = Instant::now();
        let shared = (threads > 1).then(SharedFlows::default);
        let thread = |_| {
            let slots = all / threads;
            Thread {
                table: FlowTable::new(slots, shared.clone(), start),
                own_slots: slots,
                slots,
                in_flight: 0,
            }
        };
        let mut simulation = Self {
            threads: (0..threads).map(thread).collect(),
            next: 0,
            only: None,
            start,
            now: start,
            events: BTreeMap::new(),
            number: 0,
            stream: VecDeque::new(),
            held: HashMap::new(),
            delivered: vec![vec![]; hosts.len()],
            tried: vec![None; hosts.len()],
            hosts,
        };
        simulation.plan(start, Event::Check);
        simulation
    }

    fn plan(&mut self, at: Instant, event: Event) {
        self.number += 1;
        self.events.insert((at, self.number), event);
    }

    /// Jobs of a host, one each `every` from `from`, `count` in number.
    fn jobs(&mut self, host: usize, from: Duration, every: Duration, count: u32) {
        for number in 0..count {
            self.plan(self.start + from + every * number, Event::Arrival { host });
        }
    }

    fn run(&mut self, until: Duration) {
        while let Some(first) = self.events.first_entry() {
            if first.key().0 > self.start + until {
                break;
            }
            self.now = first.key().0;
            let event = first.remove();
            match event {
                Event::Arrival { host } => {
                    self.stream.push_back(Waiting { host, arrived: self.now, admitted: None });
                }
                Event::End { thread, host, key, verdict } => {
                    let ended = &mut self.threads[thread];
                    ended.in_flight -= 1;
                    let end = AttemptEnd { verdict, is_timeout: verdict == Verdict::Fails, job: self.number };
                    ended.table.leave(key, Some(end), self.now);
                    self.wake(thread, host);
                    self.wake_waiting(thread);
                }
                Event::Check => {
                    (0..self.threads.len()).for_each(|thread| self.check(thread));
                    self.plan(self.now + Duration::from_millis(50), Event::Check);
                }
            }
            while let Some(thread) = self.reader()
                && let Some(job) = self.stream.pop_front()
            {
                self.begin_or_hold(thread, &job);
            }
        }
    }

    fn check(&mut self, thread: usize) {
        let own = &mut self.threads[thread];
        own.slots = own.own_slots + own.table.excess(self.now);
        // As the scheduler does: each held flow is checked once a second.
        if (self.now - self.start).subsec_millis() == 0 {
            let held: Vec<usize> = self.held.keys().copied().collect();
            held.into_iter().for_each(|host| self.wake(thread, host));
        }
        self.wake_waiting(thread);
    }

    /// A thread with a free slot; another one for each job, where there are several.
    fn reader(&mut self) -> Option<usize> {
        let count = self.threads.len();
        let free = |thread: &usize| self.threads[*thread].in_flight < self.threads[*thread].slots;
        let reads = |thread: &usize| self.only.is_none_or(|only| only == *thread) && free(thread);
        let reader = (self.next..self.next + count).map(|thread| thread % count).find(reads)?;
        self.next = reader + 1;
        Some(reader)
    }

    fn begin_or_hold(&mut self, thread: usize, job: &Waiting) {
        let Waiting { host, arrived, admitted } = *job;
        let table = &mut self.threads[thread].table;
        let line = match admitted {
            Some(admitted) => {
                table.record_arrival(flow(host), self.now - admitted, self.now);
                Line::Admitted
            }
            None if self.held.contains_key(&host) => Line::Behind,
            None => Line::Free,
        };
        match table.enter(&Candidate { line, ..Candidate::of(flow(host)) }, self.now) {
            Decision::Go(key) => return self.began(thread, host, arrived, key),
            Decision::Crowded => table.wait(flow(host), self.now),
            Decision::Full { .. } => {}
        }
        self.held.entry(host).or_default().push_back(arrived);
        self.wake_waiting(thread);
    }

    fn began(&mut self, thread: usize, host: usize, arrived: Instant, key: AttemptKey) {
        self.threads[thread].in_flight += 1;
        let since_start = self.now - self.start;
        self.tried[host].get_or_insert(since_start);
        let (took, verdict) = match self.hosts[host] {
            Host::Answers(took) => (took, Verdict::Works),
            Host::Hangs => (TIMEOUT, Verdict::Fails),
        };
        if verdict == Verdict::Works {
            self.delivered[host].push((since_start + took, self.now + took - arrived));
        }
        self.plan(self.now + took, Event::End { thread, host, key, verdict });
    }

    /// Admits held jobs, which any thread may fetch.
    fn wake(&mut self, thread: usize, host: usize) {
        let Some(jobs) = self.held.get_mut(&host) else { return };
        let table = &mut self.threads[thread].table;
        let room = table.room(flow(host), self.now).min(jobs.len());
        table.expect(flow(host), room, self.now);
        for arrived in jobs.drain(..room) {
            self.stream.push_back(Waiting { host, arrived, admitted: Some(self.now) });
        }
        if jobs.is_empty() {
            self.held.remove(&host);
        }
    }

    fn wake_waiting(&mut self, thread: usize) {
        for _ in 0..2 {
            let Some(next) = self.threads[thread].table.next_waiting(self.now) else { return };
            let host = (0..self.hosts.len()).find(|host| flow(*host) == next).expect("a known flow");
            self.wake(thread, host);
        }
    }

    /// The fewest deliveries of a host in any window of 5 s between two times, in percent of one each `every`.
    fn worst(&self, host: usize, from: u64, until: u64, every: Duration) -> u128 {
        let window = Duration::from_secs(5);
        let count = |begin: Duration| {
            let within = |at: &&(Duration, Duration)| at.0 >= begin && at.0 < begin + window;
            self.delivered[host].iter().filter(within).count() as u128
        };
        let begins = (from * 10..=(until - 5) * 10).map(|tenths| Duration::from_millis(tenths * 100));
        let expected = window.as_millis() / every.as_millis();
        begins.map(count).min().expect("there is a window") * 100 / expected
    }
}
