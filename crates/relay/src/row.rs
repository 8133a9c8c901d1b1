//! The columns of a row, and the job that it is.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::job::{Fields, Job};
use postrider_queue::{IdempotencyKey, NewJob, QueueName};
use tokio_postgres::types::FromSql;
use tokio_postgres::{Error, Row};

/// How long PostgreSQL may bring a row again.
const KEY_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// The fields of a job, and the expressions for their values as bytes.
const COLUMNS: [(&str, &str); 20] = [
    ("url", "url"),
    ("method", "method"),
    ("headers", "headers::text"),
    ("label", "label"),
    ("delay_ms", "delay_ms::text"),
    (
        "not_before",
        "case when isfinite(not_before) then ceil(extract(epoch from not_before) * 1000)::bigint::text else not_before::text end",
    ),
    (
        "expires_at",
        "case when isfinite(expires_at) then floor(extract(epoch from expires_at) * 1000)::bigint::text else expires_at::text end",
    ),
    ("timeout_ms", "timeout_ms::text"),
    ("max_attempts", "max_attempts::text"),
    ("retry", "retry"),
    ("flow", "flow"),
    ("order", "order_key"),
    ("secret", "secret"),
    ("result_ttl_ms", "result_ttl_ms::text"),
    ("on_success", "on_success"),
    ("on_failure", "on_failure"),
    ("traceparent", "traceparent"),
    ("tracestate", "tracestate"),
    ("baggage", "baggage"),
    ("body", "body"),
];

/// Fields whose values have few bytes, which nobody needs to count.
const SMALL_FIELDS: [&str; 6] =
    ["delay_ms", "not_before", "expires_at", "timeout_ms", "max_attempts", "result_ttl_ms"];

/// The columns of a job, in the order that [`decode`] expects.
fn columns() -> String {
    let columns = COLUMNS.map(|(_, expression)| expression).join(", ");
    format!("queue, key, extract(epoch from clock_timestamp() - created_at)::float8, body_bytes, {columns}")
}

/// Rows of one transaction.
pub(crate) const ROWS_MAX: usize = 500;
/// Bytes of one transaction, unless one row alone has more.
pub(crate) const BYTES_MAX: u64 = 4 << 20;
/// Bytes of a row that comes at once, so that all rows together have at most [`BYTES_MAX`]. Larger ones are read later, as far
/// as there is room for them.
pub(crate) const SMALL_BYTES: u64 = BYTES_MAX / ROWS_MAX as u64;

/// Locks waiting rows that fulfil a further condition and returns their ids and sizes in bytes, without the small fields: up to
/// [`ROWS_MAX`]. A row of at most [`SMALL_BYTES`] comes with its job. Numbers are part of the text, since PostgreSQL plans a statement
/// without parameters once. One relay at a time takes rows with an order key, so that they are
/// enqueued in their order: the first such row that a statement meets takes the lock. What is computed of a row comes after its lock,
/// so that rows that another connection has cost little.
pub(crate) fn take(condition: &str) -> String {
    let counted = COLUMNS.iter().filter(|(name, _)| !SMALL_FIELDS.contains(name));
    let sizes = counted.map(|(_, expression)| format!("coalesce(octet_length({expression}), 0)"));
    format!(
        "select o.id, row_bytes, job.*
         from (
             select * from postrider_outbox
             where enqueued_at is null and error is null {condition} and (
                 order_key is null
                 or (select pg_try_advisory_xact_lock('postrider_outbox'::regclass::oid::integer, 0))
             )
             order by id limit {ROWS_MAX} for update skip locked
         ) o
             cross join lateral (
                 select coalesce(octet_length(body_bytes), 0)::bigint + {} as row_bytes
             ) size
             left join lateral (select {}) job on row_bytes <= {SMALL_BYTES}
         order by o.id",
        sizes.collect::<Vec<_>>().join(" + "),
        columns()
    )
}

/// Returns the rows $1, which are locked, as [`take`] does.
pub(crate) fn read() -> String {
    format!("select id, 0::bigint, {} from postrider_outbox where id = any ($1)", columns())
}

/// A row that can be enqueued.
pub(crate) struct Waiting {
    pub(crate) id: i64,
    pub(crate) queue: QueueName,
    pub(crate) job: NewJob,
    /// Seconds since it was inserted.
    pub(crate) age: f64,
}

/// A text or bytes, as they are.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }
}

/// The row's id, and its job or why it is none.
pub(crate) fn decode(row: &Row, job_bytes_max: usize) -> Result<(i64, Result<Waiting, String>), Error> {
    let id: i64 = row.try_get(0)?;
    let (queue, key, age): (&str, String, f64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    let mut fields: Fields = Vec::new();
    for (index, name) in std::iter::once("body").chain(COLUMNS.map(|(name, _)| name)).enumerate() {
        if let Some(Raw(value)) = row.try_get(5 + index)? {
            fields.push((Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value)));
        }
    }
    let job = || -> Result<Waiting, String> {
        let queue = queue.parse().map_err(|error| format!("column `queue`: {error}"))?;
        Job::check(&fields, job_bytes_max).map_err(|malformed| of_column(&malformed.error))?;
        let key = Some(IdempotencyKey { key, ttl: KEY_TTL });
        Ok(Waiting { id, queue, job: NewJob { fields, key }, age })
    };
    Ok((id, job()))
}

/// An error about a field, as one about its column.
fn of_column(error: &str) -> String {
    match error.strip_prefix("field `") {
        Some(rest) => format!(
            "column `{}",
            rest.replacen("order`", "order_key`", usize::from(rest.starts_with("order`")))
        ),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use postrider_queue::job::FIELDS;

    use super::*;

    #[test]
    fn an_error_names_the_column() {
        let cases = [
            ("field `order` must be 1 to 256 bytes", "column `order_key` must be 1 to 256 bytes"),
            ("field `on_success`: `url` must be absolute", "column `on_success`: `url` must be absolute"),
            ("it has 9 bytes", "it has 9 bytes"),
        ];
        for (error, expected) in cases {
            assert_eq!(of_column(error), expected);
        }
    }

    #[test]
    fn every_field_of_a_job_has_a_column() {
        let missing: Vec<_> =
            FIELDS.iter().filter(|field| !COLUMNS.iter().any(|(name, _)| name == *field)).collect();
        // There is one version of the format.
        assert_eq!(missing, [&"v"]);
        for (name, expression) in COLUMNS {
            assert!(FIELDS.contains(&name), "{name}");
            let column = if name == "order" { "order_key" } else { name };
            assert!(expression.contains(column), "{name}");
            assert!(crate::SCHEMA.contains(&format!("\n    {column} ")), "{column}");
        }
    }
}
