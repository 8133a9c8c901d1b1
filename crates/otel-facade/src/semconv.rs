//! Names of attributes and metrics from OpenTelemetry's semantic conventions.
//!
//! Version 1.44.0. HTTP and database names are stable; messaging and Redis names are still in
//! development and may follow a later version.

/// The version of the conventions, as a schema URL.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Why it failed; see [`ErrorType`](crate::ErrorType).
pub const ERROR_TYPE: &str = "error.type";
/// The text of an error, in a log record.
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
/// `http` or `https`.
pub const URL_SCHEME: &str = "url.scheme";

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
/// The route of a server that a request matches: the path with its variable parts left as names.
pub const HTTP_ROUTE: &str = "http.route";
/// What the attributes of captured request headers begin with; the name follows in lower case.
pub const HTTP_REQUEST_HEADER: &str = "http.request.header.";
/// What the attributes of captured response headers begin with; the name follows in lower case.
pub const HTTP_RESPONSE_HEADER: &str = "http.response.header.";
/// `active` or `idle`.
pub const HTTP_CONNECTION_STATE: &str = "http.connection.state";
/// The name that is looked up.
pub const DNS_QUESTION_NAME: &str = "dns.question.name";

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

/// The messaging system; the conventions have no value for Redis.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// What is done, in the system's own words.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// `create`, `send`, `receive`, `process`, `settle`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The queue or topic.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The id of the message.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// The id that messages of one conversation share.
pub const MESSAGING_MESSAGE_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// How many messages a span is about.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// The consumer group.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// The client, such as a consumer in its group.
pub const MESSAGING_CLIENT_ID: &str = "messaging.client.id";

/// `user` or `system`.
pub const CPU_MODE: &str = "cpu.mode";
/// `voluntary` or `involuntary`.
pub const PROCESS_CONTEXT_SWITCH_TYPE: &str = "process.context_switch.type";

/// Duration of a request that an HTTP server answers, in seconds.
pub const HTTP_SERVER_REQUEST_DURATION: &str = "http.server.request.duration";
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
/// Duration of the work on a message, in seconds.
pub const MESSAGING_PROCESS_DURATION: &str = "messaging.process.duration";
/// Duration of an operation on a messaging system, in seconds.
pub const MESSAGING_CLIENT_OPERATION_DURATION: &str = "messaging.client.operation.duration";
/// Messages that a producer sent.
pub const MESSAGING_CLIENT_SENT_MESSAGES: &str = "messaging.client.sent.messages";
/// Messages that a consumer received.
pub const MESSAGING_CLIENT_CONSUMED_MESSAGES: &str = "messaging.client.consumed.messages";

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
