//! How the fields of a log line are named as attributes.

use crate::{LogNames, semconv};

/// A field's name as an attribute's: the program's name for it, else one in the namespace of the crate that wrote the
/// line.
pub(super) fn namespaced(field: String, target: &str, names: LogNames) -> String {
    if field.contains('.') {
        return field;
    }
    let of_crate = target.split("::").next().unwrap_or_default();
    // In lines of this crate, `reason` is why a receiver refuses telemetry.
    if field == "error" || (of_crate, field.as_str()) == (env!("CARGO_CRATE_NAME"), "reason") {
        return semconv::EXCEPTION_MESSAGE.to_owned();
    }
    match names(target, &field) {
        Some(name) => name.into_owned(),
        None if of_crate.is_empty() => field,
        None => format!("{of_crate}.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_has_the_programs_name_or_one_in_the_namespace_of_its_crate() {
        let names: LogNames =
            |target, field| (target == "mine::part" && field == "queue").then_some("a.queue".into());
        for (target, field, name) in [
            ("mine::part", "queue", "a.queue"),
            ("mine::part", "size", "mine.size"),
            ("mine::part", "reason", "mine.reason"),
            (module_path!(), "reason", "exception.message"),
            ("fred::router", "queue", "fred.queue"),
            ("fred::router", "error", "exception.message"),
            ("fred::router", "exception.message", "exception.message"),
            ("", "queue", "queue"),
        ] {
            assert_eq!(namespaced(field.to_owned(), target, names), name, "{target} {field}");
        }
    }
}
