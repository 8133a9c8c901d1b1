//! Standard output: its width, and lines that leave a terminal as it is.

use std::io::{IsTerminal, Write};

use telemetry::{Escape, printable};
use textwrap::WordSplitter;

/// No terminal is treated as narrower, characters.
const WIDTH_MIN: usize = 40;

/// The width of the terminal in characters; `None` if standard output is none: then nothing is cut or wrapped.
pub(super) fn width() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    is_terminal
        .then(|| terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0).max(WIDTH_MIN)))
}

/// Prints a line. A line that is JSON stays JSON.
pub(super) fn print(text: &str) {
    let _ = try_print(text);
}

/// The same, for commands that end when nobody reads any more.
///
/// # Errors
/// The system's.
pub(super) fn try_print(text: &str) -> std::io::Result<()> {
    let escape = if text.starts_with('{') { Escape::Json } else { Escape::Text };
    writeln!(std::io::stdout(), "{}", printable(text, escape))
}

/// The text, indented; wrapped to the width if there is one.
pub(super) fn wrapped(text: &str, indent: &str, width: Option<usize>) -> String {
    let options =
        textwrap::Options::new(width.unwrap_or(usize::MAX)).word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options.initial_indent(indent).subsequent_indent(indent))
}
