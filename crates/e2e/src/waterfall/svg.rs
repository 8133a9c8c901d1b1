//! A trace as a picture: an SVG for a page, light or dark, wide or narrow.

mod label;
mod scale;

use std::fmt::Write;
use std::time::Duration;

use super::tree::{self, Axis, Row};
use super::{duration_text, fit};
use crate::otlp::{SpanKind, SpanRecord};
use label::{Class, Label, escape, width};
use scale::Scale;

// Lengths are in units of the view box. They are pixels where the picture has its full width.
const WIDTH: f64 = 840.0;
const MARGIN: f64 = 8.0;
const BARS_LEFT: f64 = 206.0;
/// The rest of the width is for the labels behind the bars.
const BARS_RIGHT: f64 = 660.0;
const AXIS_Y: f64 = 60.0;
const ROWS_TOP: f64 = 70.0;
const ROW_HEIGHT: f64 = 31.0;
const BAR_HEIGHT: f64 = 16.0;
const BAR_MIN_WIDTH: f64 = 3.0;
const INDENT: f64 = 20.0;
/// What is deeper is not indented further.
const DEPTH_MAX: usize = 6;
const NAME_COLUMNS: usize = 18;
/// Between a bar and its label, and between other neighbours.
const GAP: f64 = 8.0;
/// From the middle of a line of text down to its baseline.
const BASELINE: f64 = 4.5;
const LEGEND_HEIGHT: f64 = 40.0;

const STYLE: &str = include_str!("svg/style.css");

/// Draws the spans of one trace: a row for each span, with an arrow from each attempt to the next.
pub fn svg(spans: &[SpanRecord]) -> String {
    let rows = tree::rows(spans);
    let Some(axis) = Axis::of(spans) else {
        return "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n".to_owned();
    };
    let picture = Picture { rows: &rows, scale: Scale { axis, left: BARS_LEFT, right: BARS_RIGHT } };
    let height = ROWS_TOP + rows.len() as f64 * ROW_HEIGHT + LEGEND_HEIGHT;
    let summary = format!("{} spans · {}", spans.len(), duration_text(Duration::from_nanos(axis.length)));
    let trace = escape(&spans[0].trace_id);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n\
         <title>Trace {trace}: {summary}</title>\n<style>\n{STYLE}</style>\n\
         <text x=\"{MARGIN}\" y=\"22\"><tspan class=\"strong\">Trace</tspan> {trace}\
         <tspan class=\"muted\"> · {summary}</tspan></text>\n"
    );
    picture.shade(&mut text);
    picture.axis(height - LEGEND_HEIGHT, &mut text);
    for (index, row) in rows.iter().enumerate() {
        picture.tree(index, row, &mut text);
        picture.row(index, row, &mut text);
    }
    for (to, from) in attempts(&rows) {
        picture.arrow(from, to, &mut text);
    }
    picture.legend(height - LEGEND_HEIGHT / 2.0, &mut text);
    text + "</svg>\n"
}

/// Pairs of rows: an attempt, and an earlier one to which it has a link.
fn attempts(rows: &[Row<'_>]) -> Vec<(usize, usize)> {
    let is_attempt = |row: &Row<'_>| row.span.kind == SpanKind::Consumer;
    let mut pairs = Vec::new();
    for (to, row) in rows.iter().enumerate().filter(|(_, row)| is_attempt(row)) {
        let before = rows[..to].iter().enumerate().filter(|(_, other)| is_attempt(other));
        pairs.extend(before.filter(|(_, other)| row.span.links_to(other.span)).map(|(from, _)| (to, from)));
    }
    pairs
}

/// Writing to a string does not fail.
fn put(text: &mut String, element: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{element}");
}

/// The middle of a row.
fn middle(index: usize) -> f64 {
    ROWS_TOP + (index as f64 + 0.5) * ROW_HEIGHT
}

struct Picture<'a> {
    rows: &'a [Row<'a>],
    scale: Scale,
}

impl Picture<'_> {
    fn axis(&self, bottom: f64, text: &mut String) {
        for tick in self.scale.ticks() {
            let (x, y) = (tick.x, AXIS_Y - GAP);
            put(text, format_args!("<path class=\"grid\" d=\"M{x:.1} {AXIS_Y}V{bottom}\"/>"));
            let name = tick.name;
            put(text, format_args!("<text class=\"tick\" x=\"{x:.1}\" y=\"{y}\">{name}</text>"));
        }
    }

    /// A shade behind every other row leads the eye from a name to its bar.
    fn shade(&self, text: &mut String) {
        for index in (0..self.rows.len()).step_by(2) {
            let y = middle(index) - ROW_HEIGHT / 2.0;
            put(
                text,
                format_args!(
                    "<rect class=\"shade\" y=\"{y}\" width=\"{WIDTH}\" height=\"{ROW_HEIGHT}\" rx=\"4\"/>"
                ),
            );
        }
    }

    /// The lines from a parent to its children.
    fn tree(&self, index: usize, row: &Row<'_>, text: &mut String) {
        let Some((is_last, above)) = row.lasts.split_last() else { return };
        let (top, middle, bottom) =
            (middle(index) - ROW_HEIGHT / 2.0, middle(index), middle(index) + ROW_HEIGHT / 2.0);
        let column = |depth: usize| MARGIN + 4.0 + depth.min(DEPTH_MAX - 1) as f64 * INDENT;
        let through = above.iter().enumerate().filter(|(_, is_last)| !**is_last);
        let mut path: String =
            through.map(|(depth, _)| format!("M{} {top}V{bottom}", column(depth))).collect();
        let x = column(above.len());
        let end = if *is_last { middle } else { bottom };
        let _ = write!(path, "M{x} {top}V{end}M{x} {middle}H{}", x + INDENT * 0.5);
        put(text, format_args!("<path class=\"tree\" d=\"{path}\"/>"));
    }

    fn row(&self, index: usize, row: &Row<'_>, text: &mut String) {
        let (span, middle) = (row.span, middle(index));
        let (first, end) = self.bar(span);
        let class = Class::of(span);
        let depth = row.lasts.len().min(DEPTH_MAX);
        let name = fit(&span.name, NAME_COLUMNS - 2 * depth);
        let (name, x, y) = (escape(name.trim_end()), MARGIN + depth as f64 * INDENT, middle + BASELINE);
        put(text, format_args!("<text class=\"name\" x=\"{x}\" y=\"{y}\">{name}</text>"));
        let (y, width) = (middle - BAR_HEIGHT / 2.0, end - first);
        put(
            text,
            format_args!(
                "<rect class=\"{}\" x=\"{first:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"3\"/>",
                class.name(),
            ),
        );
        self.label(span, middle + BASELINE, text);
    }

    /// Behind the bar, or before it where there is no room.
    fn label(&self, span: &SpanRecord, y: f64, text: &mut String) {
        let (start, end) = self.bar(span);
        let label = Label::of(span);
        let is_behind = end + GAP + label.width() < WIDTH;
        let (side, x) = if is_behind { ("", end + GAP) } else { (" before", start - GAP) };
        let key = if Class::of(span) == Class::Error { "error strong" } else { "key" };
        let (first, rest) = (escape(&label.first), escape(&label.rest));
        put(
            text,
            format_args!(
                "<text class=\"label{side}\" x=\"{x:.1}\" y=\"{y}\"><tspan class=\"{key}\">{first}</tspan>\
                 <tspan class=\"rest\">{rest}</tspan></text>"
            ),
        );
    }

    /// Where a bar begins and ends; it can be seen, however short the span.
    fn bar(&self, span: &SpanRecord) -> (f64, f64) {
        let first = self.scale.at(span.start).min(BARS_RIGHT - BAR_MIN_WIDTH);
        (first, self.scale.at(span.end).max(first + BAR_MIN_WIDTH))
    }

    /// From the label of one attempt to the bar of the next, with the time between them.
    fn arrow(&self, from: usize, to: usize, text: &mut String) {
        let (before, after) = (self.rows[from].span, self.rows[to].span);
        let ((_, end), (start, _)) = (self.bar(before), self.bar(after));
        let (x, y, tip) = (start + BAR_MIN_WIDTH / 2.0, middle(from), middle(to) - BAR_HEIGHT / 2.0 - 2.0);
        let label = Label::of(before);
        // The label is shorter in a narrow picture, and its letters are larger.
        for (class, label_width) in [("wide", label.width()), ("narrow", label.narrow_width())] {
            let left = end + GAP + label_width + GAP;
            let line = if left < x - GAP {
                format!("M{left:.1} {y}H{:.1}Q{x:.1} {y} {x:.1} {}V{tip}", x - 6.0, y + 6.0)
            } else {
                format!("M{x:.1} {}V{tip}", y + BAR_HEIGHT / 2.0 + 2.0)
            };
            put(text, format_args!("<path class=\"arrow {class}\" d=\"{line}\"/>"));
        }
        let head = format!("M{:.1} {}L{x:.1} {tip}L{:.1} {}", x - 4.0, tip - 6.0, x + 4.0, tip - 6.0);
        put(text, format_args!("<path class=\"head\" d=\"{head}\"/>"));
        let wait = Duration::from_nanos(after.start.saturating_sub(before.end));
        let wait = format!("{} later", duration_text(wait));
        let (x, y) = (start - GAP, middle(to) + BASELINE);
        if x - width(&wait, true) > BARS_LEFT {
            put(text, format_args!("<text class=\"wait\" x=\"{x:.1}\" y=\"{y}\">{wait}</text>"));
        }
    }

    /// The meaning of the colours in the picture.
    fn legend(&self, middle: f64, text: &mut String) {
        let is_here = |class: &Class| self.rows.iter().any(|row| Class::of(row.span) == *class);
        let entries = Class::ALL.into_iter().filter(is_here).map(|class| {
            let (name, class) = (class.name(), class.class());
            format!("<tspan class=\"{name}\">■</tspan> {class}\u{a0}\u{a0} ")
        });
        let (entries, y) = (entries.collect::<String>(), middle + BASELINE);
        put(
            text,
            format_args!("<text class=\"label rest\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", entries.trim_end()),
        );
    }
}

#[cfg(test)]
mod tests;
