//! Text in a chart: how wide it is, and where it breaks.

/// An upper bound of the width of a text, in units of its font size. These are about the widths of DejaVu Sans: most other fonts that
/// browsers take for `sans-serif` are narrower.
pub(super) fn width(text: &str) -> f64 {
    let of = |letter: char| match letter {
        'i' | 'j' | 'l' | ' ' | '.' | ',' | ':' | '\'' | '|' => 0.32,
        'f' | 'r' | 't' | '(' | ')' | '-' | '/' | ';' => 0.41,
        'm' | 'w' | 'M' | 'W' | '%' | '–' | '+' | '=' => 0.98,
        'A'..='Z' => 0.79,
        _ => 0.64,
    };
    text.chars().map(of).sum()
}

/// Breaks a text into lines that are no wider than `max`: where a comma is, and between words only if that is not enough.
pub(super) fn lines(text: &str, max: f64) -> Vec<String> {
    let mut lines = vec![];
    for phrase in text.split_inclusive(", ") {
        let phrase = phrase.trim_end();
        if width(phrase) <= max {
            append(&mut lines, phrase, max);
        } else {
            phrase.split_whitespace().for_each(|word| append(&mut lines, word, max));
        }
    }
    lines
}

/// Adds words to the last line, or to a new one if they do not fit.
fn append(lines: &mut Vec<String>, words: &str, max: f64) {
    match lines.last_mut() {
        Some(last) if width(last) + width(" ") + width(words) <= max => *last = format!("{last} {words}"),
        _ => lines.push(words.to_owned()),
    }
}

/// A number with a comma between thousands.
pub(super) fn thousands(digits: &str) -> String {
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut text = digits.to_owned();
    for at in (1..whole).filter(|at| (whole - at).is_multiple_of(3)).rev() {
        text.insert(at, ',');
    }
    text
}

/// A text as the content of an element or attribute.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_breaks_at_commas_or_between_words() {
        let text = "bare handler, glibc, 16 connections";
        assert_eq!(lines(text, 100.0), [text]);
        assert_eq!(lines(text, 13.0), ["bare handler, glibc,", "16 connections"]);
        let text = "a connection for each job, bare loop, glibc";
        let broken = lines(text, 13.0);
        assert_eq!(broken, ["a connection for each", "job, bare loop, glibc"]);
        assert!(broken.iter().all(|line| width(line) <= 13.0));
        assert_eq!(lines("incomprehensibilities of it", 3.0), ["incomprehensibilities", "of it"]);
    }

    #[test]
    fn thousands_are_separated() {
        for (digits, expected) in [
            ("7", "7"),
            ("103", "103"),
            ("1174", "1,174"),
            ("1234567.8901", "1,234,567.8901"),
            ("0.0001", "0.0001"),
        ] {
            assert_eq!(thousands(digits), expected);
        }
    }

    #[test]
    fn a_text_has_no_markup() {
        assert_eq!(escaped("a <b> & \"c\""), "a &lt;b&gt; &amp; &quot;c&quot;");
    }
}
