//! A plot with two logarithmic axes, as SVG.

use std::fmt::Write as _;

/// One line of a plot.
pub(crate) struct Line {
    pub(crate) name: String,
    /// All greater than 0.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Space for the labels, in units of the view box.
const MARGIN: f64 = 70.0;
/// Each line also has its name at its end, so colours are not needed to distinguish them.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Whole powers of a base that enclose the values.
struct Axis {
    base: f64,
    low: i32,
    high: i32,
    length: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, base: f64, length: f64) -> Axis {
        let exponent = |value: f64| value.log(base);
        let low = values.clone().map(exponent).fold(f64::INFINITY, f64::min).floor() as i32;
        let high = values.map(exponent).fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
        Axis { base, low, high: high.max(low + 1), length }
    }

    fn at(&self, value: f64) -> f64 {
        (value.log(self.base) - f64::from(self.low)) / f64::from(self.high - self.low) * self.length
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|exponent| self.base.powi(exponent))
    }
}

/// The plot.
pub(crate) fn svg(x_name: &str, y_name: &str, lines: &[Line]) -> String {
    let points = lines.iter().flat_map(|line| line.points.iter());
    let x_axis = Axis::over(points.clone().map(|(x, _)| *x), 4.0, WIDTH - 2.0 * MARGIN);
    let y_axis = Axis::over(points.map(|(_, y)| *y), 10.0, HEIGHT - 2.0 * MARGIN);
    let (left, bottom) = (MARGIN, HEIGHT - MARGIN);
    let place = |(x, y): &(f64, f64)| (left + x_axis.at(*x), bottom - y_axis.at(*y));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut put = |element: String| writeln!(svg, "{element}").expect("a string takes all");
    for tick in x_axis.ticks() {
        let x = left + x_axis.at(tick);
        put(format!("<path d=\"M{x:.1} {MARGIN}V{bottom}\" stroke=\"#ddd\"/>"));
        put(format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>", bottom + 18.0));
    }
    for tick in y_axis.ticks() {
        let y = bottom - y_axis.at(tick);
        put(format!("<path d=\"M{left} {y:.1}H{}\" stroke=\"#ddd\"/>", WIDTH - MARGIN));
        put(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>", left - 6.0, y + 4.0));
    }
    put(format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{x_name}</text>",
        WIDTH / 2.0,
        HEIGHT - 22.0
    ));
    put(format!("<text x=\"{left}\" y=\"{}\" text-anchor=\"middle\">{y_name}</text>", MARGIN - 16.0));
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let places: Vec<String> =
            line.points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let path = places.join(" ");
        put(format!("<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        if let Some((x, y)) = line.points.last().map(place) {
            put(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                x + 6.0,
                y + 4.0,
                line.name
            ));
        }
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_encloses_its_values() {
        let axis = Axis::over([3.0, 900.0].into_iter(), 10.0, 300.0);
        assert_eq!((axis.low, axis.high), (0, 3));
        assert!((axis.at(10.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn each_line_is_drawn_and_named() {
        let line = |name: &str| Line { name: name.to_owned(), points: vec![(1.0, 10.0), (4.0, 100.0)] };
        let svg = svg("x", "y", &[line("a line"), line("another")]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains(">a line</text>") && svg.contains(">another</text>"));
    }
}
