//! The Redis connections. Each setting has its reason here.

use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, StreamsInterface};
use fred::types::config::{Blocking, Config, ReconnectPolicy, UnresponsiveConfig};
use fred::types::{Builder, ConnectHandle};

use super::refusals::log_refusals;

/// How long a blocking read waits. Not longer, since a server before Redis 7 does not wake a client whose
/// group was destroyed.
pub(crate) const BLOCKING_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between the end of fred's connection task and its next start. It doubles while the task ends soon.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The deadline of a command: longer than any script takes, shorter than a lease.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Connects a client of one server. Blocking reads need their own connection: a blocked connection answers nothing else.
pub(super) async fn connect(config: Config, blocking: bool) -> Result<Client, Error> {
    let client = build(config, blocking)?;
    let connection = client.init().await?;
    if !blocking {
        // One connection of a worker is enough to tell. Not earlier: a refusal of the first try ends the program.
        log_refusals(&client);
    }
    tokio::spawn(keep_connected(client.clone(), connection));
    Ok(client)
}

/// Connects a client of one server, without a worker's patience: for a command to a certain node.
///
/// # Errors
/// fred's.
pub(crate) async fn connect_one(config: Config) -> Result<Client, Error> {
    connect(config, false).await
}

/// Whether the server is a node of a cluster that does not own all slots: a client of single servers would work for some
/// queues and not for others. The keys lie in 16 different slots. Errors other than the redirection prove nothing.
pub(super) async fn owns_a_part(client: &Client) -> bool {
    let lengths = (0..16).map(|number| client.xlen::<u64, _>(format!("postrider:{{slot-{number}}}:jobs")));
    let lengths = futures_util::future::join_all(lengths).await;
    lengths.iter().any(|length| length.as_ref().is_err_and(|error| error.details().starts_with("MOVED")))
}

/// Restarts fred's connection task until the client sends QUIT. The task ends for good at some errors that
/// pass, such as a redirection while a slot migrates, and then every command would hang.
pub(super) async fn keep_connected(client: Client, connection: ConnectHandle) {
    let mut connection = Aborted(connection);
    let mut pause = RESTART_PAUSE;
    loop {
        let began = Instant::now();
        if matches!((&mut connection.0).await, Ok(Ok(()))) {
            return;
        }
        if began.elapsed() > RESTART_PAUSE_MAX {
            pause = RESTART_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(RESTART_PAUSE_MAX);
        connection = Aborted(client.connect());
    }
}

/// A task that ends with this value.
struct Aborted(ConnectHandle);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn build(mut config: Config, blocking: bool) -> Result<Client, Error> {
    // A command on the fetcher's connection ends its blocking read, so that a worker stops at once.
    config.blocking = Blocking::Interrupt;
    let wait = if blocking { BLOCKING_READ_TIMEOUT } else { Duration::ZERO };
    let client = Builder::from_config(config)
        .with_performance_config(|performance| {
            // fred has no default: the client would wait for a lost reply forever.
            performance.default_command_timeout = COMMAND_TIMEOUT + wait;
        })
        .with_connection_config(|connection| {
            // fred would repeat a command whose reply was lost, and hide it. The caller repeats it instead.
            connection.max_command_attempts = 1;
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
        .build()?;
    Ok(client)
}
