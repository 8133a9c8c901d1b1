//! How the fields of a log line are named as attributes.

use crate::semconv;

/// A field's name as an attribute's: in the namespace of the crate that wrote the line.
pub(super) fn namespaced(field: String, target: &str) -> String {
    if field.contains('.') {
        return field;
    }
    match field.as_str() {
        "error" => return "error.message".to_owned(),
        "ticket" => return semconv::POSTRIDER_JOB_TICKET.to_owned(),
        _ => {}
    }
    match target.split("::").next().unwrap_or_default() {
        "" | "postrider" | "telemetry" | "http_telemetry" | "redis_telemetry" => match field.as_str() {
            "queue" => semconv::MESSAGING_DESTINATION_NAME.to_owned(),
            "status" => semconv::HTTP_RESPONSE_STATUS_CODE.to_owned(),
            _ => format!("postrider.{field}"),
        },
        name => format!("{name}.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_stands_in_the_namespace_of_its_crate() {
        assert_eq!(namespaced("jobs".to_owned(), "postrider::lane"), "postrider.jobs");
        assert_eq!(namespaced("status".to_owned(), "postrider::attempt"), "http.response.status_code");
        assert_eq!(namespaced("error".to_owned(), "postrider::lane"), "error.message");
        assert_eq!(namespaced("queue".to_owned(), "postrider::lane"), "messaging.destination.name");
        assert_eq!(namespaced("queue".to_owned(), "fred::router"), "fred.queue");
        assert_eq!(namespaced("exception.message".to_owned(), "fred"), "exception.message");
        assert_eq!(namespaced("server".to_owned(), "fred::router"), "fred.server");
    }
}
