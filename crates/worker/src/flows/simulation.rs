//! Simulates a worker with many destinations in virtual time: which slots they get.

mod scenarios;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;

use super::candidate::{Candidate, Line};
use super::flow::AttemptEnd;
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
    End { host: usize, key: AttemptKey, verdict: Verdict },
    Arrival { host: usize },
    Check,
}

const SLOTS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A worker, its jobs and its destinations.
struct Simulation {
    table: FlowTable,
    start: Instant,
    now: Instant,
    hosts: Vec<Host>,
    events: BTreeMap<(Instant, u64), Event>,
    number: u64,
    slots: usize,
    in_flight: usize,
    /// Jobs that no slot has been free for.
    stream: VecDeque<(usize, Instant)>,
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
    fn new(hosts: Vec<Host>) -> Self {
        let start = Instant::now();
        let mut simulation = Self {
            table: FlowTable::new(SLOTS, start),
            start,
            now: start,
            events: BTreeMap::new(),
            number: 0,
            slots: SLOTS,
            in_flight: 0,
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
                Event::Arrival { host } => self.stream.push_back((host, self.now)),
                Event::End { host, key, verdict } => {
                    self.in_flight -= 1;
                    let end = AttemptEnd { verdict, is_timeout: verdict == Verdict::Fails, job: self.number };
                    self.table.leave(key, Some(end), self.now);
                    self.wake(host);
                    self.wake_waiting();
                }
                Event::Check => {
                    self.slots = SLOTS + self.table.excess(self.now);
                    // As the scheduler does: each held flow is checked once a second.
                    if (self.now - self.start).subsec_millis() == 0 {
                        let held: Vec<usize> = self.held.keys().copied().collect();
                        held.into_iter().for_each(|host| self.wake(host));
                    }
                    self.wake_waiting();
                    self.plan(self.now + Duration::from_millis(50), Event::Check);
                }
            }
            while self.in_flight < self.slots
                && let Some((host, arrived)) = self.stream.pop_front()
            {
                self.begin_or_hold(host, arrived);
            }
        }
    }

    fn begin_or_hold(&mut self, host: usize, arrived: Instant) {
        let line = if self.held.contains_key(&host) { Line::Behind } else { Line::Free };
        match self.table.enter(&Candidate { line, ..Candidate::of(flow(host)) }, self.now) {
            Decision::Go(key) => return self.began(host, arrived, key),
            Decision::Crowded => self.table.wait(flow(host), self.now),
            Decision::Full { .. } => {}
        }
        self.held.entry(host).or_default().push_back(arrived);
        self.wake_waiting();
    }

    fn began(&mut self, host: usize, arrived: Instant, key: AttemptKey) {
        self.in_flight += 1;
        let since_start = self.now - self.start;
        self.tried[host].get_or_insert(since_start);
        let (took, verdict) = match self.hosts[host] {
            Host::Answers(took) => (took, Verdict::Works),
            Host::Hangs => (TIMEOUT, Verdict::Fails),
        };
        if verdict == Verdict::Works {
            self.delivered[host].push((since_start + took, self.now + took - arrived));
        }
        self.plan(self.now + took, Event::End { host, key, verdict });
    }

    fn wake(&mut self, host: usize) {
        let Some(mut jobs) = self.held.remove(&host) else { return };
        let room = self.table.room(flow(host), self.now);
        for _ in 0..room.min(jobs.len()) {
            if self.in_flight < self.slots
                && let Decision::Go(key) = self
                    .table
                    .enter(&Candidate { line: Line::Admitted, ..Candidate::of(flow(host)) }, self.now)
            {
                let arrived = jobs.pop_front().expect("no more than there are");
                self.began(host, arrived, key);
            }
        }
        if !jobs.is_empty() {
            self.held.insert(host, jobs);
        }
    }

    fn wake_waiting(&mut self) {
        for _ in 0..2 {
            let Some(next) = self.table.next_waiting(self.now) else { return };
            let host = (0..self.hosts.len()).find(|host| flow(*host) == next).expect("a known flow");
            self.wake(host);
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
