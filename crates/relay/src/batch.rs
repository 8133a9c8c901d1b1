//! One transaction: takes waiting rows, enqueues their jobs, and deletes the rows.

use std::collections::BTreeMap;

use futures_util::future::try_join;
use postrider_queue::{EnqueueError, NewJob, Publication, QueueName, Redis, error_text, names};
use telemetry::{Counter, Histogram, Telemetry};
use tokio_postgres::{Error, Row};
use tracing::warn;

use crate::RelayConfig;
use crate::connection::{Connection, RelayError, in_time};
use crate::row::{self, BYTES_MAX, ROWS_MAX, SMALL_BYTES, Waiting};

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

/// How many rows of these sizes one transaction enqueues. Those over `most` bytes are refused, and take no room.
fn first_rows(sizes: impl Iterator<Item = u64>, most: u64) -> usize {
    let mut bytes = 0;
    sizes
        .take_while(|size| {
            let before = bytes;
            bytes += if *size <= most { *size } else { 0 };
            before == 0 || bytes <= BYTES_MAX
        })
        .count()
}

fn size(row: &Row) -> Result<u64, Error> {
    Ok(u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default())
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
        let Connection { client, take, take_except, .. } = self.connection;
        let most = self.config.job_bytes_max;
        let rows = async {
            match except.is_empty() {
                true => client.query(take, &[]).await,
                false => client.query(take_except, &[&except]).await,
            }
        };
        let rows = in_time(async { Ok(try_join(client.batch_execute("begin"), rows).await?.1) }).await?;
        let sizes: Vec<(i64, u64)> =
            rows.iter().map(|row| Ok((row.try_get(0)?, size(row)?))).collect::<Result<_, Error>>()?;
        let first = first_rows(sizes.iter().map(|(_, size)| *size), most as u64);
        taken.is_full = rows.len() == ROWS_MAX || first < rows.len();
        let large = self.large(&sizes[..first]).await?;
        let mut waiting = BTreeMap::<QueueName, Vec<Waiting>>::new();
        for (row, (id, size)) in rows[..first].iter().zip(sizes) {
            if size > most as u64 {
                let error = format!("it has {size} bytes, and a job may have {most}");
                settled.refused.push((id, error));
                continue;
            }
            match row::decode(large.get(&id).unwrap_or(row), most)? {
                (_, Ok(row)) => waiting.entry(row.queue.clone()).or_default().push(row),
                (id, Err(error)) => settled.refused.push((id, error)),
            }
        }
        Ok(waiting)
    }

    /// The rows that came without their jobs, by their ids.
    async fn large(&self, sizes: &[(i64, u64)]) -> Result<BTreeMap<i64, Row>, RelayError> {
        let most = self.config.job_bytes_max as u64;
        let is_large = |size: u64| size > SMALL_BYTES && size <= most;
        let ids: Vec<i64> = sizes.iter().filter(|(_, size)| is_large(*size)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let Connection { client, read, .. } = self.connection;
        let rows = in_time(async { Ok(client.query(read, &[&ids]).await?) }).await?;
        rows.into_iter().map(|row| Ok((row.try_get(0)?, row))).collect()
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
        let Connection { client, delete, mark, .. } = self.connection;
        let (ids, job_ids): (Vec<i64>, Vec<&str>) =
            settled.enqueued.iter().map(|(id, job_id)| (*id, job_id.as_str())).unzip();
        let (refused, errors): (Vec<i64>, Vec<&str>) =
            settled.refused.iter().map(|(id, error)| (*id, error.as_str())).unzip();
        in_time(async {
            if !refused.is_empty() {
                client.execute(REFUSE, &[&refused, &errors]).await?;
            }
            let settle = async {
                if ids.is_empty() {
                    Ok(0)
                } else if self.config.keep.is_zero() {
                    client.execute(delete, &[&ids]).await
                } else {
                    client.execute(mark, &[&ids, &job_ids]).await
                }
            };
            // Sent together: if the first fails, PostgreSQL rolls back.
            Ok(try_join(settle, client.batch_execute("commit")).await?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fill_a_transaction_up_to_its_bytes() {
        let first = |sizes: &[u64]| first_rows(sizes.iter().copied(), 2 * BYTES_MAX);
        assert_eq!(first(&[]), 0);
        assert_eq!(first(&[1, BYTES_MAX - 1, 1]), 2);
        assert_eq!(first(&[BYTES_MAX + 1, 1]), 1, "one row may have more alone");
        assert_eq!(first(&[1, BYTES_MAX]), 1);
        assert_eq!(
            first(&[2 * BYTES_MAX + 1, BYTES_MAX, 2 * BYTES_MAX + 1, 1]),
            3,
            "refused rows take no room"
        );
    }
}
