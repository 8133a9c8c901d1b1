//! The schema of a job that is enqueued.

use utoipa::ToSchema;

/// A job, with the fields of the wire format. Numbers may also be texts.
#[expect(dead_code, reason = "it only describes what `JsonJob` reads")]
#[derive(ToSchema)]
pub(super) struct NewJob {
    /// The destination.
    url: String,
    /// Default: POST.
    method: Option<String>,
    /// Names, and a value or a list of values.
    headers: Option<serde_json::Value>,
    /// Text that is sent unchanged, or any other JSON.
    body: Option<serde_json::Value>,
    /// A body in Base64 (RFC 4648 §4), in place of `body`.
    body_base64: Option<String>,
    /// Your own name for the job: 1 to 128 printable ASCII characters without a blank.
    label: Option<String>,
    /// An idempotency key, as the header `Idempotency-Key`.
    key: Option<String>,
    /// The delay of the first attempt, ms.
    delay_ms: Option<u64>,
    /// The earliest time of the first attempt, Unix milliseconds.
    not_before: Option<u64>,
    /// The job is not sent after this time, Unix milliseconds.
    expires_at: Option<u64>,
    /// A deadline for each attempt, ms.
    timeout_ms: Option<u64>,
    /// 1 to 100.
    max_attempts: Option<u32>,
    /// The name of a retry policy in the worker's configuration.
    retry: Option<String>,
    /// Jobs of one flow are limited together. Default: the destination's host and port.
    flow: Option<String>,
    /// The name of the secret that the worker signs the request with.
    secret: Option<String>,
    /// How long the result is kept, ms.
    result_ttl_ms: Option<u64>,
    /// W3C Trace Context; default: that of the request.
    traceparent: Option<String>,
    /// W3C Trace Context.
    tracestate: Option<String>,
    /// W3C Baggage.
    baggage: Option<String>,
    /// The version of the format: 1.
    v: Option<u32>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use postrider_queue::job::FIELDS;
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn the_schema_has_each_field_of_the_wire_format() {
        let schema = serde_json::to_value(NewJob::schema()).unwrap();
        let members: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let known = FIELDS.iter().copied().chain(["key", "body_base64"]).collect();
        assert_eq!(members, known);
    }
}
