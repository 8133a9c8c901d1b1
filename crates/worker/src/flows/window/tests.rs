//! Tests of the window.

use super::*;

const SLOTS: usize = 64;
const QUICK: Duration = Duration::from_millis(1);

fn load(slow: usize) -> WorkerLoad {
    WorkerLoad { slots: SLOTS, free: SLOTS - slow, busy: slow, others_wait: false, suspicious_since: None }
}

fn fill(window: &mut Window, slow: usize, now: Instant) -> usize {
    let room = window.room(load(slow), now);
    (0..room).for_each(|_| window.begin(now));
    window.in_flight
}

#[test]
fn a_flow_begins_small_and_grows_with_its_responses() {
    let now = Instant::now();
    let mut window = Window::new(now);
    assert_eq!(fill(&mut window, 0, now), INITIAL_ATTEMPTS);
    for _ in 0..200 {
        window.end(Some(Verdict::Works), false, QUICK, SLOTS, now);
        fill(&mut window, 0, now);
    }
    assert_eq!(window.in_flight, 56, "an eighth is left to other flows");
}

#[test]
fn a_flow_that_fails_shrinks_to_one() {
    let now = Instant::now();
    let mut window = Window::new(now);
    for failures in 1..=6 {
        window.begin(now);
        window.end(Some(Verdict::Fails), false, QUICK, SLOTS, now);
        assert_eq!(window.failures, failures);
    }
    assert_eq!(window.room(load(0), now), 1);
    window.begin(now);
    window.end(Some(Verdict::Works), false, QUICK, SLOTS, now);
    assert_eq!((window.failures, window.room(load(0), now)), (0, 2));
}

#[test]
fn a_flow_that_stops_responding_gets_no_more() {
    let now = Instant::now();
    let mut window = Window::new(now);
    (0..40).for_each(|_| window.end(Some(Verdict::Works), false, QUICK, SLOTS, now));
    (0..10).for_each(|_| window.begin(now));
    assert!(window.room(load(0), now) > 0);
    let later = now + STALL_AFTER + QUICK;
    assert_eq!(window.room(load(0), later), 0);
    window.end(Some(Verdict::Works), false, STALL_AFTER, SLOTS, later);
    assert!(window.room(load(0), later) > 0);
}

#[test]
fn a_flow_is_brisk_while_its_responses_come_within_the_grace() {
    let now = Instant::now();
    let mut window = Window::new(now);
    assert!(!window.is_brisk(now), "it has not responded yet");
    window.begin(now);
    window.end(Some(Verdict::Works), false, SLOT_WAIT_MAX, SLOTS, now);
    assert!(window.is_brisk(now) && window.is_brisk(now + STALL_AFTER));
    assert!(!window.is_brisk(now + STALL_AFTER + QUICK), "it has stopped responding");
    for (verdict, took) in
        [(Verdict::Works, SLOT_WAIT_MAX + QUICK), (Verdict::TooMany, QUICK), (Verdict::Fails, QUICK)]
    {
        let mut window = window.clone();
        window.end(Some(verdict), false, took, SLOTS, now);
        assert!(!window.is_brisk(now), "{verdict:?} after {took:?}");
    }
}

#[test]
fn a_flow_that_answers_while_some_attempts_hang_is_not_on_probation() {
    let now = Instant::now();
    let mut window = Window::new(now);
    (0..3).for_each(|_| window.begin(now));
    window.end(Some(Verdict::Works), false, QUICK, SLOTS, now);
    assert!(!window.is_on_probation(true, now));
    window.fell_silent(now);
    assert!(window.is_on_probation(false, now), "it may have stopped");
    let later = now + QUICK;
    window.end(Some(Verdict::Works), false, QUICK, SLOTS, later);
    window.begin(later);
    window.fell_silent(now);
    assert!(!window.is_on_probation(false, later), "it answers while one hangs");
    assert_eq!(window.room(load(0), later), 1, "one at a time until it answers again");
    assert!(window.is_on_probation(true, later), "a job that has failed before may be the cause");
    window.end(None, true, QUICK * 2, SLOTS, later + QUICK);
    assert!(window.is_on_probation(false, later), "the other one began after the last answer");
}

fn slow(now: Instant) -> Window {
    let mut window = Window::new(now);
    (0..SLOTS).for_each(|_| window.end(Some(Verdict::Works), false, SLOW_AFTER * 2, SLOTS, now));
    window
}

/// All begin what they may, in turn.
fn fill_all(windows: &mut [Window], now: Instant) {
    for _ in 0..SLOTS {
        for which in 0..windows.len() {
            let slow = windows.iter().map(|window| window.in_flight).sum();
            if windows[which].room(load(slow), now) > 0 {
                windows[which].begin(now);
            }
        }
    }
}

#[test]
fn slow_flows_together_leave_slots_free() {
    let now = Instant::now();
    let mut windows = vec![slow(now); 8];
    fill_all(&mut windows, now);
    let held: usize = windows.iter().map(|window| window.in_flight).sum();
    assert!((48..SLOTS).contains(&held), "{held}");
}

#[test]
fn a_slow_flow_alone_leaves_an_eighth_and_gives_others_their_part() {
    let now = Instant::now();
    let mut windows = vec![slow(now), slow(now)];
    fill_all(&mut windows[..1], now);
    assert_eq!(windows[0].in_flight, 56, "an eighth is left");
    // Its attempts end one by one, and both flows want each slot.
    for _ in 0..4 * SLOTS {
        windows[0].end(Some(Verdict::Works), false, SLOW_AFTER * 2, SLOTS, now);
        fill_all(&mut windows, now);
    }
    let held = [windows[0].in_flight, windows[1].in_flight];
    assert!(held.iter().all(|held| (24..=30).contains(held)), "{held:?}");
    assert!(held.iter().sum::<usize>() <= 56, "{held:?}");
}

#[test]
fn a_worker_with_few_slots_leaves_at_least_one_to_others() {
    let left = [1, 2, 3, 4, 8, 15, 16, 64, 10_000].map(left_to_others);
    assert_eq!(left, [0, 0, 0, 1, 1, 1, 2, 8, 1250]);
}

#[test]
fn a_slow_flow_may_pause_as_long_as_its_answers_take() {
    let now = Instant::now();
    let mut window = slow(now);
    (0..8).for_each(|_| window.begin(now));
    let later = |pause: Duration| now + pause + QUICK;
    assert!(window.room(load(0), later(STALL_AFTER)) > 0, "its attempts began together");
    assert_eq!(window.room(load(0), later(SLOW_PAUSE_MAX)), 0, "it has stopped responding");
}

#[test]
fn what_another_thread_has_learned_counts_from_its_time() {
    let now = Instant::now();
    let at = |number: u32| now + number * QUICK;
    let answered = |time| Known { answered: Some(time), usual: QUICK, ..Known::default() };
    let mut window = Window::new(now);
    window.learn(answered(at(0)), at(0));
    assert!(!window.is_on_probation(false, at(0)));
    assert_eq!((window.usual(), window.room(load(0), at(0))), (QUICK, INITIAL_ATTEMPTS));
    window.begin(at(0));
    window.fell_silent(at(2));
    window.learn(answered(at(1)), at(2));
    assert!(window.is_on_probation(false, at(2)), "the answer came before");
    window.learn(answered(at(3)), at(3));
    assert!(!window.is_on_probation(false, at(3)), "it answers while one hangs");
    window.learn(answered(at(0)), at(3));
    assert!(window.has_answered_at(at(3)), "an old answer changes nothing");
    let mut other = Window::new(now);
    other.learn(Known { silent: Some(at(1)), ..answered(at(2)) }, at(2));
    assert!(!other.is_on_probation(false, at(2)), "it has answered since");
    other.learn(Known { silent: Some(at(3)), ..answered(at(2)) }, at(3));
    assert!(other.is_on_probation(false, at(3)), "it has stopped");
    assert_eq!(other.room(load(0), at(3)), 1);
    other.begin(at(3));
    other.end(Some(Verdict::Works), false, QUICK, SLOTS, at(4));
    assert!(!other.is_on_probation(false, at(4)));
}
