//! Accounts of made-up runs.

use super::super::faults::{Fault, Window};
use super::super::options::LEASE;
use super::*;

/// A plain job, without an order key and a callback.
const PLAIN: u64 = 16;

struct Made {
    jobs: Jobs,
    enqueued: Vec<Enqueued>,
    letters: Letters,
    faults: Faults,
    zero: Instant,
}

impl Made {
    /// A run with the jobs up to the plain one, of which only this one was acknowledged.
    fn new() -> Self {
        let zero = Instant::now();
        let job = |number| Enqueued { acknowledged: number == PLAIN, failed_first: false, at: zero };
        let jobs = Jobs { run: String::new(), rate: 80, destination: String::new(), hosts: vec![] };
        Self {
            jobs,
            enqueued: (0..=PLAIN).map(job).collect(),
            letters: Letters::default(),
            faults: Faults::default(),
            zero,
        }
    }

    fn visit(&self, pid: u32, leases: u32, answer: Option<u16>) -> Visit {
        Visit::of(PLAIN, pid, self.zero + leases * LEASE, answer)
    }

    /// The plain job is dead for these reasons, one lease after the other.
    fn dead(&mut self, reasons: &[&str]) {
        let letter = |(leases, reason): (u32, &&str)| Letter {
            reason: (*reason).to_owned(),
            read: self.zero + leases * LEASE,
        };
        self.letters.of_jobs.insert(PLAIN, (1..).zip(reasons).map(letter).collect());
    }

    /// Account, problems.
    fn close(&self, visits: &[Visit]) -> (Account, Vec<String>) {
        let (jobs, enqueued, letters, faults) = (&self.jobs, &self.enqueued, &self.letters, &self.faults);
        let records = Records { jobs, enqueued, visits, letters, faults };
        let accounting = Accounting::close(&records, self.zero, 10 * LEASE);
        (accounting.account, accounting.problems)
    }
}

#[test]
fn an_acknowledged_job_without_an_end_is_lost() {
    let made = Made::new();
    let (account, problems) = made.close(&[made.visit(7, 1, None)]);
    assert_eq!((account.lost, account.delivered, account.acknowledged), (1, 0, 1));
    assert!(problems[0].contains("job 16 (Plain) is lost"), "{problems:?}");
    let (account, problems) = made.close(&[made.visit(7, 1, Some(200))]);
    assert_eq!((account.lost, account.delivered, problems), (0, 1, vec![]));
}

#[test]
fn what_a_failover_has_lost_is_counted_apart() {
    let mut made = Made::new();
    let failover = |from| Fault { window: Window::FailedOver, pid: None, from, to: Some(from + LEASE) };
    made.faults = Faults(vec![failover(made.zero + 9 * LEASE)]);
    assert_eq!(made.close(&[]).0.lost, 1, "it was long after the job was acknowledged");
    made.faults = Faults(vec![failover(made.zero + LEASE)]);
    let (account, problems) = made.close(&[]);
    assert_eq!((account.lost, account.lost_in_failover, problems), (0, 1, vec![]));
}

#[test]
fn a_duplicate_needs_a_fault_of_its_worker() {
    let mut made = Made::new();
    let visits = [made.visit(7, 1, Some(200)), made.visit(8, 3, Some(200))];
    let (account, problems) = made.close(&visits);
    assert_eq!((account.unexplained, account.taken_over, problems.len()), (1, 1, 1));
    let death = made.zero + 2 * LEASE;
    let killed = |pid| Fault { window: Window::Killed, pid: Some(pid), from: death, to: Some(death) };
    made.faults = Faults(vec![killed(9)]);
    assert_eq!(made.close(&visits).0.unexplained, 1, "another worker was killed");
    made.faults = Faults(vec![killed(7)]);
    let (account, problems) = made.close(&visits);
    assert_eq!(
        (account.duplicates.get(&Window::Killed), account.unexplained, problems),
        (Some(&1), 0, vec![])
    );
}

#[test]
fn a_plain_job_may_not_be_dead_but_as_poison() {
    let mut made = Made::new();
    made.dead(&["final_status"]);
    assert!(made.close(&[]).1[0].contains("is dead: final_status"));
    made.dead(&["poison"]);
    let (account, problems) = made.close(&[]);
    assert_eq!((account.lost, account.dead.get("poison"), problems), (0, Some(&1), vec![]));
}

#[test]
fn a_job_is_dead_twice_only_if_a_failover_has_lost_its_first_end() {
    let mut made = Made::new();
    made.dead(&["poison", "poison"]);
    assert!(made.close(&[]).1[0].contains("is dead 2 times"));
    let from = made.zero + 2 * LEASE;
    made.faults = Faults(vec![Fault { window: Window::FailedOver, pid: None, from, to: Some(from + LEASE) }]);
    assert_eq!(made.close(&[]).1, Vec::<String>::new());
}

#[test]
fn two_job_ids_are_two_jobs_and_what_nobody_has_sent_is_a_problem() {
    let made = Made::new();
    let mut other = made.visit(7, 1, Some(503));
    other.job = 99;
    assert!(made.close(&[made.visit(7, 1, Some(200)), other]).1[0].contains("two job ids"));
    let mut unknown = made.visit(7, 1, Some(200));
    unknown.number = 500;
    assert!(made.close(&[unknown]).1.contains(&"job 500 was never enqueued".to_owned()));
}
