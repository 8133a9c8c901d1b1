//! The Redis connections. Each setting has its reason here.

use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, StreamsInterface};
use fred::types::config::{Blocking, Config, ReconnectPolicy, UnresponsiveConfig};
use fred::types::{Builder, ConnectHandle};
use fred_otel::{Command, TracedClient};

use super::address::{self, server};
use super::announced;

/// How long a blocking read waits. Not longer, since a server before Redis 7 does not wake a client whose
/// group was destroyed.
pub(crate) const BLOCKING_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between the end of fred's connection task and its next start.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// The deadline of a command: longer than any script takes, shorter than a lease.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// The URL cannot be used, or the server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is not a Redis URL.
    #[error(
        "the Redis URL is not understood: {0}; write redis://[user:password@]host[:port][/database], \
         rediss:// for TLS, redis-cluster://, redis-sentinel:// or redis+unix://"
    )]
    Url(String),
    /// The server is one node of a cluster, and the URL is that of a single server.
    #[error(
        "Redis at {server} is a node of a cluster and owns only a part of the slots; write redis-cluster:// in place of \
         redis://, or rediss-cluster:// with TLS"
    )]
    Part {
        /// Host and port, without user and password.
        server: String,
    },
    /// The server does not answer, or not as Redis would.
    #[error("no connection to Redis at {server}: {reason}")]
    Unreachable {
        /// Host and port, without user and password.
        server: String,
        /// The client's error.
        reason: String,
    },
    /// Redis answers and refuses to let a worker in: a missing right, a key of a wrong type, no memory.
    #[error("Redis at {server} refuses to let a worker in: {reason}")]
    Refused {
        /// Host and port, without user and password.
        server: String,
        /// Redis' error.
        reason: String,
    },
}

/// Connects a client. Blocking reads need their own connection: a blocked connection answers nothing else.
pub(crate) async fn connect(url: &str, blocking: bool) -> Result<Client, ConnectError> {
    let config = address::parse(url)?;
    let unreachable =
        |error: Error| ConnectError::Unreachable { server: server(url), reason: reason(&error) };
    let client = build(config, blocking).map_err(unreachable)?;
    let connection = match client.init().await {
        Ok(connection) => connection,
        Err(error) => return Err(unreachable_cluster(url, unreachable(error)).await),
    };
    tokio::spawn(keep_connected(client.clone(), connection));
    if !client.is_clustered() && !blocking && owns_a_part(&client).await {
        let _ = client.quit().await;
        return Err(ConnectError::Part { server: server(url) });
    }
    Ok(client)
}

/// Adds to the error of a cluster's client the addresses that the nodes announce: it is these that it cannot reach, most
/// often, and not the one of the URL.
async fn unreachable_cluster(url: &str, error: ConnectError) -> ConnectError {
    let ConnectError::Unreachable { server, reason } = error else { return error };
    let single = url.split('?').next().unwrap_or(url).replacen("-cluster://", "://", 1);
    let is_cluster = url.split("://").next().is_some_and(|scheme| scheme.ends_with("-cluster"));
    let client = is_cluster.then(|| build(Config::from_url(&single)?, false)).and_then(Result::ok);
    let announced = match client {
        Some(client) => announced::by(client, &server).await,
        None => None,
    };
    let reason = announced.map_or(reason.clone(), |announced| format!("{reason}; {announced}"));
    ConnectError::Unreachable { server, reason }
}

/// Whether the server is a node of a cluster that does not own all slots: a client of single servers would work for some
/// queues and not for others. The keys lie in 16 different slots. Errors other than the redirection prove nothing.
async fn owns_a_part(client: &Client) -> bool {
    let lengths = (0..16).map(|number| client.xlen::<u64, _>(format!("postrider:{{slot-{number}}}:jobs")));
    let lengths = futures_util::future::join_all(lengths).await;
    lengths.iter().any(|length| length.as_ref().is_err_and(|error| error.details().starts_with("MOVED")))
}

/// Restarts fred's connection task until the client sends QUIT. The task ends for good at some errors that
/// pass, such as a redirection while a slot migrates, and then every command would hang.
async fn keep_connected(client: Client, mut connection: ConnectHandle) {
    while !matches!(connection.await, Ok(Ok(()))) {
        tokio::time::sleep(RESTART_PAUSE).await;
        connection = client.connect();
    }
}

/// The readable part of an error. fred shows errors in their debug format: an I/O error as
/// `Os { code: 111, kind: …, message: "Connection refused" }`, a failed lookup as
/// `Custom { kind: Uncategorized, error: "failed to lookup address information: …" }`, an error of rustls
/// as `Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }`.
pub(crate) fn reason(error: &Error) -> String {
    if let Some((_, flaw)) = error.details().split_once("InvalidCertificate(") {
        let end = flaw.find([',', ' ', '{', ')']).unwrap_or(flaw.len());
        return format!(
            "its certificate cannot be trusted ({}); it must be valid now, for that host, and issued by an \
             authority of the system or of the file that SSL_CERT_FILE names",
            &flaw[..end]
        );
    }
    let after = |start: &str| error.details().split_once(start).and_then(|(_, rest)| rest.split_once('"'));
    let told = after("message: \"").or_else(|| after("error: \""));
    told.map_or_else(|| error.details().to_owned(), |(message, _)| message.to_owned())
}

fn build(mut config: Config, blocking: bool) -> Result<Client, Error> {
    let clustered = config.server.is_clustered();
    // A command on the fetcher's connection ends its blocking read, so that a worker stops at once.
    config.blocking = Blocking::Interrupt;
    let wait = if blocking { BLOCKING_READ_TIMEOUT } else { Duration::ZERO };
    Builder::from_config(config)
        .with_performance_config(|performance| {
            // fred has no default: the client would wait for a lost reply forever.
            performance.default_command_timeout = COMMAND_TIMEOUT + wait;
        })
        .with_connection_config(|connection| {
            // fred would repeat a command whose reply was lost, and hide it. The caller repeats it instead.
            // In a cluster each redirection counts as an attempt, so there must be more attempts than
            // redirections.
            connection.max_redirections = 5;
            connection.max_command_attempts = if clustered { 8 } else { 1 };
            connection.connection_timeout = Duration::from_secs(5);
            connection.internal_command_timeout = COMMAND_TIMEOUT;
            // Silence reveals a half-open connection.
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(COMMAND_TIMEOUT + wait),
                interval: Duration::from_secs(2),
            };
            // The worker needs no restart after a corrected password, or a failover during the login.
            connection.reconnect_on_auth_error = true;
            connection.tcp.nodelay = Some(true);
        })
        // For ever, from 100 ms doubling to 5 s: a worker outlives its Redis.
        .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
        .build()
}

/// Sends QUIT, and ignores a server that does not answer within 1 s.
pub(crate) async fn quit(client: &TracedClient) {
    let quit = client.defer(Command::new("QUIT"), |client: Client| async move { client.quit().await });
    if let Ok((_, pending)) = tokio::time::timeout(Duration::from_secs(1), quit).await {
        pending.discard();
    }
}

#[cfg(test)]
mod tests {
    use fred::error::ErrorKind;

    use super::*;

    #[test]
    fn a_reason_is_readable() {
        let told = |details: &'static str| reason(&Error::new(ErrorKind::IO, details));
        let refused = r#"Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }"#;
        assert_eq!(told(refused), "Connection refused");
        let lookup =
            r#"Custom { kind: Uncategorized, error: "failed to lookup address information: Unknown" }"#;
        assert_eq!(told(lookup), "failed to lookup address information: Unknown");
        assert_eq!(told("Connection closed."), "Connection closed.");
    }
}
