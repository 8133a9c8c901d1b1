//! Which ticks make jobs now, and when the next one is. Pure.

use super::definition::{CatchUp, Definition};

/// A tick that is claimed later than this was missed: no worker was there, or Redis was not.
pub(super) const MISSED_AFTER_MS: u64 = 10_000;
/// How many ticks one look at a definition counts at most.
pub const TICKS_MAX: usize = 1_000;

/// What to do at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The nominal times of the ticks that make jobs, the first one first.
    pub ticks: Vec<u64>,
    /// How many ticks make none, since they were missed; of more than [`TICKS_MAX`], the last ones are counted.
    pub missed: u64,
    /// The next tick; `None` if there is none for years.
    pub next: Option<u64>,
}

impl Definition {
    /// The plan at a time, if the next tick was to be at `next`. Both are Unix ms. No tick is repeated when the clock is set
    /// back.
    pub fn plan(&self, next: u64, now: u64) -> Plan {
        let mut ticks: Vec<u64> = Vec::new();
        let mut before = now + 1;
        while ticks.len() < TICKS_MAX
            && let Some(tick) = self.timing.before(before).filter(|tick| *tick >= next)
        {
            ticks.push(tick);
            before = tick;
        }
        ticks.reverse();
        let missed_until = ticks.partition_point(|tick| *tick + MISSED_AFTER_MS < now);
        let made = match self.catch_up {
            CatchUp::All => 0,
            // A tick that was not missed makes up for those before it.
            CatchUp::One if missed_until == ticks.len() => missed_until.saturating_sub(1),
            CatchUp::One | CatchUp::None => missed_until,
        };
        let missed = made as u64;
        Plan {
            ticks: ticks.split_off(made),
            missed,
            next: self.timing.after(now.max(next.saturating_sub(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::ENTRY_BYTES_MAX;

    const HOUR: u64 = 3_600_000;

    fn plan(catch_up: &str, every: &str, next: u64, now: u64) -> Plan {
        let json = format!(r#"{{"every":"{every}","catch_up":"{catch_up}","job":{{"url":"http://h/x"}}}}"#);
        Definition::parse(&json, ENTRY_BYTES_MAX).unwrap().plan(next, now)
    }

    #[test]
    fn a_tick_in_time_makes_a_job() {
        for catch_up in ["one", "all", "none"] {
            let expected = Plan { ticks: vec![HOUR], missed: 0, next: Some(2 * HOUR) };
            assert_eq!(plan(catch_up, "1h", HOUR, HOUR), expected);
            assert_eq!(plan(catch_up, "1h", HOUR, HOUR + MISSED_AFTER_MS), expected);
        }
        let early = Plan { ticks: vec![], missed: 0, next: Some(HOUR) };
        assert_eq!(plan("all", "1h", HOUR, HOUR - 1), early);
        let set_back = Plan { ticks: vec![], missed: 0, next: Some(9 * HOUR) };
        assert_eq!(plan("all", "1h", 9 * HOUR, HOUR), set_back);
    }

    #[test]
    fn ticks_that_were_missed_make_one_job_or_all_or_none() {
        let now = 5 * HOUR + HOUR / 2;
        let of = |catch_up| plan(catch_up, "1h", 2 * HOUR, now);
        let next = Some(6 * HOUR);
        assert_eq!(of("one"), Plan { ticks: vec![5 * HOUR], missed: 3, next });
        assert_eq!(of("none"), Plan { ticks: vec![], missed: 4, next });
        assert_eq!(of("all"), Plan { ticks: (2..=5).map(|hour| hour * HOUR).collect(), missed: 0, next });
    }

    #[test]
    fn a_tick_in_time_makes_up_for_those_that_were_missed() {
        let now = 5 * HOUR + 500;
        let expected = Plan { ticks: vec![5 * HOUR], missed: 3, next: Some(6 * HOUR) };
        assert_eq!(plan("one", "1h", 2 * HOUR, now), expected);
    }

    #[test]
    fn ticks_of_each_second_that_are_a_little_late_are_not_missed() {
        let ticks = plan("one", "1s", 100_000, 103_400).ticks;
        assert_eq!(ticks, [100_000, 101_000, 102_000, 103_000]);
    }

    #[test]
    fn a_tick_of_an_expression_makes_a_job_within_its_second() {
        let json = r#"{"expression":"*/5 * * * *","job":{"url":"http://h/x"}}"#;
        let definition = Definition::parse(json, ENTRY_BYTES_MAX).unwrap();
        for late in [0, 1, 50, 999, 5_000] {
            let expected = Plan { ticks: vec![HOUR], missed: 0, next: Some(HOUR + 300_000) };
            assert_eq!(definition.plan(HOUR, HOUR + late), expected, "{late}");
        }
        let early = Plan { ticks: vec![], missed: 0, next: Some(HOUR) };
        assert_eq!(definition.plan(HOUR, HOUR - 1), early);
    }

    #[test]
    fn after_a_year_the_last_thousand_are_made_at_most() {
        let now = 366 * 24 * HOUR;
        let plan = plan("all", "1s", 1_000, now);
        assert_eq!((plan.ticks.len(), plan.missed, plan.next), (TICKS_MAX, 0, Some(now + 1000)));
        assert_eq!(plan.ticks.last(), Some(&now));
    }
}
