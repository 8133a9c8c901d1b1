//! What is in the outbox.

use std::sync::Arc;

use tokio_postgres::{Error, Row};

use crate::connection::{RelayError, in_time, open};
use crate::url::Postgres;

/// Refused rows that are shown.
const REFUSED_MAX: i64 = 20;

/// What is in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Rows that are not enqueued yet.
    pub waiting: i64,
    /// Seconds since the oldest of them was inserted.
    pub oldest_seconds: Option<f64>,
    /// Rows that are no jobs.
    pub refused: i64,
    /// The oldest 20 of them.
    pub examples: Vec<Refused>,
    /// Rows that were enqueued and are kept.
    pub kept: i64,
}

/// A row that is no job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its column `id`.
    pub id: i64,
    /// What is wrong with it.
    pub error: String,
}

const COUNTS: &str = "select count(*) filter (where enqueued_at is null and error is null),
    extract(epoch from clock_timestamp() - min(created_at) filter (where enqueued_at is null and error is null))::float8,
    count(*) filter (where enqueued_at is null and error is not null), count(*) filter (where enqueued_at is not null)
    from postrider_outbox";
const EXAMPLES: &str =
    "select id, error from postrider_outbox where enqueued_at is null and error is not null
    order by id limit $1";

/// Counts the rows of the outbox. It reads the whole table.
///
/// # Errors
/// [`RelayError`].
pub async fn status(postgres: &Postgres) -> Result<Status, RelayError> {
    in_time(async {
        let (client, _driver) = open(postgres, Arc::default()).await?;
        let counts = client.query_one(COUNTS, &[]).await?;
        let examples = client.query(EXAMPLES, &[&REFUSED_MAX]).await?;
        let refused = |row: &Row| Ok::<_, Error>(Refused { id: row.try_get(0)?, error: row.try_get(1)? });
        Ok(Status {
            waiting: counts.try_get(0)?,
            oldest_seconds: counts.try_get(1)?,
            refused: counts.try_get(2)?,
            examples: examples.iter().map(refused).collect::<Result<_, _>>()?,
            kept: counts.try_get(3)?,
        })
    })
    .await
}
