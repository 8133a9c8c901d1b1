//! Every attribute and metric name that we use, in one place.
//!
//! Semantic conventions 1.44.0. HTTP and database names are stable; messaging and Redis names are still in
//! development and may follow a later version.

/// The version of the conventions, as a schema URL.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Why it failed; see [`ErrorType`](crate::ErrorType).
pub const ERROR_TYPE: &str = "error.type";
/// What an error says, in a log record.
pub const EXCEPTION_MESSAGE: &str = "exception.message";
/// The host as the client names it, without the port.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port, also where it is the scheme's default.
pub const SERVER_PORT: &str = "server.port";
/// The address at the other end of the socket.
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
/// The port at the other end of the socket.
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
/// `1.0`, `1.1` or `2`.
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
/// The absolute URL, redacted.
pub const URL_FULL: &str = "url.full";
/// The path of a URL.
pub const URL_PATH: &str = "url.path";

/// One of the known methods, else `_OTHER`.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The method as sent, where it is not one of the known.
pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
/// The ordinal of a repeated attempt, from 1; absent on the first.
pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
/// How many bytes the body of a request has.
pub const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
/// The status code of the response.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The path of the URL with its variable parts left as names; from the caller, never from the path.
pub const URL_TEMPLATE: &str = "url.template";
/// What the attributes of captured request headers begin with; the name follows in lower case.
pub const HTTP_REQUEST_HEADER: &str = "http.request.header.";
/// What the attributes of captured response headers begin with; the name follows in lower case.
pub const HTTP_RESPONSE_HEADER: &str = "http.response.header.";
/// `active` or `idle`.
pub const HTTP_CONNECTION_STATE: &str = "http.connection.state";
/// The name that is looked up.
pub const DNS_QUESTION_NAME: &str = "dns.question.name";

/// Whether the request went out on a connection that was there before.
pub const POSTRIDER_HTTP_CONNECTION_REUSED: &str = "postrider.http.connection.reused";
/// Seconds that the attempt's new connection took to look up the name.
pub const POSTRIDER_HTTP_DNS_DURATION: &str = "postrider.http.dns.duration";
/// Seconds that the attempt's new connection took to connect, with a proxy's part where there is one.
pub const POSTRIDER_HTTP_CONNECT_DURATION: &str = "postrider.http.connect.duration";
/// Seconds that the TLS handshake of the attempt's new connection took.
pub const POSTRIDER_HTTP_TLS_DURATION: &str = "postrider.http.tls.duration";
/// Seconds from the beginning of the attempt to the head of the response.
pub const POSTRIDER_HTTP_FIRST_BYTE_DURATION: &str = "postrider.http.first_byte.duration";
/// Seconds from the head of the response to the end of its body.
pub const POSTRIDER_HTTP_BODY_DURATION: &str = "postrider.http.body.duration";

/// `redis`.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// The index of the database, as text.
pub const DB_NAMESPACE: &str = "db.namespace";
/// The command, or `PIPELINE XADD` for a batch of one kind.
pub const DB_OPERATION_NAME: &str = "db.operation.name";
/// The number of commands in a batch of two or more.
pub const DB_OPERATION_BATCH_SIZE: &str = "db.operation.batch.size";
/// The prefix of an error reply.
pub const DB_RESPONSE_STATUS_CODE: &str = "db.response.status_code";
/// The name of a script or a function; the SHA-1 of a script that has no name.
pub const DB_STORED_PROCEDURE_NAME: &str = "db.stored_procedure.name";
/// The command with its literals replaced by `?`.
pub const DB_QUERY_TEXT: &str = "db.query.text";

/// `redis`: a custom value, the conventions name none for Redis.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// What is done, in our own words: `publish`, `receive`, `process`, `ack`, `retry`, `dead_letter` and others.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// `create`, `send`, `receive`, `process`, `settle`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The queue.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The stream entry's id.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// The job's id, the same over all its attempts.
pub const MESSAGING_MESSAGE_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// How many jobs a span is about.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// The consumer group.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// The consumer, one a process.
pub const MESSAGING_CLIENT_ID: &str = "messaging.client.id";

/// What became of a job: `done`, `retry`, `dead` or `release`; `cut` where the work on it was ended before.
pub const POSTRIDER_JOB_OUTCOME: &str = "postrider.job.outcome";
/// What names the job and no other, over all its attempts.
pub const POSTRIDER_JOB_ID: &str = "postrider.job.id";
/// The number of this attempt, from 1.
pub const POSTRIDER_JOB_ATTEMPT: &str = "postrider.job.attempt";
/// How often the job has been delivered without a settlement, this time included; absent the first time.
pub const POSTRIDER_JOB_DELIVERIES: &str = "postrider.job.deliveries";
/// How long the job stood ready before a worker began with it, in seconds. A metric's name too.
pub const POSTRIDER_JOB_WAIT_DURATION: &str = "postrider.job.wait_duration";
/// For how long the job was scheduled before it was ready, in seconds.
pub const POSTRIDER_JOB_SCHEDULE_DURATION: &str = "postrider.job.schedule_duration";
/// For how long the job's flow held it before it was ready, in seconds.
pub const POSTRIDER_JOB_HOLD_DURATION: &str = "postrider.job.hold_duration";
/// When the job that waits is due, or its flow is asked again, as in RFC 3339.
pub const POSTRIDER_JOB_DUE_AT: &str = "postrider.job.due_at";
/// The flow of the job that waits: its field `flow`, or the destination's `host:port`.
pub const POSTRIDER_FLOW_NAME: &str = "postrider.flow.name";
/// Why the job is held: `breaker`, `rate`, `concurrency`, `window`, `order` or `redis`.
pub const POSTRIDER_HOLD_REASON: &str = "postrider.hold.reason";
/// Why the job is scheduled: `delay`, `backoff`, `retry_after`, `proxy` or `shutdown`.
pub const POSTRIDER_SCHEDULE_REASON: &str = "postrider.schedule.reason";
/// The class of an answer's status, `2xx`; `none` where there was no answer.
pub const POSTRIDER_RESPONSE_STATUS_CLASS: &str = "postrider.response.status_class";
/// Where jobs of a queue are: `ready`, `running`, `scheduled`, `held` or `dead`.
pub const POSTRIDER_QUEUE_STATE: &str = "postrider.queue.state";
/// The state of a breaker: `closed`, `open` or `half_open`.
pub const POSTRIDER_BREAKER_STATE: &str = "postrider.breaker.state";
/// `user` or `system`.
pub const CPU_MODE: &str = "cpu.mode";
/// `voluntary` or `involuntary`.
pub const PROCESS_CONTEXT_SWITCH_TYPE: &str = "process.context_switch.type";
/// Why a job went to the dead letters.
pub const POSTRIDER_JOB_DEAD_REASON: &str = "postrider.job.dead_reason";

/// Duration of an HTTP attempt, in seconds.
pub const HTTP_CLIENT_REQUEST_DURATION: &str = "http.client.request.duration";
/// Attempts under way.
pub const HTTP_CLIENT_ACTIVE_REQUESTS: &str = "http.client.active_requests";
/// Connections that are open, by their state.
pub const HTTP_CLIENT_OPEN_CONNECTIONS: &str = "http.client.open_connections";
/// How long connections were open, in seconds.
pub const HTTP_CLIENT_CONNECTION_DURATION: &str = "http.client.connection.duration";
/// Duration of a lookup of a name, in seconds.
pub const DNS_LOOKUP_DURATION: &str = "dns.lookup.duration";
/// Duration of a Redis call, in seconds.
pub const DB_CLIENT_OPERATION_DURATION: &str = "db.client.operation.duration";
/// Duration of the work on a job, in seconds.
pub const MESSAGING_PROCESS_DURATION: &str = "messaging.process.duration";
/// Duration of an operation on a queue, in seconds.
pub const MESSAGING_CLIENT_OPERATION_DURATION: &str = "messaging.client.operation.duration";
/// Jobs that were put in.
pub const MESSAGING_CLIENT_SENT_MESSAGES: &str = "messaging.client.sent.messages";
/// Jobs that were taken.
pub const MESSAGING_CLIENT_CONSUMED_MESSAGES: &str = "messaging.client.consumed.messages";

/// From a job's enqueueing to its delivery, in seconds.
pub const POSTRIDER_JOB_END_TO_END_DURATION: &str = "postrider.job.end_to_end_duration";
/// Jobs in hand.
pub const POSTRIDER_JOB_IN_FLIGHT: &str = "postrider.job.in_flight";
/// Attempts to deliver.
pub const POSTRIDER_JOB_ATTEMPTS: &str = "postrider.job.attempts";
/// Jobs that were put off for another attempt.
pub const POSTRIDER_JOB_RETRIES: &str = "postrider.job.retries";
/// Jobs taken over from dead workers.
pub const POSTRIDER_JOB_RECLAIMED: &str = "postrider.job.reclaimed";
/// Jobs whose lease was lost.
pub const POSTRIDER_JOB_LEASES_LOST: &str = "postrider.job.leases_lost";
/// Settlements that came too late.
pub const POSTRIDER_JOB_SETTLEMENTS_REFUSED: &str = "postrider.job.settlements_refused";
/// Jobs that went to the dead letters.
pub const POSTRIDER_JOB_DEAD: &str = "postrider.job.dead";
/// Jobs that were put aside for their flow.
pub const POSTRIDER_JOB_HOLDS: &str = "postrider.job.holds";
/// How long jobs waited for their flow, in seconds.
pub const POSTRIDER_FLOW_WAIT_DURATION: &str = "postrider.flow.wait_duration";
/// How often breakers were opened.
pub const POSTRIDER_FLOW_BREAKER_TRIPS: &str = "postrider.flow.breaker_trips";
/// Flows by the state of their breaker.
pub const POSTRIDER_FLOW_BREAKERS: &str = "postrider.flow.breakers";
/// What a queue holds.
pub const POSTRIDER_QUEUE_DEPTH: &str = "postrider.queue.depth";
/// For how long the first ready job of a queue has been there, in seconds.
pub const POSTRIDER_QUEUE_OLDEST_AGE: &str = "postrider.queue.oldest_age";
/// When a queue's depth was last counted, in seconds since 1970.
pub const POSTRIDER_QUEUE_COUNTED_AT: &str = "postrider.queue.counted_at";
/// Tasks of the runtime that have not ended.
pub const POSTRIDER_RUNTIME_TASKS: &str = "postrider.runtime.tasks";
/// Tasks that stand in the runtime's shared queue.
pub const POSTRIDER_RUNTIME_QUEUED_TASKS: &str = "postrider.runtime.queued_tasks";
/// How long the runtime's threads have been busy, in seconds.
pub const POSTRIDER_RUNTIME_BUSY_TIME: &str = "postrider.runtime.busy_time";
/// Processor time, in seconds.
pub const PROCESS_CPU_TIME: &str = "process.cpu.time";
/// Physical memory, in bytes.
pub const PROCESS_MEMORY_USAGE: &str = "process.memory.usage";
/// Virtual memory, in bytes.
pub const PROCESS_MEMORY_VIRTUAL: &str = "process.memory.virtual";
/// Threads.
pub const PROCESS_THREAD_COUNT: &str = "process.thread.count";
/// Open file descriptors.
pub const PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: &str = "process.unix.file_descriptor.count";
/// Context switches.
pub const PROCESS_CONTEXT_SWITCHES: &str = "process.context_switches";
/// For how long the process has run, in seconds.
pub const PROCESS_UPTIME: &str = "process.uptime";

/// Bucket bounds in seconds that the conventions give HTTP and messaging durations.
pub const REQUEST_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bucket bounds in seconds that the conventions give the lives of connections.
pub const CONNECTION_SECONDS: &[f64] =
    &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// Bucket bounds in seconds that the conventions give database durations.
pub const DATABASE_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Bucket bounds in seconds for how long jobs wait: from a moment to a day.
pub const WAIT_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    14_400.0, 86_400.0,
];
