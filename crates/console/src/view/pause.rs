//! A pause of a queue or a flow, and how people write its end.

use std::time::Duration;

use postrider_queue::admin::{Pause, PauseEnd};
use serde::Serialize;
use utoipa::ToSchema;

use super::text::{instant, plain, span, time};

/// Characters of a text.
const TEXT_CHARS_MAX: usize = 300;
/// A pause is at most as long as this: a longer one is a mistake.
const LENGTH_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

/// A pause of a queue or a flow.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PauseView {
    /// When it ends, Unix milliseconds; null if it lasts until somebody resumes.
    pub until: Option<u64>,
    /// When it began, Unix milliseconds.
    pub since: Option<u64>,
    /// Who has paused.
    pub by: Option<String>,
    /// Why.
    pub why: Option<String>,
}

impl PauseView {
    /// Of a pause.
    pub fn new(pause: &Pause) -> Self {
        let text = |text: &String| plain(text.as_bytes(), TEXT_CHARS_MAX).replace('\n', " ");
        Self {
            until: pause.until,
            since: pause.since,
            by: pause.by.as_ref().map(text),
            why: pause.why.as_ref().map(text),
        }
    }
}

/// A pause in a phrase: `paused for 5m by ann, until 2026-12-24T18:00:00.000Z (2h left): a move`.
pub fn pause_text(pause: &Pause, now: u64) -> String {
    let PauseView { until, since, by, why } = PauseView::new(pause);
    let since =
        since.filter(|since| *since > 0).map_or(String::new(), |since| format!(" for {}", span(since, now)));
    let by = by.map_or(String::new(), |by| format!(" by {by}"));
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    format!("paused{since}{by}, {}{why}", end_text(until, now))
}

/// When a pause ends, in a phrase.
pub fn end_text(until: Option<u64>, now: u64) -> String {
    match until {
        Some(until) => format!("until {} ({} left)", time(until), span(now, until)),
        None => "until it is resumed".to_owned(),
    }
}

/// What the record of a pause is about: which flow, none for a queue; until when; why.
pub fn pause_subject(flow: Option<&str>, until: Option<u64>, why: Option<&str>) -> String {
    let flow = flow.map_or(String::new(), |flow| format!("{flow} "));
    let end = until.map_or("until it is resumed".to_owned(), |until| format!("until {}", time(until)));
    format!("{flow}{end}{}", why.map_or(String::new(), |why| format!(": {why}")))
}

/// A flow's name, or a reason, of a pause.
///
/// # Errors
/// What to write.
pub fn pause_words(text: &str) -> Result<String, String> {
    const BYTES_MAX: usize = 256;
    match text.len() {
        1..=BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!("write 1 to {BYTES_MAX} bytes")),
    }
}

/// The end of a pause as people write it: a duration, or a time in RFC 3339.
///
/// # Errors
/// What is wrong, and what to write.
pub fn pause_end(text: &str) -> Result<PauseEnd, String> {
    let wrong = "write a duration, as 30m, or a time, as 2026-12-24T18:00:00Z";
    if text.contains(':') {
        return instant(text).map(PauseEnd::At).ok_or_else(|| format!("this is no time; {wrong}"));
    }
    let length = humantime::parse_duration(text).map_err(|error| format!("{error}; {wrong}"))?;
    if length < Duration::from_secs(1) || length > LENGTH_MAX {
        return Err("a pause takes at least 1s and at most 3650 days".to_owned());
    }
    Ok(PauseEnd::After(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_396_101_000;

    #[test]
    fn an_end_is_a_duration_or_a_time() {
        assert_eq!(pause_end("90s"), Ok(PauseEnd::After(Duration::from_secs(90))));
        for (text, at) in [("2026-11-23T01:08:21Z", NOW), ("2026-11-23T03:08:21+02:00", NOW)] {
            assert_eq!(pause_end(text), Ok(PauseEnd::At(at)), "{text}");
        }
        for wrong in ["", "soon", "30", "0s", "100ms", "9999y", "12:00", "x:y"] {
            assert!(pause_end(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_subject_of_a_record_has_flow_end_and_reason() {
        assert_eq!(pause_subject(None, None, None), "until it is resumed");
        let whole = pause_subject(Some("h:80"), Some(NOW), Some("a move"));
        assert_eq!(whole, "h:80 until 2026-11-23T01:08:21.000Z: a move");
        assert!(pause_words("").is_err() && pause_words(&"x".repeat(257)).is_err());
        assert_eq!(pause_words("x"), Ok("x".to_owned()));
    }

    #[test]
    fn a_pause_is_shown_in_a_phrase() {
        let mut pause = Pause { since: Some(NOW - 300_000), ..Pause::default() };
        assert_eq!(pause_text(&pause, NOW), "paused for 5m, until it is resumed");
        pause.until = Some(NOW + 7_200_000);
        (pause.by, pause.why) = (Some("ann".into()), Some("a move\u{1b}".into()));
        assert_eq!(
            pause_text(&pause, NOW),
            "paused for 5m by ann, until 2026-11-23T03:08:21.000Z (2h left): a move\\u{1b}"
        );
        assert_eq!(pause_text(&Pause::default(), NOW), "paused, until it is resumed");
    }
}
