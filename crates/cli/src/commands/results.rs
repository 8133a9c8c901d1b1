//! Renders a job's result for people.

use postrider_console::view::plain;
use postrider_queue::JobResult;

/// Characters of a body that are shown on a terminal; `--json` prints all that was kept.
const BODY_CHARS_MAX: usize = 1000;

/// The job's outcome, in one line.
pub(super) fn line(result: &JobResult) -> String {
    let JobResult { outcome, status, attempts, reason, error, .. } = result;
    let plural = if *attempts == 1 { "" } else { "s" };
    let status = status.map_or(String::new(), |status| format!(" with {status}"));
    let mut text = format!("{outcome}{status} after {attempts} attempt{plural}");
    if let (Some(reason), Some(error)) = (reason, error) {
        text.push_str(&format!(" ({reason}: {error})"));
    }
    plain(text.as_bytes(), usize::MAX)
}

/// The kept part of the response: headers, and the body if it is text. Control characters are escaped.
pub(super) fn answer(result: &JobResult) -> Option<String> {
    let mut lines: Vec<String> = vec![];
    for (name, value) in &result.headers {
        lines.push(format!("{name}: {}", plain(value.as_bytes(), BODY_CHARS_MAX).replace('\n', " ")));
    }
    let truncated = if result.truncated { " (truncated)" } else { "" };
    if let Some(body) = &result.body {
        lines.extend(plain(body.as_bytes(), BODY_CHARS_MAX).lines().map(str::to_owned));
        lines.extend(result.truncated.then(|| "(truncated)".to_owned()));
    } else if let Some(body) = &result.body_base64 {
        lines.push(format!(
            "(about {} bytes that are not text{truncated}; --json shows them in Base64)",
            body.len() * 3 / 4
        ));
    }
    if lines.is_empty() {
        return None;
    }
    Some(lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_cannot_control_a_terminal() {
        let result = JobResult {
            headers: [("x".to_owned(), "a\u{1b}[2Jb".to_owned())].into(),
            body: Some("one\ntwo\u{7}".to_owned()),
            truncated: true,
            ..JobResult::default()
        };
        assert_eq!(answer(&result).unwrap(), "  x: a\\u{1b}[2Jb\n  one\n  two\\u{7}\n  (truncated)");
        assert_eq!(answer(&JobResult::default()), None);
        let result = JobResult { body_base64: Some("/wA=".to_owned()), ..JobResult::default() };
        assert!(answer(&result).unwrap().contains("not text"));
    }
}
