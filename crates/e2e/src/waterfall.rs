//! A trace as a waterfall: on a terminal, at most 80 columns wide, or as a picture ([`svg`]).

mod svg;
mod tree;

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use crate::otlp::{LinkRecord, SpanKind, SpanRecord, Status};

pub use svg::svg;
use tree::{Axis, Row};

const COLUMNS: usize = 80;
const NAME_COLUMNS: usize = 25;
const BAR_COLUMNS: usize = 19;
const NOTE_COLUMNS: usize = 14;

/// Whether to use the colours of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Errors in red, the frame dimmed.
    Ansi,
    /// Plain text.
    Off,
}

impl Colour {
    /// Colours for a terminal on standard output, unless `NO_COLOR` is set and not empty.
    pub fn of_stdout() -> Colour {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !unwanted { Colour::Ansi } else { Colour::Off }
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colour::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }
}

/// Draws the spans of one trace: a tree by parent, in order of their start.
pub fn render(spans: &[SpanRecord], colour: Colour) -> String {
    let Some(axis) = Axis::of(spans) else { return "no spans\n".to_owned() };
    let drawing = Drawing { spans, axis, colour };
    let mut text = format!(
        "trace {} · {} spans · {}\n",
        spans[0].trace_id,
        spans.len(),
        duration_text(Duration::from_nanos(axis.length)),
    );
    for row in tree::rows(spans) {
        drawing.row(&row, &mut text);
    }
    text
}

/// A duration in the unit that a person would choose, in at most 8 columns: `1.2 ms`.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 1000.0 {
        format!("{seconds:.0} s")
    } else if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if seconds >= 0.001 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

impl Axis {
    fn column(self, time: u64) -> usize {
        let part =
            u128::from(time.saturating_sub(self.start)) * BAR_COLUMNS as u128 / u128::from(self.length);
        usize::try_from(part).map_or(BAR_COLUMNS, |column| column.min(BAR_COLUMNS))
    }

    /// At least one cell wide, however short the span is.
    fn bar(self, span: &SpanRecord) -> (usize, usize) {
        let first = self.column(span.start).min(BAR_COLUMNS - 1);
        (first, self.column(span.end).clamp(first + 1, BAR_COLUMNS))
    }
}

impl Row<'_> {
    /// The lines of the tree before its name.
    fn branch(&self) -> String {
        let Some((is_last, above)) = self.lasts.split_last() else { return String::new() };
        trunk(above) + if *is_last { "└─ " } else { "├─ " }
    }
}

/// The lines of the tree that go on below these.
fn trunk(lasts: &[bool]) -> String {
    lasts.iter().map(|is_last| if *is_last { "   " } else { "│  " }).collect()
}

struct Drawing<'a> {
    spans: &'a [SpanRecord],
    axis: Axis,
    colour: Colour,
}

impl Drawing<'_> {
    fn row(&self, row: &Row<'_>, text: &mut String) {
        let span = row.span;
        let is_error = matches!(span.status, Status::Error(_));
        let name = fit(&format!("{}{}", row.branch(), span.name), NAME_COLUMNS);
        let (first, end) = self.axis.bar(span);
        let before = self.colour.paint("2", &"·".repeat(first));
        let after = self.colour.paint("2", &"·".repeat(BAR_COLUMNS - end));
        let bar = self.colour.paint(if is_error { "31" } else { "36" }, &"█".repeat(end - first));
        let note = fit(&note(span), NOTE_COLUMNS);
        let note =
            if is_error { self.colour.paint("31", note.trim_end()) } else { note.trim_end().to_owned() };
        let line = format!(
            "{name} {kind:8} {duration:>8}  {before}{bar}{after}  {note}",
            kind = kind_text(span.kind),
            duration = duration_text(span.duration()),
        );
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
        for link in &span.links {
            let line = fit(&format!("{}   ⇢ link to {}", trunk(&row.lasts), self.link_target(link)), COLUMNS);
            let _ = writeln!(text, "{}", self.colour.paint("2", line.trim_end()));
        }
    }

    fn link_target(&self, link: &LinkRecord) -> String {
        let short = short_id(&link.span_id);
        match self.spans.iter().find(|span| span.span_id == link.span_id) {
            Some(span) => format!("{} {short}", fit(&span.name, NAME_COLUMNS).trim_end()),
            None => format!("span {short} of trace {}", short_id(&link.trace_id)),
        }
    }
}

/// The status code, and the error of a failed span.
fn note(span: &SpanRecord) -> String {
    let code = span.text("http.response.status_code");
    let Status::Error(message) = &span.status else { return code.unwrap_or_default() };
    let error = span.text("error.type").unwrap_or_else(|| message.clone());
    match code {
        Some(code) if code != error => format!("✗ {code} {error}"),
        _ => format!("✗ {error}"),
    }
}

fn kind_text(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "",
        SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    }
}

fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Exactly `columns` columns: shortened with an ellipsis or padded with spaces.
fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return format!("{text:columns$}");
    }
    let cut: String = text.chars().take(columns - 1).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests;
