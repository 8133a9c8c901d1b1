//! The axis of values of a chart.

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// From 0, or a power of ten, to the largest value.
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

/// A line across the chart. Not every line has a label.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: Option<String>,
}

/// The steps between ticks, and the ticks within a power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// Labels of ticks must not overlap.
const INTERVALS_MAX: f64 = 4.0;

impl Axis {
    /// `None` if a value cannot be drawn on this axis.
    pub(super) fn over(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let high = values.clone().fold(0.0, f64::max);
        let smallest = values.fold(f64::INFINITY, f64::min);
        // A bar of the smallest value is as long as the one between a number and its double, or longer.
        let low = match scale {
            Scale::Linear => 0.0,
            Scale::Logarithmic => 10_f64.powf((smallest / 2.0).log10().floor()),
        };
        (high > 0.0 && (scale == Scale::Linear || smallest > 0.0)).then_some(Self { scale, low, high })
    }

    /// Where a value is: 0 at the start of the axis, 1 at its end.
    pub(super) fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value / self.high,
            Scale::Logarithmic => (value / self.low).log10() / (self.high / self.low).log10(),
        }
    }

    pub(super) fn ticks(&self) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => self.multiples(),
            Scale::Logarithmic => self.powers(),
        }
    }

    /// The multiples of a step.
    fn multiples(&self) -> Vec<Tick> {
        let least = self.high / INTERVALS_MAX;
        let power = 10_f64.powf(least.log10().floor());
        let step = STEPS.iter().map(|step| step * power).find(|step| *step >= least);
        let step = step.unwrap_or(10.0 * power);
        let values = (0_u8..).map(|count| f64::from(count) * step).take_while(|value| *value <= self.high);
        values.map(|value| Tick { value, label: Some(label(value, step)) }).collect()
    }

    /// The powers of ten, which have labels, and lines between them.
    fn powers(&self) -> Vec<Tick> {
        let powers = (0_i32..).map(|exponent| self.low * 10_f64.powi(exponent));
        let powers = powers.take_while(|power| *power <= self.high);
        let values = powers.flat_map(|power| STEPS.map(|step| (step, power)));
        let ticks = values.map(|(step, power)| Tick {
            value: step * power,
            label: (step == 1.0).then(|| label(power, power)),
        });
        ticks.filter(|tick| tick.value <= self.high).collect()
    }
}

/// A value with the decimals of a step.
fn label(value: f64, step: f64) -> String {
    let decimals = if step < 1.0 { (-step.log10().floor()) as usize } else { 0 };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
        let axis = Axis::over(scale, values.iter().copied()).unwrap();
        axis.ticks().into_iter().filter_map(|tick| tick.label).collect()
    }

    #[test]
    fn a_linear_axis_begins_with_nothing() {
        let axis = Axis::over(Scale::Linear, [10.0, 40.0].into_iter()).unwrap();
        assert_eq!((axis.share(0.0), axis.share(10.0), axis.share(40.0)), (0.0, 0.25, 1.0));
        assert_eq!(labels(Scale::Linear, &[636.7]), ["0", "200", "400", "600"]);
        assert_eq!(labels(Scale::Linear, &[1.9]), ["0.0", "0.5", "1.0", "1.5"]);
        assert_eq!(labels(Scale::Linear, &[39.0]), ["0", "10", "20", "30"]);
    }

    #[test]
    fn equal_ratios_are_equal_lengths_on_a_logarithmic_axis() {
        let axis = Axis::over(Scale::Logarithmic, [35.0, 7000.0].into_iter()).unwrap();
        assert!(
            (axis.share(400.0) - axis.share(40.0) - (axis.share(4000.0) - axis.share(400.0))).abs() < 1e-9
        );
        assert_eq!((axis.share(10.0), axis.share(7000.0)), (0.0, 1.0));
        assert_eq!(labels(Scale::Logarithmic, &[35.0, 7000.0]), ["10", "100", "1000"]);
        assert_eq!(axis.ticks().len(), 9);
    }

    #[test]
    fn a_logarithmic_axis_begins_below_half_of_the_smallest_value() {
        assert_eq!(labels(Scale::Logarithmic, &[1174.0, 39259.0]), ["100", "1000", "10000"]);
        assert_eq!(labels(Scale::Logarithmic, &[0.3, 1.0]), ["0.1", "1"]);
    }

    #[test]
    fn values_that_have_no_place_are_refused() {
        assert!(Axis::over(Scale::Linear, [0.0].into_iter()).is_none());
        assert!(Axis::over(Scale::Linear, [0.0, 1.0].into_iter()).is_some());
        assert!(Axis::over(Scale::Logarithmic, [0.0, 1.0].into_iter()).is_none());
        assert!(Axis::over(Scale::Linear, std::iter::empty()).is_none());
    }
}
