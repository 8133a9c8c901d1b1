//! The names of this product: attributes and metrics beside those of OpenTelemetry's conventions, error types, and what
//! log fields are called as attributes.

use std::borrow::Cow;

use telemetry::{ErrorType, Program, semconv};

/// The prefix of the product's environment variables.
pub const VARIABLE_PREFIX: &str = "POSTRIDER_";

/// The product's programs, for [`telemetry::Config::of`].
pub const PROGRAM: Program = Program::new("postrider", env!("CARGO_PKG_VERSION"))
    .internals_variable("POSTRIDER_TRACE_INTERNALS")
    .metrics_hint("`--listen ADDRESS:PORT` sets the address of /metrics")
    .log_names(attribute_of);

/// The error type of a job whose time had passed.
pub const EXPIRED: ErrorType = ErrorType::custom(Cow::Borrowed("expired"), "the time to do it in had passed");
/// The error type of a job whose lease was lost.
pub const LEASE_LOST: ErrorType = ErrorType::custom(
    Cow::Borrowed("lease_lost"),
    "the lease was lost: the job is another worker's, or gone",
);

/// The error type of an attempt that failed because the worker lacked something: no fault of the destination.
pub const WORKER_FAULT: ErrorType = ErrorType::custom(
    Cow::Borrowed("worker_fault"),
    "the worker lacked something that the attempt needed, such as a name server",
);

/// The error type of a job whose secret got no access token: nothing was sent to the destination.
pub const TOKEN: ErrorType =
    ErrorType::custom(Cow::Borrowed("token"), "no access token could be got from the token endpoint");

/// The outcome of a delivery: `succeeded`, `retry`, `handed_back` or `dead`; `interrupted` where a lost lease or the end of
/// the worker stopped the work.
pub const JOB_OUTCOME: &str = "postrider.job.outcome";
/// The job id: unique, and the same for all attempts.
pub const JOB_ID: &str = "postrider.job.id";
/// The number of this attempt, from 1.
pub const JOB_ATTEMPT: &str = "postrider.job.attempt";
/// The job id of the callback that was enqueued when the job ended.
pub const JOB_CALLBACK: &str = "postrider.job.callback";
/// The job id of the job whose end this one reports.
pub const JOB_CALLBACK_OF: &str = "postrider.job.callback_of";
/// How often the job has been delivered without a settlement, this time included; absent the first time.
pub const JOB_DELIVERIES: &str = "postrider.job.deliveries";
/// How long the job was ready before a worker began with it, in seconds. A metric's name too.
pub const JOB_WAIT_DURATION: &str = "postrider.job.wait_duration";
/// For how long the job was scheduled before it was ready, in seconds.
pub const JOB_SCHEDULE_DURATION: &str = "postrider.job.schedule_duration";
/// For how long the job's flow held it before it was ready, in seconds.
pub const JOB_HOLD_DURATION: &str = "postrider.job.hold_duration";
/// For how long the job waited for its turn in the line of its order key before it was ready, in seconds.
pub const JOB_TURN_DURATION: &str = "postrider.job.turn_duration";
/// When a waiting job is due, or its flow is asked again (RFC 3339).
pub const JOB_DUE_AT: &str = "postrider.job.due_at";
/// The flow of a waiting job: its field `flow`, or the destination's `host:port`.
pub const FLOW_NAME: &str = "postrider.flow.name";
/// Why the job is held: `breaker`, `rate`, `concurrency`, `window`, `order`, `turn` or `redis`.
pub const HOLD_REASON: &str = "postrider.hold.reason";
/// Why the job is scheduled: `delay`, `backoff`, `retry_after`, `proxy`, `worker_fault`, `token` or `shutdown`.
pub const SCHEDULE_REASON: &str = "postrider.schedule.reason";
/// The class of a response's status, `2xx`; `none` without a response.
pub const RESPONSE_STATUS_CLASS: &str = "postrider.response.status_class";
/// The state of jobs in a queue: `ready`, `running`, `scheduled`, `held` or `dead`; `rejected` for deleted entries that
/// were no jobs.
pub const QUEUE_STATE: &str = "postrider.queue.state";
/// The state of a breaker: `closed`, `open` or `half_open`.
pub const BREAKER_STATE: &str = "postrider.breaker.state";
/// Why a job was dead-lettered.
pub const JOB_DEAD_REASON: &str = "postrider.job.dead_reason";
/// From a job's enqueueing to its delivery, in seconds.
pub const JOB_END_TO_END_DURATION: &str = "postrider.job.end_to_end_duration";
/// Jobs in flight.
pub const JOB_IN_FLIGHT: &str = "postrider.job.in_flight";
/// The bytes of the jobs in flight of a worker.
pub const IN_FLIGHT_USAGE: &str = "postrider.worker.in_flight.usage";
/// Their limit.
pub const IN_FLIGHT_LIMIT: &str = "postrider.worker.in_flight.limit";
/// Jobs that were worked on and cannot be settled.
pub const JOB_UNSETTLED: &str = "postrider.job.unsettled";
/// Attempts.
pub const JOB_ATTEMPTS: &str = "postrider.job.attempts";
/// Jobs that were scheduled for another attempt.
pub const JOB_RETRIES: &str = "postrider.job.retries";
/// Jobs taken over from dead workers.
pub const JOB_RECLAIMED: &str = "postrider.job.reclaimed";
/// Jobs whose lease was lost.
pub const JOB_LEASES_LOST: &str = "postrider.job.leases_lost";
/// Settlements that came after the lease was lost.
pub const JOB_SETTLEMENTS_REFUSED: &str = "postrider.job.settlements_refused";
/// Jobs that were dead-lettered.
pub const JOB_DEAD: &str = "postrider.job.dead";
/// Callbacks that were enqueued.
pub const JOB_CALLBACKS: &str = "postrider.job.callbacks";
/// Whether a callback reports a success (`on_success`) or a dead letter (`on_failure`).
pub const CALLBACK_EVENT: &str = "postrider.callback.event";
/// Jobs with fields that are not known.
pub const JOB_UNKNOWN_FIELDS: &str = "postrider.job.unknown_fields";
/// Jobs that their flow held.
pub const JOB_HOLDS: &str = "postrider.job.holds";
/// How often a changed configuration was read.
pub const CONFIG_RELOADS: &str = "postrider.config.reloads";
/// Whether it is used: `applied`, `refused`.
pub const CONFIG_OUTCOME: &str = "postrider.config.outcome";
/// Requests for access tokens.
pub const TOKEN_REQUESTS: &str = "postrider.token.requests";
/// How they ended: `granted`, `failed`.
pub const TOKEN_OUTCOME: &str = "postrider.token.outcome";
/// Rows of the outbox that the relay has taken.
pub const RELAY_ROWS: &str = "postrider.relay.rows";
/// Their outcome: `enqueued`, of which `known` were enqueued before, or `refused`.
pub const RELAY_OUTCOME: &str = "postrider.relay.outcome";
/// How long rows were in the outbox before they were enqueued, in seconds.
pub const RELAY_WAIT_DURATION: &str = "postrider.relay.wait_duration";
/// Ticks of periodic definitions.
pub const CRON_TICKS: &str = "postrider.cron.ticks";
/// Whether a tick has `made` a job, was `missed`, or was `skipped`.
pub const CRON_OUTCOME: &str = "postrider.cron.outcome";
/// Notices that were enqueued.
pub const NOTICES: &str = "postrider.notices";
/// What a notice reports: `flow_failed`, `flow_recovered`, `queue_late` or `queue_in_time`.
pub const NOTICE_KIND: &str = "postrider.notice.kind";
/// How long jobs waited for their flow, in seconds.
pub const FLOW_WAIT_DURATION: &str = "postrider.flow.wait_duration";
/// How often breakers were opened.
pub const FLOW_BREAKER_TRIPS: &str = "postrider.flow.breaker_trips";
/// Flows by the state of their breaker.
pub const FLOW_BREAKERS: &str = "postrider.flow.breakers";
/// How many flows are paused.
pub const FLOW_PAUSED: &str = "postrider.flow.paused";
/// Whether a queue is paused.
pub const QUEUE_PAUSED: &str = "postrider.queue.paused";
/// Shards of a queue that a worker cannot serve.
pub const QUEUE_TROUBLED_SHARDS: &str = "postrider.queue.troubled_shards";
/// Jobs of a queue, by their state.
pub const QUEUE_DEPTH: &str = "postrider.queue.depth";
/// The age of the oldest ready job of a queue, in seconds.
pub const QUEUE_OLDEST_AGE: &str = "postrider.queue.oldest_age";
/// Dead letters and rejected entries of a queue that were deleted before their age.
pub const QUEUE_DELETED: &str = "postrider.queue.deleted";
/// Order keys of a queue that dead letters have stopped.
pub const QUEUE_STOPPED_KEYS: &str = "postrider.queue.stopped_keys";
/// When a queue's depth was last counted, in seconds since 1970.
pub const QUEUE_COUNTED_AT: &str = "postrider.queue.counted_at";
/// Tasks of the runtime that have not ended.
pub const RUNTIME_TASKS: &str = "postrider.runtime.tasks";
/// Tasks in the runtime's shared queue.
pub const RUNTIME_QUEUED_TASKS: &str = "postrider.runtime.queued_tasks";
/// How long the runtime's threads have been busy, in seconds.
pub const RUNTIME_BUSY_TIME: &str = "postrider.runtime.busy_time";

/// Bucket bounds in seconds for waiting times of jobs: from 5 ms to a day.
pub const WAIT_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    14_400.0, 86_400.0,
];

/// The targets of our crates' log lines. The empty one is that of a job's fields.
const TARGETS: [&str; 7] =
    ["", "postrider", "postrider_queue", "postrider_worker", "otel_facade", "hyper_otel", "fred_otel"];

/// Fields of our log lines that spans have as attributes, too: both use the same name.
const FIELDS: [(&str, &str); 15] = [
    ("attempt", JOB_ATTEMPT),
    ("bytes", semconv::HTTP_REQUEST_BODY_SIZE),
    ("consumer", semconv::MESSAGING_CLIENT_ID),
    ("entry", semconv::MESSAGING_MESSAGE_ID),
    ("error_type", semconv::ERROR_TYPE),
    // Of several entries.
    ("first", semconv::MESSAGING_MESSAGE_ID),
    ("flow", FLOW_NAME),
    ("job_id", JOB_ID),
    ("jobs", semconv::MESSAGING_BATCH_MESSAGE_COUNT),
    ("label", semconv::MESSAGING_MESSAGE_CONVERSATION_ID),
    ("method", semconv::HTTP_REQUEST_METHOD),
    ("path", semconv::URL_PATH),
    ("queue", semconv::MESSAGING_DESTINATION_NAME),
    ("reason", JOB_DEAD_REASON),
    ("status", semconv::HTTP_RESPONSE_STATUS_CODE),
];

/// The attribute name of a field of our log lines; `None` for lines of other crates.
fn attribute_of(target: &str, field: &str) -> Option<Cow<'static, str>> {
    let of_crate = target.split("::").next().unwrap_or_default();
    TARGETS.contains(&of_crate).then(|| match FIELDS.iter().find(|(own, _)| *own == field) {
        Some((_, name)) => Cow::Borrowed(*name),
        None => Cow::Owned(format!("postrider.{field}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_the_name_that_spans_use_or_one_in_our_namespace() {
        for (target, field, name) in [
            ("postrider_worker::loops", "jobs", "messaging.batch.message_count"),
            ("postrider_worker::loops", "entry", "messaging.message.id"),
            ("postrider_queue::redis", "reason", "postrider.job.dead_reason"),
            ("postrider::commands", "consumer", "messaging.client.id"),
            ("otel_facade::otel", "signal", "postrider.signal"),
            ("hyper_otel::hooks", "error_type", "error.type"),
            ("fred_otel::client", "status", "http.response.status_code"),
            ("", "queue", "messaging.destination.name"),
            ("", "label", "messaging.message.conversation_id"),
            ("postrider_worker", "concurrency", "postrider.concurrency"),
        ] {
            assert_eq!(attribute_of(target, field).as_deref(), Some(name), "{target} {field}");
        }
        assert_eq!(attribute_of("fred::router", "queue"), None);
    }
}
