//! An egress rule that is read is written so that it is read as the same.

use postrider_worker::internals::Rule;

/// A text.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(rule) = text.parse::<Rule>() else { return };
    let written = rule.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&rule), "{text} is written {written}");
}
