//! Plans of many seeds.

use super::*;

fn options(seed: u64, kills_per_second: f64, workers: usize) -> Options {
    Options {
        redis_url: String::new(),
        seed,
        time: Duration::from_secs(60),
        workers,
        rate: 80,
        kills_per_second,
        may_disturb_server: true,
        programs: vec![],
        starter: "/".into(),
    }
}

fn count(steps: &[Step], test: impl Fn(&Action) -> bool) -> usize {
    steps.iter().filter(|step| test(&step.action)).count()
}

#[test]
fn a_seed_makes_one_plan() {
    let text = |seed| format!("{:?}", plan(&options(seed, 0.5, 4)));
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}

#[test]
fn what_is_paused_is_resumed_and_killed_workers_are_restarted() {
    for seed in 0..50 {
        let steps = plan(&options(seed, 0.5, 4));
        let pauses = |action: &Action| matches!(action, Action::Pause(_));
        let ends = |action: &Action| matches!(action, Action::Kill(_) | Action::Leave(_));
        let starts = |action: &Action| matches!(action, Action::Start(_));
        assert_eq!(count(&steps, pauses), count(&steps, |action| matches!(action, Action::Resume(_))));
        assert_eq!(
            count(&steps, |action| matches!(action, Action::PauseQueue(_))),
            count(&steps, |action| matches!(action, Action::ResumeQueue(_)))
        );
        assert_eq!(count(&steps, ends), count(&steps, starts));
    }
}

#[test]
fn a_worker_has_one_fault_at_a_time_and_one_worker_has_none() {
    for seed in 0..50 {
        let mut faulty = [false; 4];
        for Step { action, .. } in plan(&options(seed, 2.0, 4)) {
            match action {
                Action::Pause(worker)
                | Action::Leave(worker)
                | Action::Cut(worker)
                | Action::Break(worker, _)
                | Action::KillAt(worker, _) => {
                    assert!(!faulty[worker], "{seed}");
                    faulty[worker] = true;
                }
                Action::Kill(worker) => faulty[worker] = true,
                Action::Start(worker) | Action::Resume(worker) | Action::Mend(worker) => {
                    faulty[worker] = false
                }
                _ => {}
            }
            assert!(faulty.contains(&false), "{seed}");
        }
    }
}

#[test]
fn enough_workers_are_killed_as_often_as_wanted() {
    for seed in 0..20 {
        // 58.5 s are left after the first.
        for (kills_per_second, workers, wanted) in [(0.5, 4, 24..=35), (3.0, 12, 157..=193), (0.1, 2, 4..=9)]
        {
            let steps = plan(&options(seed, kills_per_second, workers));
            let kills = count(&steps, |action| matches!(action, Action::Kill(_)));
            assert!(wanted.contains(&kills), "{kills} of {wanted:?}, seed {seed}");
            let others = |action: &Action| matches!(action, Action::Pause(_) | Action::Break(..));
            let others = count(&steps, others);
            assert!(others >= workers, "{others} other faults for {workers} workers, seed {seed}");
        }
    }
}

#[test]
fn without_leave_only_own_workers_and_connections_fail() {
    let steps = plan(&Options { may_disturb_server: false, ..options(3, 0.5, 4) });
    let of_server = |action: &Action| {
        matches!(
            action,
            Action::FlushScripts | Action::PauseQueue(_) | Action::ResumeQueue(_) | Action::FailOver(_)
        )
    };
    assert_eq!((count(&steps, of_server), steps.is_empty()), (0, false));
}
