//! When the ticks of a definition are. Pure.

use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Direction};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The shortest interval between two ticks.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest interval.
const INTERVAL_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// When ticks are.
#[derive(Clone, Debug)]
pub enum Timing {
    /// At multiples of this interval since 1970-01-01T00:00:00Z, ms.
    Every(u64),
    /// At the times of a cron expression.
    Expression(Box<Expression>),
}

/// A cron expression in a time zone.
#[derive(Clone)]
pub struct Expression {
    cron: Cron,
    zone: TimeZone,
}

/// A text is no timing: what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTiming(pub(super) String);

impl Timing {
    /// An interval of whole seconds, 1 s to 366 days.
    ///
    /// # Errors
    /// [`BadTiming`].
    pub fn every(interval: Duration) -> Result<Self, BadTiming> {
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) || interval.subsec_nanos() > 0 {
            return Err(BadTiming("write whole seconds, from 1s to 366d".to_owned()));
        }
        Ok(Self::Every(interval.as_millis() as u64))
    }

    /// A cron expression of five fields (minute, hour, day of the month, month, day of the week), or six with seconds
    /// first; `@hourly` and the like.
    ///
    /// # Errors
    /// [`BadTiming`].
    pub(super) fn expression(text: &str, zone: TimeZone) -> Result<Self, BadTiming> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text.trim()).map_err(|error| {
            BadTiming(format!(
                "it is no cron expression: {error}; write five fields, minute, hour, day of the month, month and day of the \
                 week, as in `0 3 * * MON`"
            ))
        })?;
        Ok(Self::Expression(Box::new(Expression { cron, zone })))
    }

    /// Checks that there is a tick after a time, Unix ms. For a date that does not exist, that searches thousands of years: a
    /// tenth of a second.
    ///
    /// # Errors
    /// [`BadTiming`].
    pub fn check(&self, now: u64) -> Result<(), BadTiming> {
        let none = || BadTiming("it has no tick in the next years: is the date possible?".to_owned());
        self.after(now).map(|_| ()).ok_or_else(none)
    }

    /// The first tick after a time, Unix ms; `None` if there is none for years.
    pub fn after(&self, time: u64) -> Option<u64> {
        match self {
            Self::Every(interval) => (time / interval).checked_add(1)?.checked_mul(*interval),
            Self::Expression(expression) => expression.next(time / 1000 * 1000, Direction::Forward),
        }
    }

    /// The last tick before a time, Unix ms.
    pub fn before(&self, time: u64) -> Option<u64> {
        match self {
            Self::Every(interval) => time.checked_sub(1).map(|time| time / interval * interval),
            // Ticks are at whole seconds, and the search begins with the second before that of the time.
            Self::Expression(expression) => {
                expression.next(time.checked_next_multiple_of(1000)?, Direction::Backward)
            }
        }
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.cron.as_str()).finish()
    }
}

impl Expression {
    fn next(&self, time: u64, direction: Direction) -> Option<u64> {
        let at = Timestamp::from_millisecond(i64::try_from(time).ok()?).ok()?;
        let found: Zoned = match direction {
            Direction::Forward => self.cron.find_next_occurrence(&at.to_zoned(self.zone.clone()), false),
            Direction::Backward => self.cron.find_previous_occurrence(&at.to_zoned(self.zone.clone()), false),
        }
        .ok()?;
        u64::try_from(found.timestamp().as_millisecond()).ok()
    }
}

/// The time zone of this name; UTC without one.
pub(super) fn time_zone(name: Option<&str>) -> Result<TimeZone, BadTiming> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZone::get(name).map_err(|_| {
        BadTiming(format!(
            "`{}` is no time zone; write a name of the IANA database, as Europe/Berlin or UTC",
            name.escape_debug()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_millisecond() as u64
    }

    /// The ticks after a time, in UTC.
    fn after(expression: &str, zone: &str, time: &str, count: usize) -> Vec<String> {
        let timing = Timing::expression(expression, time_zone(Some(zone)).unwrap()).unwrap();
        let mut time = at(time);
        let mut tick = || {
            time = timing.after(time).unwrap();
            Timestamp::from_millisecond(time as i64).unwrap().to_string()
        };
        (0..count).map(|_| tick()).collect()
    }

    #[test]
    fn an_expression_has_five_fields_or_six_with_seconds() {
        let monday = after("0 3 * * MON", "UTC", "2026-11-29T13:00:00Z", 2);
        assert_eq!(monday, ["2026-11-30T03:00:00Z", "2026-12-07T03:00:00Z"]);
        let seconds = after("*/20 * * * * *", "UTC", "2026-11-29T13:00:01Z", 3);
        assert_eq!(seconds, ["2026-11-29T13:00:20Z", "2026-11-29T13:00:40Z", "2026-11-29T13:01:00Z"]);
        assert_eq!(after("@daily", "UTC", "2026-11-29T13:00:00Z", 1), ["2026-11-30T00:00:00Z"]);
        assert_eq!(after("0 0 29 2 *", "UTC", "2026-11-29T13:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
    }

    #[test]
    fn a_wrong_timing_is_refused_with_advice() {
        for wrong in ["", "* * * *", "60 * * * *", "* * * * * * *", "x"] {
            let error = Timing::expression(wrong, TimeZone::UTC).unwrap_err().0;
            assert!(error.contains("write five fields"), "{wrong}: {error}");
        }
        let never = Timing::expression("0 0 30 2 *", TimeZone::UTC).unwrap();
        assert!(never.check(at("2026-11-29T13:00:00Z")).unwrap_err().0.contains("no tick"));
        let error = time_zone(Some("Europe/Bern")).unwrap_err().0;
        assert!(error.contains("`Europe/Bern` is no time zone"), "{error}");
        for wrong in [0, 999, 1500, 367 * 24 * 3600 * 1000] {
            assert!(Timing::every(Duration::from_millis(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_that_does_not_exist_ticks_right_after_the_gap() {
        // In Berlin, 02:00 to 03:00 of 2027-03-28 does not exist: 01:00 UTC is 03:00.
        let daily = after("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", 2);
        assert_eq!(daily, ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]);
        // An interval goes on with what exists.
        let halves = after("*/30 * * * *", "Europe/Berlin", "2027-03-28T00:15:00Z", 3);
        assert_eq!(halves, ["2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z"]);
    }

    #[test]
    fn a_time_that_exists_twice_ticks_once_and_an_interval_ticks_in_both() {
        // In Berlin, 02:00 to 03:00 of 2027-10-31 exists twice: at 00:00 and at 01:00 UTC.
        let daily = after("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z", 2);
        assert_eq!(daily, ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]);
        let halves = after("*/30 * * * *", "Europe/Berlin", "2027-10-31T00:15:00Z", 4);
        let expected = ["00:30", "01:00", "01:30", "02:00"].map(|time| format!("2027-10-31T{time}:00Z"));
        assert_eq!(halves, expected);
    }

    #[test]
    fn an_interval_ticks_at_its_multiples() {
        let timing = Timing::every(Duration::from_secs(300)).unwrap();
        assert_eq!(
            [timing.after(0), timing.after(299_999), timing.after(300_000)],
            [Some(300_000), Some(300_000), Some(600_000)]
        );
        assert_eq!(
            [timing.before(300_000), timing.before(300_001), timing.before(0)],
            [Some(0), Some(300_000), None]
        );
    }

    #[test]
    fn a_tick_is_before_each_later_millisecond_and_after_each_earlier_one() {
        let second = Timing::expression("*/2 * * * * *", TimeZone::UTC).unwrap();
        let every = Timing::every(Duration::from_secs(2)).unwrap();
        for timing in [&second, &every] {
            for late in [1, 50, 999, 1000, 1999, 2000] {
                assert_eq!(timing.before(1_700_000_000_000 + late), Some(1_700_000_000_000), "{late}");
            }
            for late in [0, 1, 50, 999, 1000, 1999] {
                assert_eq!(timing.after(1_700_000_000_000 + late), Some(1_700_000_002_000), "{late}");
            }
            for odd in [0, u64::MAX - 1, u64::MAX] {
                let _ = (timing.after(odd), timing.before(odd));
            }
        }
    }

    #[test]
    fn backwards_are_the_same_ticks_as_forwards() {
        for expression in ["30 2 * * *", "*/30 * * * *", "15 */2 * * *"] {
            let timing = Timing::expression(expression, time_zone(Some("Europe/Berlin")).unwrap()).unwrap();
            for day in ["2027-03-27T20:00:00Z", "2027-10-30T20:00:00Z"] {
                let mut forwards = vec![timing.after(at(day)).unwrap()];
                while forwards.len() < 60 {
                    forwards.push(timing.after(*forwards.last().unwrap()).unwrap());
                }
                let mut backwards = vec![*forwards.last().unwrap()];
                while backwards.len() < 60 {
                    backwards.push(timing.before(*backwards.last().unwrap()).unwrap());
                }
                backwards.reverse();
                assert_eq!(backwards, forwards, "{expression} {day}");
            }
        }
    }
}
