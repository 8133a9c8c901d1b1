//! The time axis of the picture.

use crate::waterfall::tree::Axis;

/// At most this many steps between two ticks over the whole axis.
const STEPS_MAX: u64 = 6;

/// Times on the way from `left` to `right`.
pub(super) struct Scale {
    pub(super) axis: Axis,
    pub(super) left: f64,
    pub(super) right: f64,
}

/// A mark on the axis.
pub(super) struct Tick {
    pub(super) x: f64,
    pub(super) name: String,
}

impl Scale {
    /// Where a time is, in Unix nanoseconds.
    pub(super) fn at(&self, time: u64) -> f64 {
        let part = time.saturating_sub(self.axis.start) as f64 / self.axis.length as f64;
        self.left + part.min(1.0) * (self.right - self.left)
    }

    /// From the start of the trace, in round milliseconds.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let step = step(self.axis.length);
        let times = (0..=self.axis.length / step).map(|number| number * step);
        let tick = |time: u64| Tick {
            x: self.at(self.axis.start.saturating_add(time)),
            name: if time == 0 { "0".to_owned() } else { format!("{} ms", time as f64 / 1e6) },
        };
        times.map(tick).collect()
    }
}

/// The shortest of 1, 2, 5, 10, 20, 50 … nanoseconds of which the length has at most [`STEPS_MAX`].
fn step(length: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for step in [1, 2, 5].map(|digit| power.saturating_mul(digit)) {
            if length / step <= STEPS_MAX {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(start: u64, length: u64) -> Vec<(f64, String)> {
        let scale = Scale { axis: Axis { start, length }, left: 100.0, right: 300.0 };
        scale.ticks().into_iter().map(|tick| (tick.x, tick.name)).collect()
    }

    fn names(length: u64) -> String {
        let names: Vec<String> = ticks(0, length).into_iter().map(|(_, name)| name).collect();
        names.join(", ")
    }

    #[test]
    fn ticks_are_at_round_milliseconds_from_the_start_of_the_trace() {
        let expected = [(100.0, "0"), (180.0, "20 ms"), (260.0, "40 ms")];
        let expected = expected.map(|(x, name)| (x, name.to_owned()));
        assert_eq!(
            ticks(1_795_396_101_000_000_000, 50_000_000).into_iter().step_by(2).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn there_are_a_few_ticks_whatever_the_length() {
        assert_eq!(names(1), "0, 0.000001 ms");
        assert_eq!(names(740_000), "0, 0.2 ms, 0.4 ms, 0.6 ms");
        assert_eq!(names(239_000_000), "0, 50 ms, 100 ms, 150 ms, 200 ms");
        for length in [1, 9, 10, 999, 123_456_789, u64::MAX] {
            assert!((2..=7).contains(&ticks(0, length).len()), "{length}");
        }
    }

    #[test]
    fn a_time_outside_of_the_axis_is_at_its_end() {
        let scale = Scale { axis: Axis { start: 10, length: 10 }, left: 0.0, right: 1.0 };
        assert_eq!([5, 10, 15, 99].map(|time| scale.at(time)), [0.0, 0.0, 0.5, 1.0]);
    }
}
