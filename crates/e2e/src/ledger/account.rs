//! The account at the end: the result of each job, and the fault that explains each duplicate delivery.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Options;
use super::destination::Visit;
use super::faults::{Faults, Window};
use super::job::{CALLBACK, Kind, callback_number, has_callback, order_key};
use super::producer::Enqueued;
use crate::queue::DeadLetter;

/// The account of one run.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Jobs that the producer sent.
    pub enqueued: usize,
    /// Sent jobs that Redis acknowledged.
    pub acknowledged: usize,
    /// Jobs that received a successful response.
    pub delivered: usize,
    /// Callbacks that received a successful response.
    pub callbacks: usize,
    /// Ticks of periodic jobs.
    pub ticks: usize,
    /// Jobs among the dead letters, by reason.
    pub dead: BTreeMap<String, usize>,
    /// From the enqueue to the first successful request of plain jobs: the median and the 99th percentile.
    pub latency: Option<(Duration, Duration)>,
    /// The same for the plain jobs of each half minute of the run.
    pub latencies: Vec<(Duration, Duration)>,
    /// Requests, including those without a response.
    pub requests: usize,
    /// Duplicate successes, by the fault window that explains them.
    pub duplicates: BTreeMap<Window, usize>,
    /// Requests after one for a later job of their order key: repetitions that a fault explains.
    pub late: usize,
    /// One line for each duplicate and each poison dead letter, for a person.
    pub details: Vec<String>,
    /// The number of faults of the workers and of Redis, by name.
    pub faults: BTreeMap<&'static str, usize>,
    /// Broken promises. Empty when every promise was kept.
    pub problems: Vec<String>,
}

impl fmt::Display for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "enqueued        {}", self.enqueued)?;
        writeln!(formatter, "acknowledged    {}", self.acknowledged)?;
        writeln!(formatter, "delivered       {}", self.delivered)?;
        writeln!(formatter, "requests        {}", self.requests)?;
        writeln!(formatter, "callbacks       {}", self.callbacks)?;
        writeln!(formatter, "ticks           {}", self.ticks)?;
        if let Some((median, p99)) = self.latency {
            writeln!(formatter, "plain jobs      p50 {median:.0?}, p99 {p99:.0?} from enqueue to request")?;
        }
        for (number, (median, p99)) in self.latencies.iter().enumerate() {
            writeln!(formatter, "  from {:>4} s     p50 {median:.0?}, p99 {p99:.0?}", number * 30)?;
        }
        for (reason, count) in &self.dead {
            writeln!(formatter, "dead            {count} ({reason})")?;
        }
        writeln!(formatter, "duplicates      {}", self.duplicates.values().sum::<usize>())?;
        for (window, count) in &self.duplicates {
            writeln!(formatter, "                {count} ({window:?})")?;
        }
        writeln!(formatter, "late            {} (after a later job of their key)", self.late)?;
        for (name, count) in &self.faults {
            writeln!(formatter, "fault           {count} × {name}")?;
        }
        writeln!(formatter, "problems        {}", self.problems.len())?;
        self.problems.iter().take(20).try_for_each(|problem| writeln!(formatter, "  {problem}"))
    }
}

pub(super) fn close(
    options: &Options,
    jobs: &[Enqueued],
    visits: &[Visit],
    dead: &[DeadLetter],
    faults: &Faults,
    taken: BTreeMap<&'static str, usize>,
) -> Ledger {
    let acknowledged = jobs.iter().filter(|job| job.acknowledged).count();
    let mut ledger = Ledger {
        enqueued: jobs.len(),
        acknowledged,
        requests: visits.len(),
        faults: taken,
        ..Ledger::default()
    };
    let mut by_job: BTreeMap<u64, Vec<&Visit>> = BTreeMap::new();
    for visit in visits {
        by_job.entry(visit.number).or_default().push(visit);
    }
    let mut all_letters: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for letter in dead {
        let url = letter.field("url").unwrap_or_default();
        let path = url.find("/called").map_or("", |from| &url[from..]);
        let own = || letter.field("body").and_then(|body| body.parse().ok());
        match callback_number(path).or_else(own) {
            Some(number) => all_letters.entry(number).or_default().push(letter.reason()),
            None => ledger.problems.push(format!("a dead letter of no job: {letter:?}")),
        }
    }
    let mut latencies = Vec::new();
    let mut halves: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
    let start = jobs.first().map(|job| job.at);
    for (number, job) in (0..).zip(jobs) {
        let visits = by_job.remove(&number).unwrap_or_default();
        let letters = all_letters.remove(&number).unwrap_or_default();
        let kind = Kind::of(number, options.hostile);
        // A job that waits for its turn is not late.
        let is_plain = kind == Kind::Plain && order_key(number).is_none();
        if let Some(first) = visits.iter().find(|visit| visit.answer == Some(200) && is_plain) {
            let latency = first.arrived.saturating_duration_since(job.at);
            latencies.push(latency);
            let half = start.map_or(0, |start| job.at.saturating_duration_since(start).as_secs() / 30);
            halves.entry(half).or_default().push(latency);
        }
        ledger.book((number, kind), *job, &visits, &letters, faults);
        if has_callback(number) {
            let has_ended = visits.iter().any(|visit| visit.answer == Some(200)) || !letters.is_empty();
            let reports = by_job.remove(&(CALLBACK + number)).unwrap_or_default();
            let letters = all_letters.remove(&(CALLBACK + number)).unwrap_or_default();
            ledger.book_callback(number, *job, has_ended, (&reports, &letters), faults);
        }
    }
    ledger.latency = percentiles(&mut latencies);
    ledger.latencies = halves.values_mut().filter_map(|latencies| percentiles(latencies)).collect();
    for number in by_job.keys().chain(all_letters.keys()) {
        ledger.problems.push(format!("job {number} was never enqueued"));
    }
    ledger
}

/// The median and the 99th percentile.
fn percentiles(latencies: &mut [Duration]) -> Option<(Duration, Duration)> {
    latencies.sort_unstable();
    let percentile = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
    percentile(50).zip(percentile(99))
}

impl Ledger {
    /// The end of a job and its callback are one: the callback of a job that has ended is delivered or dead, and nobody calls
    /// for one that has not.
    fn book_callback(
        &mut self,
        number: u64,
        job: Enqueued,
        has_ended: bool,
        (visits, letters): (&[&Visit], &[String]),
        faults: &Faults,
    ) {
        if !(has_ended || visits.is_empty() && letters.is_empty()) {
            self.problems.push(format!("job {number} has a callback and no end: {}", story(visits)));
        }
        let (job, delivered) = (Enqueued { acknowledged: has_ended, ..job }, self.delivered);
        self.book((CALLBACK + number, Kind::Callback), job, visits, letters, faults);
        self.callbacks += self.delivered - delivered;
        self.delivered = delivered;
    }

    fn book(
        &mut self,
        (number, kind): (u64, Kind),
        job: Enqueued,
        visits: &[&Visit],
        letters: &[String],
        faults: &Faults,
    ) {
        let mut successes: Vec<&&Visit> = visits.iter().filter(|visit| visit.answer == Some(200)).collect();
        successes.sort_by_key(|visit| visit.arrived);
        self.delivered += usize::from(!successes.is_empty());
        for reason in letters {
            *self.dead.entry(reason.clone()).or_default() += 1;
            if reason == "poison" {
                self.details.push(format!("{kind:?} {number}, dead as poison: {}", story(visits)));
            }
        }
        if job.acknowledged && successes.is_empty() && letters.is_empty() {
            self.problems.push(format!("job {number} ({kind:?}) is lost; its requests: {}", story(visits)));
        }
        if letters.len() > 1 {
            self.problems.push(format!("job {number} ({kind:?}) is dead {} times", letters.len()));
        }
        for reason in letters.iter().filter(|reason| !kind.may_die(reason)) {
            self.problems.push(format!("job {number} ({kind:?}) is dead: {reason}"));
        }
        for pair in successes.windows(2) {
            let (from, to) = (pair[0].arrived, pair[1].arrived);
            let between = visits.iter().filter(|visit| visit.arrived >= from && visit.arrived <= to);
            let pids: Vec<Option<u32>> = between.map(|visit| visit.pid()).collect();
            match faults.explain(&pids, from, to) {
                Some(fault) => {
                    *self.duplicates.entry(fault.window).or_default() += 1;
                    let fault = fault.describe(visits[0].arrived);
                    self.details.push(format!("{kind:?} {number}: {}; {fault}", story(visits)));
                }
                None => self.problems.push(format!(
                    "job {number} ({kind:?}) was delivered twice, and nothing explains it: {}; faults then: {}",
                    story(visits),
                    faults.near(from, to, visits[0].arrived)
                )),
            }
        }
    }
}

/// The requests of a job: the time since the first one, the process, and the response.
fn story(visits: &[&Visit]) -> String {
    let tell = |visit: &&Visit| {
        let after = (visit.arrived - visits[0].arrived).as_millis();
        let pid = visit.pid().map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        let answer = visit.answer.map_or_else(|| "none".to_owned(), |status| status.to_string());
        format!("+{after} ms {pid} {answer}")
    };
    visits.iter().map(tell).collect::<Vec<_>>().join(", ")
}
