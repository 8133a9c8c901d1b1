//! A transactional outbox: an application inserts jobs into a table in its PostgreSQL, in the transaction that makes them
//! necessary, and [`run`] enqueues them after the commit.
//!
//! A row is enqueued under its own idempotency key, inside a transaction that deletes it. Whatever stops in between, the row is
//! still there, and enqueueing it again makes no second job while the key lives (seven days).

mod batch;
mod connection;
mod health;
mod row;
mod status;
mod taker;
mod url;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use postrider_queue::Redis;
use telemetry::Telemetry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use connection::RelayError;
pub use health::Health;
pub use status::{Refused, Status, status};
pub use url::{BadPostgres, Postgres};

use batch::Instruments;
use taker::Taker;

/// The SQL that makes the table, its indexes and the trigger that wakes the relay.
pub const SCHEMA: &str = include_str!("../schema.sql");

/// How a relay works.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Where PostgreSQL is.
    pub postgres: Postgres,
    /// Bytes of a job's fields that the workers accept.
    pub job_bytes_max: usize,
    /// How long enqueued rows are kept. Zero: they are deleted at once.
    pub keep: Duration,
    /// How often the table is looked at without a notification.
    pub poll_interval: Duration,
    /// Connections to PostgreSQL, which take rows side by side while many wait. At least one.
    pub connections: usize,
}

/// Enqueues rows until `stop`. Waits until errors pass, and reports them to `health` and the log.
///
/// # Errors
/// [`RelayError`] if the first connection does not succeed, the table is missing, or a right on it.
pub async fn run(
    config: &RelayConfig,
    redis: &Redis,
    health: &Health,
    telemetry: &Telemetry,
    stop: CancellationToken,
) -> Result<(), RelayError> {
    let instruments = Instruments::new(telemetry);
    let wakes: Vec<Arc<Notify>> = (0..config.connections.max(1)).map(|_| Arc::default()).collect();
    let first = connection::connect(&config.postgres, Some(Arc::clone(&wakes[0]))).await?;
    first.check_rights().await?;
    let mut first = Some(first);
    let takers = wakes.iter().enumerate().map(|(index, wake)| {
        Taker {
            config: config.clone(),
            redis: redis.clone(),
            health: health.clone(),
            instruments: instruments.clone(),
            number: index,
            wake: Arc::clone(wake),
            next: wakes.get(index + 1).cloned(),
        }
        .run(first.take(), stop.clone())
    });
    join_all(takers).await;
    Ok(())
}
