//! Simulates a worker with many destinations in virtual time: which slots they get.

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

const EVERY: Duration = Duration::from_millis(100);
const QUICK: Host = Host::Answers(Duration::from_millis(5));

/// A healthy host with 10 jobs a second, and hanging ones with six jobs each, which come again.
fn beside_hanging(count: usize, healthy: Host) -> Simulation {
    let mut simulation = Simulation::new([vec![healthy], vec![Host::Hangs; count]].concat());
    simulation.jobs(0, Duration::ZERO, EVERY, 600);
    for host in 1..=count {
        simulation.jobs(host, Duration::from_secs(5), Duration::from_secs(9), 6);
    }
    simulation.run(Duration::from_secs(60));
    simulation
}

#[test]
fn a_proven_host_keeps_its_rate_beside_any_number_of_hanging_ones() {
    for count in [1, 100, 1000] {
        let simulation = beside_hanging(count, QUICK);
        assert!(simulation.worst(0, 0, 60, EVERY) >= 90, "{count} hanging hosts");
        let slowest = simulation.delivered[0].iter().map(|(_, took)| *took).max();
        assert!(slowest < Some(Duration::from_millis(100)), "{count} hanging hosts: {slowest:?}");
    }
}

#[test]
fn a_slow_proven_host_keeps_its_rate() {
    for count in [0, 1, 100, 1000] {
        let simulation = beside_hanging(count, Host::Answers(Duration::from_secs(2)));
        let worst = simulation.worst(0, 20, 60, EVERY);
        assert!(worst >= 90, "{count} hanging hosts: {worst} %");
    }
}

#[test]
fn an_untried_host_is_tried_within_one_timeout_and_keeps_its_rate() {
    const COUNT: usize = 200;
    for begin in [1, 5, 12, 31] {
        let mut simulation = Simulation::new([vec![Host::Hangs; COUNT], vec![QUICK]].concat());
        for host in 0..COUNT {
            simulation.jobs(host, Duration::ZERO, EVERY, 6);
        }
        let begins = Duration::from_secs(begin);
        simulation.jobs(COUNT, begins, EVERY, 600);
        simulation.run(Duration::from_secs(60));
        let tried = simulation.tried[COUNT].expect("it is tried");
        assert!(tried - begins <= TIMEOUT + Duration::from_secs(1), "{begin}: {tried:?}");
        assert!(simulation.worst(COUNT, tried.as_secs() + 1, 60, EVERY) >= 90, "{begin}");
    }
}

#[test]
fn many_healthy_hosts_are_proven_quickly() {
    const COUNT: usize = 500;
    let mut simulation = Simulation::new(vec![QUICK; COUNT]);
    for host in 0..COUNT {
        simulation.jobs(host, Duration::ZERO, EVERY, 5);
    }
    simulation.run(Duration::from_secs(5));
    let slowest = simulation.delivered.iter().flatten().map(|(_, took)| *took).max();
    let fewest = simulation.delivered.iter().map(Vec::len).min();
    assert_eq!(fewest, Some(5));
    assert!(slowest < Some(Duration::from_millis(500)), "{slowest:?}");
}

/// Some jobs of a host hang, and the others are answered.
#[test]
fn hanging_jobs_do_not_stop_the_others_of_their_flow() {
    let mut simulation = Simulation::new(vec![Host::Hangs]);
    simulation.jobs(0, Duration::ZERO, Duration::from_millis(1), 8);
    simulation.run(Duration::from_millis(6_500));
    // From here on every job is answered: the flow makes one attempt at a time although others hang.
    simulation.hosts[0] = QUICK;
    simulation.jobs(0, Duration::from_secs(7), Duration::from_secs(1), 20);
    simulation.run(Duration::from_secs(30));
    let good: Vec<_> = simulation.delivered[0].iter().rev().take(20).collect();
    assert_eq!(good.len(), 20);
    let slowest = good.iter().map(|(_, took)| *took).max();
    assert!(slowest < Some(Duration::from_secs(2)), "{slowest:?}");
}

/// All hosts have answered, and then all but one stop at the same time.
#[test]
fn hosts_that_stop_answering_together_do_not_stop_a_proven_one() {
    for count in [1, 10, 100] {
        let mut simulation = Simulation::new(vec![QUICK; count + 1]);
        for host in 0..=count {
            simulation.jobs(host, Duration::from_millis(host as u64), EVERY, 600);
        }
        simulation.run(Duration::from_secs(20));
        simulation.hosts[1..].fill(Host::Hangs);
        simulation.run(Duration::from_secs(60));
        let worst = simulation.worst(0, 0, 60, EVERY);
        assert!(worst >= 90, "{count} hosts stop: {worst} %");
    }
}
