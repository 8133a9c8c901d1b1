//! Which status codes are worth another attempt. Pure.

use std::ops::RangeInclusive;

use postrider_queue::job::Statuses;

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
        let among = |list: &[Statuses]| list.iter().any(|statuses| statuses.contains(status));
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
        self.passing.iter().find_map(|passing| {
            let other = self.is_final.iter().find(|other| passing.overlap(other));
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
}
