//! What the simulation must show, on one thread and on two.

use super::*;

const THREADS: [usize; 2] = [1, 2];

/// Each number with each number of threads.
fn each(numbers: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    THREADS.into_iter().flat_map(move |threads| numbers.iter().map(move |number| (threads, *number)))
}

const EVERY: Duration = Duration::from_millis(100);
const QUICK: Host = Host::Answers(Duration::from_millis(5));

/// A healthy host with 10 jobs a second, and hanging ones with six jobs each, which come again.
fn beside_hanging(threads: usize, count: usize, healthy: Host) -> Simulation {
    let mut simulation = Simulation::new(threads, [vec![healthy], vec![Host::Hangs; count]].concat());
    simulation.jobs(0, Duration::ZERO, EVERY, 600);
    for host in 1..=count {
        simulation.jobs(host, Duration::from_secs(5), Duration::from_secs(9), 6);
    }
    simulation.run(Duration::from_secs(60));
    simulation
}

#[test]
fn a_proven_host_keeps_its_rate_beside_any_number_of_hanging_ones() {
    for (threads, count) in each(&[1, 100, 1000]) {
        let simulation = beside_hanging(threads, count, QUICK);
        assert!(simulation.worst(0, 0, 60, EVERY) >= 90, "{threads} threads, {count} hanging hosts");
        let slowest = simulation.delivered[0].iter().map(|(_, took)| *took).max();
        assert!(
            slowest < Some(Duration::from_millis(100)),
            "{threads} threads, {count} hanging hosts: {slowest:?}"
        );
    }
}

#[test]
fn a_slow_proven_host_keeps_its_rate() {
    for (threads, count) in each(&[0, 1, 100, 1000]) {
        let simulation = beside_hanging(threads, count, Host::Answers(Duration::from_secs(2)));
        let worst = simulation.worst(0, 20, 60, EVERY);
        assert!(worst >= 90, "{threads} threads, {count} hanging hosts: {worst} %");
    }
}

#[test]
fn an_untried_host_is_tried_within_one_timeout_and_keeps_its_rate() {
    const COUNT: usize = 200;
    for (threads, begin) in each(&[1, 5, 12, 31]) {
        let mut simulation = Simulation::new(threads, [vec![Host::Hangs; COUNT], vec![QUICK]].concat());
        for host in 0..COUNT {
            simulation.jobs(host, Duration::ZERO, EVERY, 6);
        }
        let begins = Duration::from_secs(begin as u64);
        simulation.jobs(COUNT, begins, EVERY, 600);
        simulation.run(Duration::from_secs(60));
        let tried = simulation.tried[COUNT].expect("it is tried");
        assert!(tried - begins <= TIMEOUT + Duration::from_secs(1), "{threads} threads, {begin}: {tried:?}");
        assert!(simulation.worst(COUNT, tried.as_secs() + 1, 60, EVERY) >= 90, "{threads} threads, {begin}");
    }
}

/// Few slots, so that the attempts that hold the share end at the same time.
#[test]
fn an_untried_host_is_tried_within_one_timeout_beside_others_that_began_together() {
    const COUNT: usize = 80;
    for (threads, later) in each(&[250, 300, 350, 400, 450, 501, 502, 503]) {
        let mut simulation =
            Simulation::with_slots(16, threads, [vec![Host::Hangs; COUNT], vec![QUICK]].concat());
        for host in 0..COUNT {
            simulation.jobs(host, Duration::from_millis(host as u64), Duration::from_millis(COUNT as u64), 3);
        }
        let begins = Duration::from_millis(later as u64);
        simulation.jobs(COUNT, begins, EVERY, 300);
        simulation.run(Duration::from_secs(40));
        let tried = simulation.tried[COUNT].expect("it is tried");
        assert!(tried - begins <= TIMEOUT + Duration::from_secs(1), "{threads} threads, {later}: {tried:?}");
        let worst = simulation.worst(COUNT, tried.as_secs() + 1, 30, EVERY);
        assert!(worst >= 90, "{threads} threads, {later}: {worst} %");
    }
}

#[test]
fn many_healthy_hosts_are_proven_quickly() {
    const COUNT: usize = 500;
    for threads in THREADS {
        let mut simulation = Simulation::new(threads, vec![QUICK; COUNT]);
        for host in 0..COUNT {
            simulation.jobs(host, Duration::ZERO, EVERY, 5);
        }
        simulation.run(Duration::from_secs(5));
        let slowest = simulation.delivered.iter().flatten().map(|(_, took)| *took).max();
        let fewest = simulation.delivered.iter().map(Vec::len).min();
        assert_eq!(fewest, Some(5), "{threads} threads");
        assert!(slowest < Some(Duration::from_millis(500)), "{threads} threads: {slowest:?}");
    }
}

/// Some jobs of a host hang, and the others are answered.
#[test]
fn hanging_jobs_do_not_stop_the_others_of_their_flow() {
    for threads in THREADS {
        let mut simulation = Simulation::new(threads, vec![Host::Hangs]);
        simulation.jobs(0, Duration::ZERO, Duration::from_millis(1), 8);
        simulation.run(Duration::from_millis(6_500));
        // From here on every job is answered: the flow makes one attempt at a time although others hang.
        simulation.hosts[0] = QUICK;
        simulation.jobs(0, Duration::from_secs(7), Duration::from_secs(1), 20);
        simulation.run(Duration::from_secs(30));
        let good: Vec<_> = simulation.delivered[0].iter().rev().take(20).collect();
        assert_eq!(good.len(), 20, "{threads} threads");
        let slowest = good.iter().map(|(_, took)| *took).max();
        assert!(slowest < Some(Duration::from_secs(2)), "{threads} threads: {slowest:?}");
    }
}

/// All hosts have answered, and then all but one stop at the same time.
#[test]
fn hosts_that_stop_answering_together_do_not_stop_a_proven_one() {
    for (threads, count) in each(&[1, 10, 100]) {
        let mut simulation = Simulation::new(threads, vec![QUICK; count + 1]);
        for host in 0..=count {
            simulation.jobs(host, Duration::from_millis(host as u64), EVERY, 600);
        }
        simulation.run(Duration::from_secs(20));
        simulation.hosts[1..].fill(Host::Hangs);
        simulation.run(Duration::from_secs(60));
        let worst = simulation.worst(0, 0, 60, EVERY);
        assert!(worst >= 90, "{threads} threads, {count} hosts stop: {worst} %");
    }
}

/// The first thread, which the host has answered, stands still when the others begin to hang.
#[test]
fn a_host_that_has_answered_one_thread_keeps_its_rate_on_another() {
    let mut simulation = Simulation::new(2, [vec![QUICK], vec![Host::Hangs; 1000]].concat());
    simulation.jobs(0, Duration::ZERO, EVERY, 600);
    simulation.only = Some(0);
    simulation.run(Duration::from_secs(5));
    for host in 1..=1000 {
        simulation.jobs(host, Duration::from_secs(5), Duration::from_secs(9), 6);
    }
    simulation.only = Some(1);
    simulation.run(Duration::from_secs(60));
    let worst = simulation.worst(0, 0, 60, EVERY);
    assert!(worst >= 90, "{worst} %");
    let slowest = simulation.delivered[0].iter().map(|(_, took)| *took).max();
    assert!(slowest < Some(Duration::from_millis(100)), "{slowest:?}");
}
