//! Texts and times for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use telemetry::is_unprintable;

/// Bytes of a job as text, with control characters escaped; cut after `longest` characters.
pub fn plain(bytes: &[u8], longest: usize) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("({} bytes that are not text)", bytes.len());
    };
    if text.len() <= longest && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
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
    in_units(Duration::from_secs(time.as_secs()), 2)
}

/// A length of time to the millisecond, as it is written in a configuration: `100d`, `1h 30m`, `500ms`.
pub fn exact(time: Duration) -> String {
    match in_units(time, usize::MAX) {
        empty if empty.is_empty() => "0s".to_owned(),
        text => text,
    }
}

/// In the first units that are not zero, up to `most`. The largest is a day: people count months differently.
fn in_units(time: Duration, most: usize) -> String {
    let mut left = time.as_millis();
    let mut parts = vec![];
    for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = left / millis;
        left %= millis;
        parts.extend((count > 0).then(|| format!("{count}{unit}")));
    }
    parts.truncate(most);
    parts.join(" ")
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

/// A time in RFC 3339 as Unix ms: in UTC (`Z`, or nothing), or with an offset; `None` if it is none, or before 1970.
pub fn instant(text: &str) -> Option<u64> {
    let text = text.trim();
    // The dashes of the date are before this.
    let offset = text.rfind(['+', '-']).filter(|at| *at > 10);
    let (local, ahead_ms) = match offset {
        Some(at) => (&text[..at], offset_ms(&text[at..])?),
        None => (text.strip_suffix(['Z', 'z']).unwrap_or(text), 0),
    };
    let is_local = local.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit());
    let time: SystemTime = humantime::parse_rfc3339_weak(local).ok().filter(|_| is_local)?;
    let millis = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    u64::try_from(millis - ahead_ms).ok()
}

/// `+02:00`, in ms.
fn offset_ms(offset: &str) -> Option<i64> {
    let number = |text: &str, below: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &i64| digits && *number < below)
    };
    let (hours, minutes) = offset[1..].split_once(':')?;
    let ms = (number(hours, 24)? * 60 + number(minutes, 60)?) * 60_000;
    Some(if offset.starts_with('-') { -ms } else { ms })
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
    fn a_time_has_an_offset_or_is_utc() {
        const NOW: u64 = 1_795_396_101_000;
        for (text, at) in [
            ("2026-11-23T01:08:21Z", NOW),
            ("2026-11-23 01:08:21", NOW),
            ("2026-11-23T01:08:21.500z", NOW + 500),
            ("2026-11-23T03:08:21+02:00", NOW),
            ("2026-11-22T19:38:21.250-05:30", NOW + 250),
        ] {
            assert_eq!(instant(text), Some(at), "{text}");
        }
        for wrong in [
            "",
            "2026-11-23",
            "2026-11-23T25:00:00Z",
            "1960-01-01T00:00:00Z",
            "1970-01-01T00:00:00+01:00",
            "2026-11-23T01:08:21Z+02:00",
            "2026-11-23T01:08:21+2:00",
            "2026-11-23T01:08:21+24:00",
            "2026-11-23T01:08:21-05:60",
            "2026-11-23T01:08:21+0200",
            "2026-11-23T01:08:21ZZ",
        ] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_short_and_impossible_ones_are_numbers() {
        assert_eq!(brief(Duration::from_millis(3_723_004)), "1h 2m");
        assert_eq!(brief(Duration::from_millis(7)), "7ms");
        assert_eq!((brief(Duration::ZERO), exact(Duration::ZERO)), ("0ms".to_owned(), "0s".to_owned()));
        assert_eq!(brief(Duration::from_secs(100 * 86_400 + 1)), "100d 1s");
        for length in ["100d", "1h 30m", "45d 2h 3m 4s 5ms", "500ms", "3650d"] {
            assert_eq!(exact(humantime::parse_duration(length).unwrap()), length);
        }
        assert_eq!(time(1_795_396_101_000), "2026-11-23T01:08:21.000Z");
        assert_eq!(time(9_999_999_999_999_999), "9999999999999999");
    }
}
