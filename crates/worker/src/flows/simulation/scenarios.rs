//! What the simulation must show.

use super::*;

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
