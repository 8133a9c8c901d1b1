//! Texts and times for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use telemetry::is_unprintable;

/// Bytes of a job as text, with control characters escaped; cut after `longest` characters.
pub fn plain(bytes: &[u8], longest: usize) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("({} bytes that are not text)", bytes.len());
    };
    let mut plain = String::new();
    for (count, character) in text.chars().enumerate() {
        if count >= longest {
            plain.push_str(&format!("… ({} bytes)", bytes.len()));
            break;
        }
        match character {
            '\n' => plain.push('\n'),
            character if is_unprintable(character) => plain.extend(character.escape_default()),
            character => plain.push(character),
        }
    }
    plain
}

/// A length of time in at most two units: `1h 5m`.
pub fn brief(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_millis());
    }
    let whole = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// The time between two times in Unix ms, as [`brief`].
pub fn span(from: u64, to: u64) -> String {
    brief(Duration::from_millis(to.saturating_sub(from)))
}

/// A Unix time in ms, as RFC 3339.
pub fn time(millis: u64) -> String {
    /// The end of the year 9999, Unix ms; later times are not real.
    const LAST: u64 = 253_402_300_800_000;
    if millis >= LAST {
        return millis.to_string();
    }
    let time: SystemTime = UNIX_EPOCH + Duration::from_millis(millis);
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_are_escaped_and_long_texts_are_cut() {
        assert_eq!(plain(b"\x1b[2J\tx", 10), "\\u{1b}[2J\\tx");
        assert_eq!(plain("a\u{202e}b\u{2028}\u{9b}".as_bytes(), 10), "a\\u{202e}b\\u{2028}\\u{9b}");
        assert_eq!(plain(&[0xff], 10), "(1 bytes that are not text)");
        assert_eq!(plain("äöü".as_bytes(), 2), "äö… (6 bytes)");
    }

    #[test]
    fn times_are_short_and_impossible_ones_are_numbers() {
        assert_eq!(brief(Duration::from_millis(3_723_004)), "1h 2m");
        assert_eq!(brief(Duration::from_millis(7)), "7ms");
        assert_eq!(time(1_795_396_101_000), "2026-11-23T01:08:21.000Z");
        assert_eq!(time(9_999_999_999_999_999), "9999999999999999");
    }
}
