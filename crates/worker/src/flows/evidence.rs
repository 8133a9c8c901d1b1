//! Which failures are evidence against a destination, and which are the job's own. Pure.

use std::time::{Duration, Instant};

/// What jobs have in common that fail for their own reasons: the path of their URL, and the time that
/// they give the destination, as a power of two. Different kinds may have the same number, which is harmless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobKind(pub(crate) u32);

impl JobKind {
    /// The kind of a job. `timeout` is its own deadline.
    pub(crate) fn of(path: &str, timeout: Option<Duration>) -> Self {
        // FNV-1a: it is the same in all workers, and paths are short.
        let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = path.bytes().fold(0x811c_9dc5, mix);
        let time = timeout.map_or(0, |timeout| 1 + (timeout.as_millis() as u64).max(1).ilog2() as u8);
        Self(mix(hash, time))
    }
}

/// What the attempts of one flow have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// Kinds of which the last attempt has failed. The first ones have failed since the flow's last success.
    failed: Vec<JobKind>,
    /// How many of these have failed since then.
    in_a_row: usize,
    /// The job that failed first since then, and whether another one has.
    first: Option<u64>,
    is_first_alone: bool,
    /// The last two kinds of jobs, and when each came last.
    seen: [Option<(JobKind, Instant)>; 2],
    /// When Redis was last asked to let a job of another kind pass the open breaker.
    asked: Option<Instant>,
    /// The kind of a held job that could be a second opinion, and when such a job last came.
    opinion: Option<(JobKind, Instant)>,
    /// Whether the last success was of a job that had failed before.
    is_success_of_failed: bool,
    /// Jobs admitted, counted up to a share of those that have failed.
    admitted: usize,
}

impl Evidence {
    /// How many kinds are remembered. A destination that fails for that many has failed altogether.
    pub(crate) const KINDS_MAX: usize = 8;
    /// One of this number of admitted jobs is one that has failed before.
    const FAILED_SHARE: usize = 8;
    /// How long it is remembered that a kind of jobs came.
    const SEEN: Duration = Duration::from_secs(60);
    /// The shortest time between two questions to Redis.
    const ASK_INTERVAL: Duration = Duration::from_millis(250);
    /// How long it may take to hold a job.
    const HOLDING_MAX: Duration = Duration::from_secs(2);

    /// A job came.
    pub(super) fn saw(&mut self, kind: JobKind, now: Instant) {
        if self.seen[0].is_none_or(|(last, _)| last != kind) {
            self.seen[1] = self.seen[0];
        }
        self.seen[0] = Some((kind, now));
    }

    /// How many of the next `jobs` admitted jobs are to be ones that have failed before. All, if such a job was the
    /// last to succeed. Half, while attempts fail: it may be that all fail at first. Else an eighth, so that
    /// those that failed once do not wait as long as others come.
    pub(super) fn admits_failed(&mut self, jobs: usize) -> usize {
        if self.is_success_of_failed {
            return jobs;
        }
        let share = if self.in_a_row > 0 { 2 } else { Self::FAILED_SHARE };
        let before = self.admitted % share;
        self.admitted = before + jobs;
        self.admitted / share
    }

    /// An attempt was answered.
    pub(super) fn succeeded(&mut self, kind: JobKind, has_failed: bool) {
        self.is_success_of_failed = has_failed;
        self.failed.retain(|failed| *failed != kind);
        (self.in_a_row, self.first, self.is_first_alone) = (0, None, true);
    }

    /// An attempt of this job failed, and not for its own reason.
    pub(super) fn failed(&mut self, kind: JobKind, job: u64) {
        match self.first {
            None => (self.first, self.is_first_alone) = (Some(job), true),
            Some(first) => self.is_first_alone &= first == job,
        }
        let at = self.failed.iter().position(|failed| *failed == kind);
        if at.is_some_and(|at| at < self.in_a_row) {
            return;
        }
        match at {
            Some(at) => drop(self.failed.remove(at)),
            None if self.failed.len() >= Self::KINDS_MAX => drop(self.failed.pop()),
            None => {}
        }
        let at = self.in_a_row.min(self.failed.len());
        self.failed.insert(at, kind);
        self.in_a_row = at + 1;
    }

    /// Whether the breaker opens after this number of failures in a row, where `limit` is configured. Unless
    /// one is enough, they must be of two jobs, and of two kinds if several kinds came lately. Where only one of these kinds is
    /// tried, it takes more of them.
    pub(super) fn opens(&self, failures: u32, limit: u32, now: Instant) -> bool {
        let one_kind_only =
            self.seen[1].is_none_or(|(_, seen)| now.saturating_duration_since(seen) > Self::SEEN);
        let is_broad = self.in_a_row >= 2 || one_kind_only || failures >= limit.saturating_mul(4);
        failures >= limit && (limit == 1 || !self.is_first_alone && is_broad)
    }

    /// Whether the last attempt of this kind has failed.
    pub(super) fn is_suspect(&self, kind: JobKind) -> bool {
        self.failed.contains(&kind)
    }

    /// Kinds that have failed since the last success.
    pub(super) fn failed_in_a_row(&self) -> &[JobKind] {
        &self.failed[..self.in_a_row]
    }

    /// Whether to ask Redis to let a job of this kind pass the open breaker: it may tell the destination's
    /// faults from those of other jobs.
    pub(super) fn asks(&mut self, kind: JobKind, now: Instant) -> bool {
        let is_early = self.asked.is_some_and(|at| now.saturating_duration_since(at) < Self::ASK_INTERVAL);
        self.offer(kind, now);
        let asks = !is_early && self.opinion() == Some(kind);
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    /// A job that has not failed came while the breaker was open. If it is held, it may be a second opinion
    /// later.
    pub(super) fn offer(&mut self, kind: JobKind, now: Instant) {
        if !self.is_suspect(kind) {
            self.opinion = Some((kind, now));
        }
    }

    /// The kind of a held job that could be a second opinion.
    pub(super) fn opinion(&self) -> Option<JobKind> {
        let (kind, _) = self.opinion?;
        (!self.is_suspect(kind) && self.in_a_row < Self::KINDS_MAX).then_some(kind)
    }

    /// A job got a trial: of this kind, or a held one of any kind.
    pub(super) fn granted(&mut self, kind: Option<JobKind>) {
        if kind.is_none() || self.opinion.is_some_and(|(held, _)| Some(held) == kind) {
            self.opinion = None;
        }
    }

    /// Redis had granted a trial to a held job, and there was none. One that came just now may be about to be held.
    pub(super) fn missed(&mut self, now: Instant) {
        self.opinion =
            self.opinion.filter(|(_, came)| now.saturating_duration_since(*came) < Self::HOLDING_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 5;

    /// After these failures, as kind and job, of which these kinds came.
    fn opens(failures: &[(u32, u64)], came: &[u32]) -> bool {
        let (mut evidence, now) = (Evidence::default(), Instant::now());
        came.iter().for_each(|kind| evidence.saw(JobKind(*kind), now));
        failures.iter().for_each(|(kind, job)| evidence.failed(JobKind(*kind), *job));
        evidence.opens(failures.len() as u32, LIMIT, now)
    }

    #[test]
    fn a_breaker_opens_on_failures_of_several_jobs() {
        let jobs: Vec<(u32, u64)> = (0..5).map(|job| (1, job)).collect();
        assert!(opens(&jobs, &[1]));
        assert!(!opens(&jobs[..4], &[1]), "too few");
        assert!(!opens(&[(1, 7); 5], &[1]), "one job");
        assert!(!opens(&jobs, &[1, 2]), "another kind came, and was not tried");
        assert!(opens(&[(1, 0), (1, 1), (1, 2), (1, 3), (2, 4)], &[1, 2]));
        assert!(opens(&(0..20).map(|job| (1, job)).collect::<Vec<_>>(), &[1, 2]), "enough of them");
    }

    #[test]
    fn a_success_begins_again_and_remembers_suspects() {
        let (mut evidence, now) = (Evidence::default(), Instant::now());
        evidence.saw(JobKind(1), now);
        (0..5).for_each(|job| evidence.failed(JobKind(1), job));
        evidence.succeeded(JobKind(2), false);
        assert!(evidence.is_suspect(JobKind(1)) && evidence.failed_in_a_row().is_empty());
        assert!(!evidence.opens(0, LIMIT, now));
        evidence.failed(JobKind(3), 9);
        assert_eq!(evidence.failed_in_a_row(), [JobKind(3)]);
        evidence.failed(JobKind(1), 9);
        assert_eq!(evidence.failed_in_a_row(), [JobKind(3), JobKind(1)]);
        evidence.succeeded(JobKind(1), false);
        assert!(!evidence.is_suspect(JobKind(1)) && evidence.is_suspect(JobKind(3)));
    }

    #[test]
    fn jobs_that_have_failed_have_their_share_of_admissions() {
        let mut evidence = Evidence::default();
        assert_eq!((0..16).map(|_| evidence.admits_failed(1)).sum::<usize>(), 2);
        assert_eq!(evidence.admits_failed(16), 2);
        evidence.failed(JobKind(1), 1);
        assert_eq!(evidence.admits_failed(16), 8, "while attempts fail");
        evidence.succeeded(JobKind(1), true);
        assert_eq!(evidence.admits_failed(16), 16, "one of them has succeeded");
        evidence.succeeded(JobKind(1), false);
        assert_eq!(evidence.admits_failed(16), 2);
    }

    #[test]
    fn evidence_is_bounded() {
        let mut evidence = Evidence::default();
        (0..100).for_each(|kind| evidence.failed(JobKind(kind), 1));
        assert!(evidence.failed.len() <= Evidence::KINDS_MAX);
        assert_eq!(evidence.in_a_row, evidence.failed.len());
        assert!(!evidence.asks(JobKind(1000), Instant::now()), "it fails for all kinds");
    }

    #[test]
    fn a_job_of_another_kind_is_a_second_opinion() {
        let (mut evidence, now) = (Evidence::default(), Instant::now());
        evidence.failed(JobKind(1), 1);
        assert!(!evidence.asks(JobKind(1), now));
        assert!(evidence.asks(JobKind(2), now));
        assert!(!evidence.asks(JobKind(3), now), "not more often than four times a second");
        assert_eq!(evidence.opinion(), Some(JobKind(3)), "but it is remembered while it is held");
        assert!(evidence.asks(JobKind(3), now + Evidence::ASK_INTERVAL));
        evidence.granted(Some(JobKind(2)));
        assert_eq!(evidence.opinion(), Some(JobKind(3)), "the trial was of another kind");
        evidence.granted(Some(JobKind(3)));
        assert_eq!(evidence.opinion(), None);
    }

    #[test]
    fn a_second_opinion_that_is_not_held_yet_is_remembered_for_a_moment() {
        let (mut evidence, now) = (Evidence::default(), Instant::now());
        evidence.failed(JobKind(1), 1);
        evidence.offer(JobKind(2), now);
        evidence.missed(now + Evidence::HOLDING_MAX / 2);
        assert_eq!(evidence.opinion(), Some(JobKind(2)));
        evidence.missed(now + Evidence::HOLDING_MAX);
        assert_eq!(evidence.opinion(), None);
    }

    #[test]
    fn a_kind_is_a_path_and_a_deadline() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(JobKind::of("/a", None), JobKind::of("/a", None));
        assert_eq!(JobKind::of("/a", seconds(9)), JobKind::of("/a", seconds(10)));
        for (path, timeout) in
            [("/b", None), ("/a", seconds(1)), ("/a", seconds(60)), ("/a", Some(Duration::ZERO))]
        {
            assert_ne!(JobKind::of("/a", None), JobKind::of(path, timeout), "{path} {timeout:?}");
        }
    }
}
