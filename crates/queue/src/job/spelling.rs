//! Names that are not known, and the known one that each most likely means. Pure.

use super::FIELDS;

/// What other queues and HTTP clients call the fields of a job.
const SYNONYMS: [(&str, &str); 18] = [
    ("json", "body"),
    ("data", "body"),
    ("payload", "body"),
    ("content", "body"),
    ("id", "label"),
    ("name", "label"),
    ("uri", "url"),
    ("verb", "method"),
    ("eta", "not_before"),
    ("countdown", "delay_ms"),
    ("expires", "expires_at"),
    ("deadline", "expires_at"),
    ("retries", "max_attempts"),
    ("max_retries", "max_attempts"),
    ("attempts", "max_attempts"),
    ("signature", "secret"),
    ("group", "flow"),
    ("version", "v"),
];

/// The field of a job that an unknown name most likely means.
pub fn meant_field(name: &str) -> Option<&'static str> {
    let synonym = SYNONYMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    synonym.map(|(_, field)| *field).or_else(|| meant(name, FIELDS.iter().copied()))
}

/// The known name that an unknown one most likely means: it begins with it, or differs in at most two letters.
pub fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() < 3 {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let distances = known.into_iter().map(|known| match known.starts_with(&name) {
        true => (0, known),
        false => (strsim::levenshtein(known, &name), known),
    });
    distances
        .filter(|(distance, _)| *distance <= 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_known_means_the_known_one() {
        for (name, known) in [
            ("URL", Some("url")),
            ("header", Some("headers")),
            ("delay", Some("delay_ms")),
            ("timeout", Some("timeout_ms")),
            ("max_attemps", Some("max_attempts")),
            ("flwo", Some("flow")),
            ("json", Some("body")),
            ("countdown", Some("delay_ms")),
            ("ID", Some("label")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(meant_field(name), known, "{name}");
        }
        assert!(SYNONYMS.iter().all(|(name, field)| FIELDS.contains(field) && !FIELDS.contains(name)));
    }
}
