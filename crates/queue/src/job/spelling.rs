//! Names that are not known, and the known one that each most likely means. Pure.

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
    use super::super::FIELDS;
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
            ("payload", None),
            ("id", None),
        ] {
            assert_eq!(meant(name, FIELDS.iter().copied()), known, "{name}");
        }
    }
}
