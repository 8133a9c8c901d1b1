//! One connection to PostgreSQL, and what it reports.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{try_join, try_join3};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Statement};

use crate::row;
use crate::url::{Postgres, cause};

/// How long one step with PostgreSQL may take.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(10);
/// A relay that is stopped for longer loses its transaction, so that others get its rows. A plan that is made while the table is
/// empty must be good for a million rows, too: so it uses the indices. PostgreSQL would compile a plan that avoids all else, for a
/// second.
const SETUP: &str = "set idle_in_transaction_session_timeout = '60s'; set statement_timeout = '10s';
    set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set jit = off";
const LISTEN: &str = "listen postrider_outbox";
const DELETE: &str = "delete from postrider_outbox where id = any ($1)";
const MARK: &str = "update postrider_outbox o set enqueued_at = clock_timestamp(), job_id = e.job_id
    from unnest($1::bigint[], $2::text[]) as e (id, job_id) where o.id = e.id";

/// The relay cannot work.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The table is not there.
    #[error(
        "this database has no table postrider_outbox: make it with `postrider relay schema | psql …`, or name its schema \
         with `?options=-c%20search_path%3DNAME`"
    )]
    NoTable,
    /// The user may not do what a relay does.
    #[error(
        "the user of PostgreSQL's address lacks the rights {0} on postrider_outbox: a relay needs them, as by `grant select, \
         update, delete on postrider_outbox to …`"
    )]
    Rights(String),
    /// PostgreSQL does not answer, or answers with an error.
    #[error("PostgreSQL {0}")]
    Postgres(String),
    /// Redis does not take the jobs of a queue.
    #[error("Redis does not take the jobs of queue {0}: {1}")]
    Redis(String, String),
}

/// The rights that a relay needs, and this user does not have; empty if there is none.
const MISSING_RIGHTS: &str =
    "select coalesce(string_agg(needed, ', '), '') from unnest(array['SELECT', 'UPDATE', 'DELETE']) needed
    where not has_table_privilege('postrider_outbox', needed)";

impl From<tokio_postgres::Error> for RelayError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(answer) if *answer.code() == SqlState::UNDEFINED_TABLE => Self::NoTable,
            // Its details may contain values of a row.
            Some(answer) => {
                Self::Postgres(format!("refuses: {} ({})", answer.message(), answer.code().code()))
            }
            None => Self::Postgres(format!("does not answer: {}", cause(&error))),
        }
    }
}

/// A connection and its statements.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Locks rows and returns them.
    pub(crate) take: Statement,
    /// The same without those of some queues.
    pub(crate) take_except: Statement,
    /// Returns rows that are locked.
    pub(crate) read: Statement,
    pub(crate) delete: Statement,
    pub(crate) mark: Statement,
    _driver: Driver,
}

/// The task that reads what PostgreSQL sends. It ends with this value.
pub(crate) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects. `wake` is notified when rows have been committed. A connection that wakes nobody does not listen: PostgreSQL
/// would wake its process for each commit.
pub(crate) async fn connect(
    postgres: &Postgres,
    wake: Option<Arc<Notify>>,
) -> Result<Connection, RelayError> {
    in_time(async {
        let listens = wake.is_some();
        let (client, driver) = open(postgres, wake.unwrap_or_default()).await?;
        client.batch_execute(SETUP).await?;
        if listens {
            client.batch_execute(LISTEN).await?;
        }
        let (take, except, read) = (row::take(""), row::take("and queue <> all ($1)"), row::read());
        let (take, take_except, read) =
            try_join3(client.prepare(&take), client.prepare(&except), client.prepare(&read)).await?;
        let (delete, mark) = try_join(client.prepare(DELETE), client.prepare(MARK)).await?;
        Ok(Connection { client, take, take_except, read, delete, mark, _driver: driver })
    })
    .await
}

/// Connects, and prepares nothing.
pub(crate) async fn open(postgres: &Postgres, wake: Arc<Notify>) -> Result<(Client, Driver), RelayError> {
    let connect = postgres.config.connect(postgres.tls.0.clone());
    let (client, mut connection) = connect.await.map_err(|error| match error.as_db_error() {
        Some(_) => error.into(),
        None => RelayError::Postgres(format!("at {} does not answer: {}", postgres.address(), cause(&error))),
    })?;
    let driver = tokio::spawn(async move {
        // Errors reach those who wait for an answer.
        while let Some(Ok(message)) = poll_fn(|task| connection.poll_message(task)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                wake.notify_one();
            }
        }
    });
    Ok((client, Driver(driver)))
}

impl Connection {
    /// Whether this user may do what a relay does.
    pub(crate) async fn check_rights(&self) -> Result<(), RelayError> {
        let missing: String =
            in_time(async { Ok(self.client.query_one(MISSING_RIGHTS, &[]).await?.try_get(0)?) }).await?;
        if missing.is_empty() { Ok(()) } else { Err(RelayError::Rights(missing)) }
    }
}

/// The result of a step, unless it takes too long.
pub(crate) async fn in_time<T>(step: impl Future<Output = Result<T, RelayError>>) -> Result<T, RelayError> {
    match tokio::time::timeout(STEP_MAX, step).await {
        Ok(result) => result,
        Err(_) => Err(RelayError::Postgres(format!("does not answer within {} s", STEP_MAX.as_secs()))),
    }
}
