//! Which status codes are worth another attempt. Pure.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The class of a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// The job is delivered.
    Success,
    /// Another attempt may get another response.
    Passing,
    /// Another attempt would get the same response.
    Final,
}

/// The default rules. The first match counts.
///
/// | status | class |
/// |---|---|
/// | 2xx | success |
/// | 408, 425, 429 (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4) | passing |
/// | 5xx | passing |
/// | 403, 413 with `Retry-After` | passing |
/// | everything else, including 3xx: redirects are not followed | final |
const RULES: [(RangeInclusive<u16>, StatusClass); 5] = [
    (200..=299, StatusClass::Success),
    (408..=408, StatusClass::Passing),
    (425..=425, StatusClass::Passing),
    (429..=429, StatusClass::Passing),
    (500..=599, StatusClass::Passing),
];

/// Status codes as a policy names them: `409`, `5xx`, `520-529`; from 300 to 599.
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
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.0.start(), self.0.end());
        if from == to { write!(f, "{from}") } else { write!(f, "{from}-{to}") }
    }
}

/// A policy's exceptions from the default rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// These are tried again.
    pub passing: Vec<Statuses>,
    /// These are not.
    pub is_final: Vec<Statuses>,
}

impl Overrides {
    /// The class of a status code. `asks` is whether the response asks to wait: 403 and 413 that do are limits of a rate
    /// or of a size (RFC 9110 §15.5.14), which pass.
    pub fn class(&self, status: u16, asks: bool) -> StatusClass {
        let among = |list: &[Statuses]| list.iter().any(|statuses| statuses.0.contains(&status));
        if among(&self.passing) {
            return StatusClass::Passing;
        }
        if among(&self.is_final) {
            return StatusClass::Final;
        }
        if asks && matches!(status, 403 | 413) {
            return StatusClass::Passing;
        }
        RULES
            .iter()
            .find(|(range, _)| range.contains(&status))
            .map_or(StatusClass::Final, |(_, class)| *class)
    }

    /// Two entries that contradict each other, if there are any.
    pub fn contradiction(&self) -> Option<(&Statuses, &Statuses)> {
        let meet = |a: &Statuses, b: &Statuses| a.0.start() <= b.0.end() && b.0.start() <= a.0.end();
        self.passing.iter().find_map(|passing| {
            let other = self.is_final.iter().find(|other| meet(passing, other));
            other.map(|other| (passing, other))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str) -> Vec<Statuses> {
        text.split(' ').map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_status_has_its_class() {
        let rules = Overrides::default();
        for status in 0..=u16::MAX {
            let expected = match status {
                200..=299 => StatusClass::Success,
                408 | 425 | 429 | 500..=599 => StatusClass::Passing,
                _ => StatusClass::Final,
            };
            assert_eq!(rules.class(status, false), expected, "{status}");
        }
    }

    #[test]
    fn a_policy_may_have_exceptions() {
        let rules = Overrides { passing: statuses("409 3xx"), is_final: statuses("501 520-529") };
        for (status, class) in [
            (409, StatusClass::Passing),
            (307, StatusClass::Passing),
            (404, StatusClass::Final),
            (501, StatusClass::Final),
            (520, StatusClass::Final),
            (529, StatusClass::Final),
            (530, StatusClass::Passing),
            (200, StatusClass::Success),
        ] {
            assert_eq!(rules.class(status, false), class, "{status}");
        }
        assert_eq!(rules.contradiction(), None);
        for (named_final, status, class) in [
            ("501", 403, StatusClass::Passing),
            ("501", 413, StatusClass::Passing),
            ("501", 404, StatusClass::Final),
            ("403", 403, StatusClass::Final),
        ] {
            let rules = Overrides { passing: vec![], is_final: statuses(named_final) };
            assert_eq!(rules.class(status, true), class, "{status} asks to wait");
        }
        let rules = Overrides { passing: statuses("5xx"), is_final: statuses("501") };
        let (passing, other) = rules.contradiction().unwrap();
        assert_eq!((passing.to_string(), other.to_string()), ("500-599".to_owned(), "501".to_owned()));
    }

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
