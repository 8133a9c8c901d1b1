//! The account at the end: the result of each job, and the fault that explains each duplicate delivery.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::destination::Visit;
use super::faults::Faults;
use super::job::{CALLBACK, Jobs, Kind, has_callback};
use super::letters::{Letter, Letters};
use super::producer::Enqueued;
use super::report::{Account, Latency, Timeline};

/// Problems and examples that are kept at most.
const PROBLEMS_MAX: usize = 100;
const EXAMPLES_MAX: usize = 200;

/// What a run has recorded.
pub(crate) struct Records<'a> {
    pub(crate) jobs: &'a Jobs,
    pub(crate) enqueued: &'a [Enqueued],
    pub(crate) visits: &'a [Visit],
    pub(crate) letters: &'a Letters,
    pub(crate) faults: &'a Faults,
}

/// An account that is being made.
pub(crate) struct Accounting<'a> {
    records: &'a Records<'a>,
    pub(crate) account: Account,
    pub(crate) timeline: Timeline,
    pub(crate) problems: Vec<String>,
    pub(crate) examples: Vec<String>,
    /// How many problems there are, also those that are not kept.
    pub(crate) all_problems: usize,
}

/// A job or a callback, and whether it must have ended.
struct Due {
    number: u64,
    kind: Kind,
    must_end: bool,
    /// When Redis acknowledged the job, or that of which this is the callback, and when that ended: a failover that has lost both
    /// has lost the callback.
    known: [Instant; 2],
}

impl<'a> Accounting<'a> {
    /// Accounts for all jobs of a run that took this time.
    pub(crate) fn close(records: &'a Records<'a>, zero: Instant, took: Duration) -> Self {
        let mut accounting = Accounting {
            records,
            account: Account::default(),
            timeline: Timeline::new(zero, took),
            problems: Vec::new(),
            examples: Vec::new(),
            all_problems: 0,
        };
        accounting.account.enqueued = records.enqueued.len() as u64;
        accounting.account.acknowledged =
            records.enqueued.iter().filter(|job| job.acknowledged).count() as u64;
        accounting.account.requests = records.visits.len() as u64;
        accounting.count(zero);
        accounting
    }

    /// Adds a broken promise.
    pub(crate) fn problem(&mut self, text: String) {
        self.all_problems += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        }
    }

    /// Adds broken promises before those of single jobs, which may be many.
    pub(crate) fn problems_first(&mut self, mut others: Vec<String>) {
        self.all_problems += others.len();
        others.append(&mut self.problems);
        others.truncate(PROBLEMS_MAX);
        self.problems = others;
    }

    fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text());
        }
    }

    fn count(&mut self, zero: Instant) {
        let records = self.records;
        let mut by_job: HashMap<u64, Vec<&Visit>> = HashMap::new();
        for visit in records.visits {
            by_job.entry(visit.number).or_default().push(visit);
        }
        let (mut latencies, mut halves) = (Vec::new(), BTreeMap::<u64, Vec<Duration>>::new());
        for (number, job) in (0..).zip(records.enqueued) {
            let visits = by_job.remove(&number).unwrap_or_default();
            let letters = self.letters(number);
            let kind = Kind::of(number);
            self.timeline.at(job.at).enqueued += 1;
            // A job that waits for its turn is not late.
            let is_healthy = kind == Kind::Plain && records.jobs.order_key(number).is_none();
            if let Some(first) = visits.iter().find(|visit| visit.has_succeeded() && is_healthy) {
                let latency = first.arrived.saturating_duration_since(job.at);
                latencies.push(latency);
                halves
                    .entry(job.at.saturating_duration_since(zero).as_secs() / 30)
                    .or_default()
                    .push(latency);
                self.timeline.add_latency(job.at, latency);
            }
            let successes = visits.iter().filter(|visit| visit.has_succeeded()).map(|visit| visit.arrived);
            let ended = successes.chain(letters.iter().map(|letter| letter.read)).max();
            self.account.unacknowledged_done += u64::from(ended.is_some() && !job.acknowledged);
            let due = Due { number, kind, must_end: job.acknowledged, known: [job.at; 2] };
            self.account.delivered += self.book(&due, &visits, letters);
            if has_callback(number) {
                let reports = by_job.remove(&(CALLBACK + number)).unwrap_or_default();
                self.book_callback(number, ended, &reports, job.at);
            }
        }
        self.account.latency = Latency::of(&mut latencies);
        self.account.latencies = halves.values_mut().filter_map(|latencies| Latency::of(latencies)).collect();
        let known = records.enqueued.len() as u64;
        let unknown = by_job.keys().chain(records.letters.of_jobs.keys());
        let unknown: Vec<u64> = unknown.filter(|number| **number % CALLBACK >= known).copied().collect();
        for number in unknown {
            self.problem(format!("job {number} was never enqueued"));
        }
    }

    fn letters(&self, number: u64) -> &'a [Letter] {
        self.records.letters.of_jobs.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The end of a job and its callback are one: the callback of a job that has ended is delivered or dead, and nobody calls
    /// for one that has not.
    fn book_callback(&mut self, number: u64, ended: Option<Instant>, visits: &[&Visit], at: Instant) {
        let letters = self.letters(CALLBACK + number);
        if !(ended.is_some() || visits.is_empty() && letters.is_empty()) {
            self.problem(format!("job {number} has a callback and no end: {}", story(visits)));
        }
        let due = Due {
            number: CALLBACK + number,
            kind: Kind::Callback,
            must_end: ended.is_some(),
            known: [at, ended.unwrap_or(at)],
        };
        self.account.callbacks += self.book(&due, visits, letters);
    }

    /// Returns 1 if it was delivered, else 0.
    fn book(&mut self, due: &Due, visits: &[&Visit], letters: &[Letter]) -> u64 {
        let Due { number, kind, must_end, known } = *due;
        let mut successes: Vec<&Visit> =
            visits.iter().filter(|visit| visit.has_succeeded()).copied().collect();
        successes.sort_by_key(|visit| visit.arrived);
        for Letter { reason, .. } in letters {
            *self.account.dead.entry(reason.clone()).or_default() += 1;
            if reason == "poison" {
                self.example(|| format!("{kind:?} {number}, dead as poison: {}", story(visits)));
            }
            if !kind.may_die(reason) {
                self.problem(format!("job {number} ({kind:?}) is dead: {reason}"));
            }
        }
        if must_end && successes.is_empty() && letters.is_empty() {
            if known.iter().all(|at| self.records.faults.may_lose(*at, *at)) {
                self.account.lost_in_failover += 1;
            } else {
                self.account.lost += 1;
                self.problem(format!("job {number} ({kind:?}) is lost; its requests: {}", story(visits)));
            }
        }
        // A failover loses the end of a job soon after it was read, and the job ends again.
        let is_lost = |letter: &Letter| self.records.faults.may_lose(letter.read, letter.read);
        if !letters.iter().rev().skip(1).all(is_lost) {
            self.problem(format!("job {number} ({kind:?}) is dead {} times", letters.len()));
        }
        // A failover loses a job, and its producer or the job that it reports makes it again.
        let has_two = visits.iter().any(|visit| visit.job != visits[0].job);
        if has_two && !self.records.faults.may_lose(visits[0].arrived, visits[visits.len() - 1].arrived) {
            self.problem(format!(
                "job {number} ({kind:?}) was delivered under two job ids: {}",
                story(visits)
            ));
        }
        self.book_takeovers(visits);
        self.book_duplicates(due, visits, &successes);
        if let Some(first) = successes.first().filter(|_| kind != Kind::Callback) {
            self.timeline.at(first.arrived).delivered += 1;
        }
        u64::from(!successes.is_empty())
    }

    /// Counts requests by another worker than the one before, which had no answer or has succeeded.
    fn book_takeovers(&mut self, visits: &[&Visit]) {
        for pair in visits.windows(2) {
            let is_open = pair[0].answer.is_none() || pair[0].has_succeeded();
            if is_open && pair[0].pid != pair[1].pid {
                self.account.taken_over += 1;
                self.timeline.at(pair[1].arrived).taken_over += 1;
            }
        }
    }

    fn book_duplicates(&mut self, due: &Due, visits: &[&Visit], successes: &[&Visit]) {
        let (Due { number, kind, .. }, faults) = (due, self.records.faults);
        for pair in successes.windows(2) {
            let (from, to) = (pair[0].arrived, pair[1].arrived);
            self.timeline.at(to).duplicates += 1;
            let between = visits.iter().filter(|visit| visit.arrived >= from && visit.arrived <= to);
            let pids: Vec<u32> = between.map(|visit| visit.pid).collect();
            match faults.explain(&pids, from, to) {
                Some(fault) => {
                    *self.account.duplicates.entry(fault.window).or_default() += 1;
                    let fault = fault.describe(visits[0].arrived);
                    self.example(|| format!("{kind:?} {number}: {}; {fault}", story(visits)));
                }
                None => {
                    self.account.unexplained += 1;
                    self.problem(format!(
                        "job {number} ({kind:?}) was delivered twice, and nothing explains it: {}; faults then: {}",
                        story(visits),
                        faults.near(from, to, visits[0].arrived)
                    ));
                }
            }
        }
    }
}

/// The requests of a job: the time since the first one, the process, and the response.
fn story(visits: &[&Visit]) -> String {
    let tell = |visit: &&Visit| {
        let after = visit.arrived.saturating_duration_since(visits[0].arrived).as_millis();
        let answer = visit.answer.map_or_else(|| "none".to_owned(), |status| status.to_string());
        format!("+{after} ms {} {answer}", visit.pid)
    };
    visits.iter().map(tell).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
