//! A chart of horizontal bars, as SVG. Each bar has its label to its left and its value to its right.

use super::axis::{Axis, Scale};
use super::table::Measure;
use super::text::{escaped, lines, thousands, width};

pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) subtitle: String,
    pub(super) scale: Scale,
    pub(super) bars: Vec<Bar>,
}

pub(super) struct Bar {
    /// Bars of the same group have one heading, unless it is empty.
    pub(super) group: String,
    pub(super) label: String,
    pub(super) measure: Measure,
    /// Whether it measures Postrider, and not what it is compared with.
    pub(super) is_ours: bool,
}

/// Narrow, so that the text can be read where a small screen makes the picture smaller.
const WIDTH: f64 = 480.0;
const MARGIN: f64 = 12.0;
/// The sizes of text.
const LARGE: f64 = 15.0;
const NORMAL: f64 = 13.0;
const SMALL: f64 = 12.0;
/// How much wider bold text is.
const BOLD: f64 = 1.15;
/// From a line of text to the next one.
const LINE: f64 = 16.0;
/// From the middle of a line to what its letters stand on.
const BASE: f64 = 4.5;
const LABEL_MAX: f64 = 170.0;
const THICKNESS: f64 = 14.0;
/// Between texts and bars, and between rows.
const GAP: f64 = 7.0;

/// Fill and outline. The fills differ in lightness, too, and the labels name what is measured.
const OURS: &str = "fill=\"#56b4e9\" stroke=\"#00568c\"";
const OTHERS: &str = "fill=\"#e8e8e8\" stroke=\"#777\"";

/// No line of the grid crosses text: it has this ground.
const GROUND: &str = "fill=\"white\"";

/// Where the bars are.
struct Frame {
    axis: Axis,
    left: f64,
    width: f64,
}

/// The chart; `None` if a value has no place on the axis.
pub(super) fn svg(chart: &Chart) -> Option<String> {
    let frame = Frame::of(chart)?;
    let mut body = String::new();
    let mut y = MARGIN;
    for line in lines(chart.title, (WIDTH - 2.0 * MARGIN) / LARGE / BOLD) {
        y += LINE + 2.0;
        body += &text(MARGIN, y, LARGE, " font-weight=\"bold\"", &line);
    }
    y += LINE + 2.0;
    body += &text(MARGIN, y, SMALL, "", &chart.subtitle);
    y += GAP;
    let top = y + GAP;
    let mut group = "";
    for bar in &chart.bars {
        if bar.group != group {
            y = heading(&mut body, &bar.group, y);
            group = &bar.group;
        }
        y = frame.bar(&mut body, bar, y + GAP);
    }
    y += GAP;
    let grid = frame.grid(top, y);
    let height = legend(&mut body, chart, y + LINE) + MARGIN;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" fill=\"#222\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{grid}{body}</svg>\n",
        escaped(chart.title)
    ))
}

impl Frame {
    fn of(chart: &Chart) -> Option<Self> {
        let ends = chart.bars.iter().flat_map(|bar| <[f64; 2]>::from(bar.measure.ends()));
        let axis = Axis::over(chart.scale, ends)?;
        let widest = |texts: Vec<String>| texts.iter().map(|text| width(text)).fold(0.0, f64::max) * NORMAL;
        let labels = widest(chart.bars.iter().flat_map(label).collect());
        let values = widest(chart.bars.iter().map(value).collect());
        let left = MARGIN + labels + GAP;
        Some(Self { axis, left, width: WIDTH - left - GAP - values - MARGIN })
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.axis.share(value) * self.width
    }

    /// Draws a bar from here on down, and returns where it ends.
    fn bar(&self, body: &mut String, bar: &Bar, top: f64) -> f64 {
        let label = label(bar);
        let height = (label.len() as f64 * LINE).max(THICKNESS);
        let middle = top + height / 2.0;
        for (index, line) in (0_u8..).zip(&label) {
            let y = top + (f64::from(index) + 0.5) * LINE + BASE;
            *body += &text(self.left - GAP, y, NORMAL, " text-anchor=\"end\"", line);
        }
        let paint = if bar.is_ours { OURS } else { OTHERS };
        let length = self.x(bar.measure.median) - self.left;
        let above = middle - THICKNESS / 2.0;
        *body += &rect(self.left, above, length, THICKNESS, paint);
        let (low, high) = bar.measure.ends();
        if bar.measure.range.is_some() {
            *body += &whisker(self.x(low), self.x(high), middle);
        }
        let (x, value) = (self.x(high) + GAP, value(bar));
        *body += &rect(x - 1.0, above, width(&value) * NORMAL, THICKNESS, GROUND);
        *body += &text(x, middle + BASE, NORMAL, "", &value);
        top + height
    }

    /// Lines across the bars, with their labels below.
    fn grid(&self, top: f64, bottom: f64) -> String {
        let ticks = self.axis.ticks().into_iter().map(|tick| {
            let x = self.x(tick.value);
            let colour = if tick.label.is_some() { "#ccc" } else { "#eee" };
            let line = format!("<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{colour}\"/>\n");
            let label = tick
                .label
                .map(|label| text(x, bottom + LINE, SMALL, " text-anchor=\"middle\"", &thousands(&label)));
            line + &label.unwrap_or_default()
        });
        ticks.collect()
    }
}

/// Draws what bars have in common above them, and returns where it ends.
fn heading(body: &mut String, words: &str, mut y: f64) -> f64 {
    let lines = lines(words, (WIDTH - 2.0 * MARGIN) / NORMAL / BOLD);
    let height = lines.len() as f64 * LINE + GAP;
    *body += &rect(MARGIN, y, WIDTH - 2.0 * MARGIN, height + GAP, GROUND);
    y += GAP;
    for line in &lines {
        y += LINE;
        *body += &text(MARGIN, y, NORMAL, " font-weight=\"bold\"", line);
    }
    y
}

/// What the fills and the lines mean, as far as the chart has them. Returns the base of its last line.
fn legend(body: &mut String, chart: &Chart, top: f64) -> f64 {
    let (mut x, mut y) = (MARGIN, top);
    let has = |ours| chart.bars.iter().any(|bar| bar.is_ours == ours);
    if has(true) && has(false) {
        y += LINE + GAP;
        for (name, paint) in [("Postrider", OURS), ("what it is compared with", OTHERS)] {
            *body += &rect(x, y - THICKNESS / 2.0, 2.0 * THICKNESS, THICKNESS, paint);
            *body += &text(x + 2.0 * THICKNESS + GAP, y + BASE, SMALL, "", name);
            x += 2.0 * THICKNESS + 4.0 * GAP + width(name) * SMALL;
        }
    }
    if chart.bars.iter().any(|bar| bar.measure.range.is_some()) {
        y += LINE + GAP;
        *body += &whisker(MARGIN, MARGIN + 2.0 * THICKNESS, y);
        let words = "from the smallest to the largest value of the rounds";
        *body += &text(MARGIN + 2.0 * THICKNESS + GAP, y + BASE, SMALL, "", words);
    }
    y + BASE
}

fn label(bar: &Bar) -> Vec<String> {
    lines(&bar.label, LABEL_MAX / NORMAL)
}

fn value(bar: &Bar) -> String {
    thousands(&bar.measure.digits)
}

fn text(x: f64, y: f64, size: f64, attributes: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\"{attributes}>{}</text>\n", escaped(words))
}

fn rect(x: f64, y: f64, width: f64, height: f64, paint: &str) -> String {
    format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" {paint}/>\n")
}

/// A thin line with a stop at each end.
fn whisker(from: f64, to: f64, middle: f64) -> String {
    let (above, below) = (middle - 4.0, middle + 4.0);
    format!(
        "<path d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {above:.1}V{below:.1}M{to:.1} {above:.1}V{below:.1}\" \
         stroke=\"#222\" fill=\"none\"/>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, median: f64, range: Option<(f64, f64)>) -> Bar {
        let measure = Measure { digits: median.to_string(), median, range };
        Bar { group: String::new(), label: label.to_owned(), measure, is_ours: label != "bare" }
    }

    fn draw(scale: Scale, bars: Vec<Bar>) -> String {
        svg(&Chart { title: "A <title>", subtitle: "a subtitle".to_owned(), scale, bars }).unwrap()
    }

    /// The values of an attribute in the elements that contain a text.
    fn values(svg: &str, element: &str, attribute: &str) -> Vec<f64> {
        let elements = svg.lines().filter(|line| line.contains(element));
        let value =
            |line: &str| line.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next()?.parse().ok();
        elements.filter_map(value).collect()
    }

    #[test]
    fn bars_are_in_proportion() {
        let drawn =
            draw(Scale::Linear, vec![bar("a", 10.0, None), bar("b", 20.0, None), bar("c", 40.0, None)]);
        let lengths = values(&drawn, OURS, "width");
        assert_eq!(lengths.len(), 3);
        assert!((lengths[1] - 2.0 * lengths[0]).abs() < 0.2, "{lengths:?}");
        assert!((lengths[2] - 4.0 * lengths[0]).abs() < 0.3, "{lengths:?}");
        assert!(lengths[2] > WIDTH / 2.0, "{lengths:?}");
    }

    #[test]
    fn bars_of_equal_ratios_differ_by_the_same_length_on_a_logarithmic_axis() {
        let bars = vec![bar("a", 20.0, None), bar("b", 200.0, None), bar("c", 2000.0, None)];
        let lengths = values(&draw(Scale::Logarithmic, bars), OURS, "width");
        assert!(lengths[0] > 0.0);
        assert!((lengths[2] - 2.0 * lengths[1] + lengths[0]).abs() < 0.2, "{lengths:?}");
    }

    #[test]
    fn a_value_is_right_of_its_bar_and_of_its_range() {
        let drawn = draw(Scale::Linear, vec![bar("a", 1100.0, Some((900.0, 2200.0))), bar("b", 500.0, None)]);
        let (ends, lengths) = (values(&drawn, OURS, "x"), values(&drawn, OURS, "width"));
        let at = |text| values(&drawn, text, "x")[0];
        assert!((at(">1,100<") - (ends[0] + 2.0 * lengths[0] + GAP)).abs() < 0.2);
        assert!((at(">500<") - (ends[1] + lengths[1] + GAP)).abs() < 0.2);
        assert!(at(">1,100<") + width("1,100") * NORMAL <= WIDTH - MARGIN + 0.1);
    }

    #[test]
    fn a_group_has_one_heading_and_a_long_label_several_lines() {
        let mut bars = vec![bar("a label that does not fit in a line", 1.0, None), bar("bare", 2.0, None)];
        bars.iter_mut().for_each(|bar| bar.group = "a & b".to_owned());
        let drawn = draw(Scale::Linear, bars);
        assert_eq!(drawn.matches(">a &amp; b</text>").count(), 1);
        assert_eq!(values(&drawn, "text-anchor=\"end\"", "y").len(), 3);
        assert_eq!(values(&drawn, ">bare<", "x"), values(&drawn, ">a label that does not fit<", "x"));
        assert!(drawn.contains("<title>A &lt;title&gt;</title>"));
    }

    #[test]
    fn the_legend_has_only_what_the_chart_has() {
        let legend = |bars| {
            let drawn = draw(Scale::Linear, bars);
            (drawn.contains(">Postrider<"), drawn.contains("the largest value of the rounds"))
        };
        assert_eq!(legend(vec![bar("a", 1.0, None)]), (false, false));
        assert_eq!(legend(vec![bar("a", 1.0, Some((1.0, 2.0))), bar("bare", 1.0, None)]), (true, true));
    }
}
