//! The labels of spans: colours and texts.

use crate::otlp::{SpanKind, SpanRecord, Status};
use crate::waterfall::{duration_text, note};

/// Sizes of the letters of labels, as in the style, and how wide a letter is to its size.
const LETTERS: f64 = 12.5;
const NARROW_LETTERS: f64 = 20.0;
const LETTER_WIDTH: f64 = 0.52;

/// The colour of a bar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Producer,
    Consumer,
    Request,
    Redis,
    Other,
    Error,
}

impl Class {
    pub(super) const ALL: [Class; 6] =
        [Class::Producer, Class::Consumer, Class::Request, Class::Redis, Class::Other, Class::Error];

    /// By status, kind and attributes; names of spans decide nothing.
    pub(super) fn of(span: &SpanRecord) -> Class {
        let has = |attribute: &str| span.attributes.contains_key(attribute);
        match (&span.status, span.kind) {
            (Status::Error(_), _) => Class::Error,
            (_, SpanKind::Producer) => Class::Producer,
            (_, SpanKind::Consumer) => Class::Consumer,
            (_, SpanKind::Client) if has("http.request.method") => Class::Request,
            (_, SpanKind::Client) if has("messaging.system") || has("db.system.name") => Class::Redis,
            _ => Class::Other,
        }
    }

    /// In the style.
    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Producer => "producer",
            Class::Consumer => "consumer",
            Class::Request => "request",
            Class::Redis => "redis",
            Class::Other => "other",
            Class::Error => "error",
        }
    }

    /// In the legend.
    pub(super) fn class(self) -> &'static str {
        match self {
            Class::Producer => "producer",
            Class::Consumer => "consumer",
            Class::Request => "HTTP client",
            Class::Redis => "Redis client",
            Class::Other => "other",
            Class::Error => "error",
        }
    }
}

/// The words behind a bar.
pub(super) struct Label {
    /// The most telling, which a narrow picture has alone.
    pub(super) first: String,
    /// With the dot between it and `first`; may be empty.
    pub(super) rest: String,
}

impl Label {
    /// The attempt and its outcome, the status or the error, and the duration, as far as the span has them.
    pub(super) fn of(span: &SpanRecord) -> Label {
        let attempt = span.text("postrider.job.attempt").map(|attempt| format!("attempt {attempt}"));
        let outcome = span.text("postrider.job.outcome");
        let note = Some(note(span)).filter(|note| !note.is_empty());
        let duration = Some(duration_text(span.duration()));
        let mut parts = [attempt, outcome, note, duration].into_iter().flatten();
        let first = parts.next().unwrap_or_default();
        Label { first, rest: parts.map(|part| format!(" · {part}")).collect() }
    }

    /// An estimate: which font it will be is not known.
    pub(super) fn width(&self) -> f64 {
        width(&self.first, false) + width(&self.rest, false)
    }

    /// Of what a narrow picture has of it.
    pub(super) fn narrow_width(&self) -> f64 {
        width(&self.first, true)
    }
}

/// An estimate of the width of a text in letters of a label.
pub(super) fn width(text: &str, is_narrow: bool) -> f64 {
    let letters = if is_narrow { NARROW_LETTERS } else { LETTERS };
    text.chars().count() as f64 * letters * LETTER_WIDTH
}

/// Text as XML has it, also in an attribute. Characters that XML cannot have become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ if character.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_text_is_markup() {
        assert_eq!(escape("<a b='\"c\"'>&amp;"), "&lt;a b=&#39;&quot;c&quot;&#39;&gt;&amp;amp;");
        assert_eq!(escape("\0\u{1b}\n\u{ffff}é✗"), "\u{fffd}\u{fffd}\u{fffd}\u{fffd}é✗");
    }
}
