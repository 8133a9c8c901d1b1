//! Status codes as people name them. Pure.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Status codes as policies and filters name them: `409`, `5xx`, `520-529`; from 300 to 599.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(RangeInclusive<u16>);

/// Text that names no status codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status code from 300 to 599, a class or a range, as \"409\", \"5xx\" or \"520-529\"")]
pub struct BadStatuses(String);

impl FromStr for Statuses {
    type Err = BadStatuses;

    fn from_str(text: &str) -> Result<Self, BadStatuses> {
        let range = range(text).filter(|range| !range.is_empty());
        range.map(Self).ok_or_else(|| BadStatuses(text.to_owned()))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let code = |text: &str| {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|code| is_code && (300..=599).contains(code))
    };
    match (text.split_once('-'), text.strip_suffix("xx")) {
        (Some((from, to)), _) => Some(code(from)?..=code(to)?),
        (None, Some(class)) => code(&format!("{class}00")).map(|from| from..=from + 99),
        (None, None) => code(text).map(|code| code..=code),
    }
}

impl Statuses {
    /// Whether they contain a status code.
    pub fn contains(&self, status: u16) -> bool {
        self.0.contains(&status)
    }

    /// Whether a status code is in both.
    pub fn overlap(&self, other: &Self) -> bool {
        self.0.start() <= other.0.end() && other.0.start() <= self.0.end()
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.0.start(), self.0.end());
        if from == to { write!(f, "{from}") } else { write!(f, "{from}-{to}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_names_no_statuses_is_refused() {
        for wrong in [
            "", "x", "2xx", "200", "299", "600", "40", "4040", "5x", "6xx", "500-", "509-500", "-", "+40",
            "5XX",
        ] {
            assert_eq!(wrong.parse::<Statuses>(), Err(BadStatuses(wrong.to_owned())));
        }
    }
}
