//! A fred client of which no command leaves without an OpenTelemetry span and a duration metric.
//!
//! fred has no hook around a command, and its client trait cannot be implemented outside of it. So
//! [`TracedClient`] owns the client and lends it to a closure:
//!
//! ```no_run
//! use fred::prelude::*;
//! use redis_telemetry::{Command, TracedClient};
//! use telemetry::Telemetry;
//!
//! # async fn run() -> Result<(), Error> {
//! let client = Builder::from_config(Config::from_url("redis://localhost:6379")?).build()?;
//! client.init().await?;
//! let redis = TracedClient::new(client, &Telemetry::global());
//! let length: u64 =
//!     redis.run(Command::new("XLEN").key("jobs"), |client| async move { client.xlen("jobs").await }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | value |
//! |---|---|
//! | span | kind `CLIENT`, named as the command; covers the call with the client's queueing |
//! | attributes | `db.system.name`, `db.operation.name`, `db.namespace`, `server.address`, `server.port` where it is not 6379; where they apply `db.operation.batch.size`, `db.stored_procedure.name`, `db.query.text`, `db.response.status_code`, `error.type` |
//! | metric | `db.client.operation.duration` in seconds |
//!
//! Semantic conventions 1.44.0, `docs/db/redis.md`. What it does not do: it neither configures nor connects
//! the client, and it repeats nothing.

mod client;
mod command;
mod error_type;

pub use client::{Pending, TracedClient};
pub use command::Command;
pub use error_type::error_type;
