//! Characters that change how a terminal, an editor or a log viewer shows the text around them.

use std::borrow::Cow;
use std::fmt::Write;

/// How [`printable`] writes a character that it escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// `\u{202e}`, for people.
    Text,
    /// `\u202e`, as in a JSON string.
    Json,
}

/// Whether a character is invisible or controls others: C0 and C1 controls, marks of the direction of writing, separators of
/// lines, and the other characters of Unicode's category Cf.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0001}'..='\u{e007f}'
        )
}

/// The text with the unprintable characters beyond ASCII escaped. Those of ASCII are the caller's: line breaks, colours.
pub fn printable(text: &str, escape: Escape) -> Cow<'_, str> {
    let is_escaped = |character: char| !character.is_ascii() && is_unprintable(character);
    if text.is_ascii() || !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match escape {
            _ if !is_escaped(character) => printable.push(character),
            Escape::Text => printable.extend(character.escape_unicode()),
            Escape::Json => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(printable, "\\u{unit:04x}");
                }
            }
        }
    }
    Cow::Owned(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_other_text_is_escaped() {
        assert_eq!(
            printable("a\u{202e}b\u{2028}c\u{9b}d\u{e0041}", Escape::Text),
            r"a\u{202e}b\u{2028}c\u{9b}d\u{e0041}"
        );
        let json = printable("\"a\u{202e}\u{e0041}\"", Escape::Json).into_owned();
        assert_eq!(json, r#""a\u202e\udb40\udc41""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "a\u{202e}\u{e0041}");
        for same in ["", "plain\n\u{1b}[1m", "grüße €", "日本語", "🎉"] {
            assert!(matches!(printable(same, Escape::Text), Cow::Borrowed(text) if text == same), "{same}");
        }
        for character in ['\u{85}', '\u{200f}', '\u{2029}', '\u{2066}', '\u{feff}', '\u{1b}'] {
            assert!(is_unprintable(character), "{character:?}");
        }
    }
}
