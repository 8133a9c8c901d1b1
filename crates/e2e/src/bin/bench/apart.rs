//! Keeps a measured program and those that it talks to on different cores. On the same core each waits for another one's turn, for
//! several milliseconds at times, and how often depends on where the kernel happens to place them.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// This thread and other processes are kept off the core of measured ones, until this is dropped.
pub(crate) struct Apart {
    others: Vec<Pid>,
    all: CpuSet,
}

impl Apart {
    /// Puts the measured processes on the first core that this thread may use, and this thread and the others on the rest.
    /// `None` with one core, and on a kernel that does not allow it.
    pub(crate) fn new(measured: &[u32], others: &[u32]) -> Option<Apart> {
        let all = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let mut cores = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or(false));
        let (mut own, mut rest) = (CpuSet::new(), CpuSet::new());
        own.set(cores.next()?).ok()?;
        for core in cores {
            rest.set(core).ok()?;
        }
        if rest == CpuSet::new() {
            return None;
        }
        let id = |process: &u32| i32::try_from(*process).map(Pid::from_raw).ok();
        for process in measured {
            sched_setaffinity(id(process)?, &own).ok()?;
        }
        let others: Option<Vec<Pid>> = others.iter().map(id).chain([Some(Pid::from_raw(0))]).collect();
        let apart = Apart { others: others?, all };
        apart.others.iter().try_for_each(|process| sched_setaffinity(*process, &rest)).ok()?;
        Some(apart)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for process in &self.others {
            // It may have ended.
            let _ = sched_setaffinity(*process, &self.all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_process_has_a_core_and_the_others_have_the_rest() {
        let this = Pid::from_raw(0);
        let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let before = sched_getaffinity(this).unwrap();
        let cores = |set: &CpuSet| (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap()).count();
        let apart = Apart::new(&[sleeper.id()], &[]);
        let own = sched_getaffinity(Pid::from_raw(i32::try_from(sleeper.id()).unwrap())).unwrap();
        let rest = sched_getaffinity(this).unwrap();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        if cores(&before) > 1 {
            assert!(apart.is_some());
            assert_eq!([cores(&own), cores(&rest)], [1, cores(&before) - 1]);
            assert!(
                (0..CpuSet::count()).all(|core| !(own.is_set(core).unwrap() && rest.is_set(core).unwrap()))
            );
        }
        drop(apart);
        assert_eq!(sched_getaffinity(this).unwrap(), before);
    }
}
