//! The Redis connections: every setting on purpose, with its reason.

use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::{Blocking, Config, ReconnectPolicy, UnresponsiveConfig};

/// How long a blocking read waits. Not longer, since a server before 7 does not wake a reader whose group was
/// destroyed.
pub(super) const BLOCK: Duration = Duration::from_secs(5);

/// Longer than any script takes, shorter than a lease.
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
    /// Nobody answers there, or not as Redis would.
    #[error("no connection to Redis at {server}: {reason}")]
    Unreachable {
        /// Host and port, without user and password.
        server: String,
        /// What the client said.
        reason: String,
    },
}

/// Connects a client. The one for blocking reads needs a connection of its own: a blocked connection answers
/// nothing else.
pub(super) async fn connect(url: &str, blocking: bool) -> Result<Client, ConnectError> {
    let config = Config::from_url(url).map_err(|error| ConnectError::Url(error.details().to_owned()))?;
    let unreachable =
        |error: Error| ConnectError::Unreachable { server: server(url), reason: error.to_string() };
    let client = build(config, blocking).map_err(unreachable)?;
    client.init().await.map_err(unreachable)?;
    Ok(client)
}

/// Host and port of a URL, without user and password.
pub(super) fn server(url: &str) -> String {
    let hosts = Config::from_url(url).map(|config| config.server.hosts()).unwrap_or_default();
    hosts.first().map(|host| format!("{}:{}", host.host, host.port)).unwrap_or_default()
}

fn build(mut config: Config, blocking: bool) -> Result<Client, Error> {
    // A command on the reader's connection ends the read that blocks it: so a worker stops at once.
    config.blocking = Blocking::Interrupt;
    let wait = if blocking { BLOCK } else { Duration::ZERO };
    Builder::from_config(config)
        .with_performance_config(|performance| {
            // fred has none by default: a lost reply would be waited for forever.
            performance.default_command_timeout = COMMAND_TIMEOUT + wait;
        })
        .with_connection_config(|connection| {
            // fred would repeat a command whose reply was lost. Who calls repeats it, and so knows.
            connection.max_command_attempts = 1;
            connection.connection_timeout = Duration::from_secs(5);
            connection.internal_command_timeout = COMMAND_TIMEOUT;
            // A half-open connection is found by the silence on it.
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(COMMAND_TIMEOUT + wait),
                interval: Duration::from_secs(2),
            };
            // A password that is put right, or a failover in mid-login, needs no restart of the worker.
            connection.reconnect_on_auth_error = true;
            connection.tcp.nodelay = Some(true);
        })
        // For ever, from 100 ms doubling to 5 s: a worker outlives its Redis.
        .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
        .build()
}
