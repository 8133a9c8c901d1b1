//! The schema of a job that is enqueued.

use utoipa::ToSchema;

/// A job, with the fields of the wire format. Numbers may also be texts.
#[expect(dead_code, reason = "it only describes what `JsonJob` reads")]
#[derive(ToSchema)]
pub(super) struct NewJob {
    /// The destination.
    url: String,
    /// Default: POST.
    #[schema(nullable = false)]
    method: Option<String>,
    /// Names, and a value or a list of values.
    #[schema(nullable = false)]
    headers: Option<serde_json::Value>,
    /// Text that is sent unchanged, or any other JSON.
    #[schema(nullable = false)]
    body: Option<serde_json::Value>,
    /// A body in Base64 (RFC 4648 §4), in place of `body`.
    #[schema(nullable = false)]
    body_base64: Option<String>,
    /// Your own name for the job: 1 to 128 printable ASCII characters without a blank.
    #[schema(nullable = false)]
    label: Option<String>,
    /// An idempotency key, as the header `Idempotency-Key`.
    #[schema(nullable = false)]
    key: Option<String>,
    /// The delay of the first attempt, ms.
    #[schema(nullable = false)]
    delay_ms: Option<u64>,
    /// The earliest time of the first attempt, Unix milliseconds.
    #[schema(nullable = false)]
    not_before: Option<u64>,
    /// The job is not sent after this time, Unix milliseconds.
    #[schema(nullable = false)]
    expires_at: Option<u64>,
    /// A deadline for each attempt, ms.
    #[schema(nullable = false)]
    timeout_ms: Option<u64>,
    /// 1 to 100.
    #[schema(nullable = false)]
    max_attempts: Option<u32>,
    /// The name of a retry policy in the worker's configuration.
    #[schema(nullable = false)]
    retry: Option<String>,
    /// Jobs of one flow are limited together. Default: the destination's host and port.
    #[schema(nullable = false)]
    flow: Option<String>,
    /// Jobs of one order key are attempted one after the other, in the order in which they were enqueued.
    #[schema(nullable = false)]
    order: Option<String>,
    /// The name of the secret that the worker signs the request with.
    #[schema(nullable = false)]
    secret: Option<String>,
    /// How long the result is kept, ms.
    #[schema(nullable = false)]
    result_ttl_ms: Option<u64>,
    /// The URL that is called when the job has succeeded, or an object with `url` and optionally `method`, `headers`,
    /// `secret`, `flow` and `retry`.
    #[schema(nullable = false)]
    on_success: Option<serde_json::Value>,
    /// The same for a job that is dead-lettered.
    #[schema(nullable = false)]
    on_failure: Option<serde_json::Value>,
    /// W3C Trace Context; default: that of the request.
    #[schema(nullable = false)]
    traceparent: Option<String>,
    /// W3C Trace Context.
    #[schema(nullable = false)]
    tracestate: Option<String>,
    /// W3C Baggage.
    #[schema(nullable = false)]
    baggage: Option<String>,
    /// The version of the format: 1.
    #[schema(nullable = false)]
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
