//! How the fields of a log line are named as attributes.

use crate::semconv;

/// Fields of our own lines that spans have as attributes, too: both use the same name.
const NAMES: [(&str, &str); 15] = [
    ("attempt", semconv::POSTRIDER_JOB_ATTEMPT),
    ("bytes", semconv::HTTP_REQUEST_BODY_SIZE),
    ("consumer", semconv::MESSAGING_CLIENT_ID),
    ("entry", semconv::MESSAGING_MESSAGE_ID),
    ("error_type", semconv::ERROR_TYPE),
    // Of several entries.
    ("first", semconv::MESSAGING_MESSAGE_ID),
    ("flow", semconv::POSTRIDER_FLOW_NAME),
    ("label", semconv::MESSAGING_MESSAGE_CONVERSATION_ID),
    ("jobs", semconv::MESSAGING_BATCH_MESSAGE_COUNT),
    ("method", semconv::HTTP_REQUEST_METHOD),
    ("path", semconv::URL_PATH),
    ("queue", semconv::MESSAGING_DESTINATION_NAME),
    ("reason", semconv::POSTRIDER_JOB_DEAD_REASON),
    ("status", semconv::HTTP_RESPONSE_STATUS_CODE),
    ("job_id", semconv::POSTRIDER_JOB_ID),
];

/// A field's name as an attribute's: that of the conventions, else one in the namespace of the crate that wrote the
/// line.
pub(super) fn namespaced(field: String, target: &str) -> String {
    if field.contains('.') {
        return field;
    }
    if field == "error" {
        return semconv::EXCEPTION_MESSAGE.to_owned();
    }
    match (target.split("::").next().unwrap_or_default(), field.as_str()) {
        // Why a receiver refuses telemetry; a job's reason is one of a closed list.
        ("telemetry", "reason") => semconv::EXCEPTION_MESSAGE.to_owned(),
        (
            "" | "postrider" | "postrider_queue" | "postrider_worker" | "telemetry" | "http_telemetry"
            | "redis_telemetry",
            _,
        ) => match NAMES.iter().find(|(own, _)| *own == field) {
            Some((_, name)) => (*name).to_owned(),
            None => format!("postrider.{field}"),
        },
        (name, _) => format!("{name}.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_stands_in_the_namespace_of_its_crate() {
        let in_target = |target: &str, field: &str| namespaced(field.to_owned(), target);
        for (field, name) in [
            ("jobs", "messaging.batch.message_count"),
            ("entry", "messaging.message.id"),
            ("reason", "postrider.job.dead_reason"),
            ("consumer", "messaging.client.id"),
            ("queue", "messaging.destination.name"),
            ("status", "http.response.status_code"),
            ("error", "exception.message"),
            ("error_type", "error.type"),
            ("concurrency", "postrider.concurrency"),
        ] {
            assert_eq!(in_target("postrider_worker::shard", field), name);
        }
        assert_eq!(in_target("telemetry::otel::receiver", "reason"), "exception.message");
        for (field, name) in [
            ("queue", "fred.queue"),
            ("server", "fred.server"),
            ("error", "exception.message"),
            ("exception.message", "exception.message"),
        ] {
            assert_eq!(in_target("fred::router", field), name);
        }
    }
}
