//! One transaction: takes waiting rows, enqueues their jobs, and deletes the rows.

use std::collections::BTreeMap;

use futures_util::future::try_join;
use postrider_queue::{EnqueueError, NewJob, Publication, QueueName, Redis, error_text, names};
use telemetry::{Counter, Histogram, Telemetry};
use tokio_postgres::types::ToSql;
use tracing::warn;

use crate::RelayConfig;
use crate::connection::{Connection, RelayError, in_time};
use crate::row::{self, Waiting};

/// Rows of one transaction.
const ROWS_MAX: i64 = 500;
/// Bytes of one transaction, unless one row alone has more.
const BYTES_MAX: i64 = 4 << 20;
/// Bounds of the histogram, in seconds: those of the time that a job waits.
const BOUNDS: [f64; 18] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    14_400.0, 86_400.0,
];

/// What the relay counts.
#[derive(Clone, Debug)]
pub(crate) struct Instruments {
    rows: Counter,
    wait: Histogram,
}

impl Instruments {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        Self {
            rows: telemetry.counter(
                names::RELAY_ROWS,
                "{row}",
                "Rows of the outbox that the relay has taken.",
            ),
            wait: telemetry.histogram(
                names::RELAY_WAIT_DURATION,
                "s",
                "How long rows were in the outbox before they were enqueued.",
                &BOUNDS,
            ),
        }
    }

    fn count(&self, outcome: &'static str, rows: usize) {
        if rows > 0 {
            self.rows.add(rows as u64, |attributes| attributes.set(names::RELAY_OUTCOME, outcome));
        }
    }
}

/// Why jobs were not enqueued.
fn reason(error: &EnqueueError) -> String {
    match error {
        EnqueueError::Redis(error) => error_text(error),
        other => crate::url::cause(other),
    }
}

/// What one transaction needs.
pub(crate) struct Batch<'a> {
    pub(crate) config: &'a RelayConfig,
    pub(crate) redis: &'a Redis,
    pub(crate) instruments: &'a Instruments,
    pub(crate) connection: &'a Connection,
}

/// What one transaction has done.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Whether more rows may wait.
    pub(crate) is_full: bool,
    /// Queues whose jobs were all enqueued.
    pub(crate) enqueued: Vec<String>,
    /// Queues whose jobs were not all enqueued, and why.
    pub(crate) failed: Vec<(String, RelayError)>,
}

/// What becomes of the rows.
#[derive(Debug, Default)]
struct Settled {
    enqueued: Vec<(i64, String)>,
    refused: Vec<(i64, String)>,
}

impl Batch<'_> {
    /// Takes what waits, except for some queues. After an error the transaction is open: the connection must be closed.
    pub(crate) async fn take(&self, except: Vec<String>) -> Result<Taken, RelayError> {
        let (mut taken, mut settled) = (Taken::default(), Settled::default());
        for (queue, rows) in self.lock(except, &mut taken, &mut settled).await? {
            match self.enqueue(&queue, rows, &mut settled.enqueued).await {
                Ok(()) => taken.enqueued.push(queue.to_string()),
                Err(error) => taken.failed.push((queue.to_string(), error)),
            }
        }
        self.settle(&settled).await?;
        Ok(taken)
    }

    /// Begins the transaction. Returns the jobs of its rows, by queue and in the order of the rows.
    async fn lock(
        &self,
        except: Vec<String>,
        taken: &mut Taken,
        settled: &mut Settled,
    ) -> Result<BTreeMap<QueueName, Vec<Waiting>>, RelayError> {
        let Connection { client, take, .. } = self.connection;
        let most = self.config.job_bytes_max;
        let row_bytes_max = i64::try_from(most).unwrap_or(i64::MAX);
        let limits: [&(dyn ToSql + Sync); 4] = [&ROWS_MAX, &except, &row_bytes_max, &BYTES_MAX];
        let rows = in_time(async {
            let begin = client.batch_execute("begin");
            Ok(try_join(begin, client.query(take, &limits)).await?.1)
        })
        .await?;
        let mut waiting = BTreeMap::<QueueName, Vec<Waiting>>::new();
        for row in &rows {
            let (size, locked): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            taken.is_full = locked == ROWS_MAX || locked > rows.len() as i64;
            if size > row_bytes_max {
                let error = format!("it has {size} bytes, and a job may have {most}");
                settled.refused.push((row.try_get(0)?, error));
                continue;
            }
            match row::decode(row, most)? {
                (_, Ok(row)) => waiting.entry(row.queue.clone()).or_default().push(row),
                (id, Err(error)) => settled.refused.push((id, error)),
            }
        }
        Ok(waiting)
    }

    async fn enqueue(
        &self,
        queue: &QueueName,
        rows: Vec<Waiting>,
        enqueued: &mut Vec<(i64, String)>,
    ) -> Result<(), RelayError> {
        let (places, jobs): (Vec<(i64, f64)>, Vec<NewJob>) =
            rows.into_iter().map(|row| ((row.id, row.age), row.job)).unzip();
        let (publications, error) = match self.redis.enqueue_all(queue, jobs).await {
            Ok(publications) => (publications.into_iter().map(Some).collect(), None),
            Err(failed) => (failed.publications, Some(failed.error)),
        };
        let mut known = 0;
        for ((id, age), publication) in places.into_iter().zip(publications) {
            let Some(Publication { entry, known: was_known, .. }) = publication else { continue };
            known += usize::from(was_known);
            self.instruments.wait.record(age.max(0.0), |_| {});
            enqueued.push((id, entry.to_string()));
        }
        self.instruments.count("known", known);
        match error {
            None => Ok(()),
            Some(error) => Err(RelayError::Redis(queue.to_string(), reason(&error))),
        }
    }

    /// Deletes or marks the rows, and ends the transaction.
    async fn settle(&self, settled: &Settled) -> Result<(), RelayError> {
        let client = &self.connection.client;
        let (ids, job_ids): (Vec<i64>, Vec<&str>) =
            settled.enqueued.iter().map(|(id, job_id)| (*id, job_id.as_str())).unzip();
        let (refused, errors): (Vec<i64>, Vec<&str>) =
            settled.refused.iter().map(|(id, error)| (*id, error.as_str())).unzip();
        in_time(async {
            if !refused.is_empty() {
                client.execute(REFUSE, &[&refused, &errors]).await?;
            }
            let mark = async {
                if ids.is_empty() {
                    Ok(0)
                } else if self.config.keep.is_zero() {
                    client.execute("delete from postrider_outbox where id = any ($1)", &[&ids]).await
                } else {
                    client.execute(MARK, &[&ids, &job_ids]).await
                }
            };
            // Sent together: if the first fails, PostgreSQL rolls back.
            Ok(try_join(mark, client.batch_execute("commit")).await?)
        })
        .await?;
        self.instruments.count("enqueued", ids.len());
        self.instruments.count("refused", refused.len());
        for (id, error) in &settled.refused {
            warn!(row = id, "a row of the outbox is no job, and waits for somebody: {error}");
        }
        Ok(())
    }
}

const REFUSE: &str =
    "update postrider_outbox o set error = r.error from unnest($1::bigint[], $2::text[]) as r (id, error)
    where o.id = r.id";
const MARK: &str = "update postrider_outbox o set enqueued_at = clock_timestamp(), job_id = e.job_id
    from unnest($1::bigint[], $2::text[]) as e (id, job_id) where o.id = e.id";
