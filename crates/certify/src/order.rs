//! The order of the jobs of a key: no job is attempted before an earlier one of its key has ended.

use std::collections::BTreeMap;

use super::destination::Visit;
use super::faults::Faults;
use super::job::Jobs;
use super::producer::Enqueued;

/// The requests that came after one for a later job of their key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Disorder {
    /// How many of them a fault explains: a second request of a job whose worker was paused or cut from Redis.
    pub(crate) explained: u64,
    /// The others, a line each.
    pub(crate) problems: Vec<String>,
}

/// The requests in any order.
pub(crate) fn check(jobs: &Jobs, enqueued: &[Enqueued], visits: &[Visit], faults: &Faults) -> Disorder {
    let mut by_key: BTreeMap<u64, Vec<&Visit>> = BTreeMap::new();
    // The order is that in which Redis has got them.
    let has_place = |visit: &&Visit| enqueued.get(visit.number as usize).is_some_and(|job| !job.failed_first);
    for visit in visits.iter().filter(has_place) {
        if let Some(key) = jobs.order_key(visit.number) {
            by_key.entry(key).or_default().push(visit);
        }
    }
    let mut found = Disorder::default();
    for (key, mut own) in by_key {
        own.sort_by_key(|visit| visit.arrived);
        for index in late(&own.iter().map(|visit| visit.number).collect::<Vec<_>>()) {
            let visit = own[index];
            // From the first request of the job on: whatever led to the late one has happened since.
            let is_same = |other: &&&Visit| other.number == visit.number;
            let from = own.iter().find(is_same).map_or(visit.arrived, |first| first.arrived);
            let is_between = |other: &&&Visit| other.arrived >= from && other.arrived <= visit.arrived;
            let pids: Vec<u32> = own.iter().filter(is_between).map(|other| other.pid).collect();
            let is_first = from == visit.arrived;
            match faults.explain(&pids, from, visit.arrived) {
                Some(_) if !is_first => found.explained += 1,
                _ => found.problems.push(format!(
                    "job {} of key {key} was attempted after a later one; faults then: {}",
                    visit.number,
                    faults.near(from, visit.arrived, from)
                )),
            }
        }
    }
    found
}

/// The indices of the numbers that come after a greater one.
fn late(numbers: &[u64]) -> Vec<usize> {
    let mut greatest = 0;
    let mut late = vec![];
    for (index, number) in numbers.iter().enumerate() {
        if *number < greatest {
            late.push(index);
        }
        greatest = greatest.max(*number);
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_after_a_greater_one_is_late() {
        assert_eq!(late(&[1, 1, 4, 7]), Vec::<usize>::new());
        assert_eq!(late(&[1, 4, 1, 7, 4]), [2, 4]);
    }
}
