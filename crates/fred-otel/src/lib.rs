//! A fred client that records each command as an OpenTelemetry span and a duration metric.
//!
//! fred has no hook around a command, and its client trait cannot be implemented outside of it. So [`TracedClient`]
//! owns the client. Everyday commands are written as [`Call`]s; for everything else that fred can do, the client is
//! lent to a closure. It records with OpenTelemetry's global providers of the process, or with those
//! that `otel_facade::start` makes from the `OTEL_*` variables:
//!
//! ```no_run
//! use fred::prelude::*;
//! use fred_otel::{Call, Command, TracedClient};
//! use otel_facade::Telemetry;
//!
//! # async fn run() -> Result<(), Error> {
//! let client = Builder::from_config(Config::from_url("redis://localhost:6379")?).build()?;
//! client.init().await?;
//! let redis = TracedClient::new(client, &Telemetry::global());
//!
//! // One command, and several at once.
//! let visits: i64 = redis.send(Call::new("INCR").key("visits")).await?;
//! let set = |key, value: i64| Call::new("SET").key(key).arg(value);
//! let _: Value = redis.pipeline(vec![set("a", 1), set("b", 2)]).await?;
//! // `None` where a watched key has changed.
//! let both: Option<(String, i64)> = redis.transaction(vec![set("a", 1), Call::new("INCR").key("a")]).await?;
//! // Blocking, functions and scripts, messages.
//! let next: Option<(String, String)> =
//!     redis.send(Call::new("BLPOP").key("letters").arg(5_i64).blocking()).await?;
//! let paid: i64 = redis.send(Call::function("pay", ["account:7"]).arg(100_i64)).await?;
//! let heard: i64 = redis.send(Call::new("PUBLISH").arg("news").arg("hello")).await?;
//! // With fred's own methods.
//! let text: Option<String> = redis.run(Command::new("GET"), |client| async move { client.get("a").await }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is emitted
//!
//! One span of kind `CLIENT` for each command or batch, including the client's queueing and
//! retries. Its name is the command, followed by the name of the function (`FCALL pay`) or of the script
//! (`EVALSHA pay`, where the caller gives it: [`Call::script_name`], [`Command::script_name`]). A pipeline is
//! `PIPELINE SET` where all its commands are one, else `PIPELINE`, a transaction `MULTI SET` or `MULTI`.
//! [`Options::spans`] turns spans off and leaves the metric.
//!
//! | attribute | when |
//! |---|---|
//! | `db.system.name` (`redis`), `db.operation.name` | always |
//! | `db.namespace` | always: the index of the database, as the configuration has it |
//! | `server.address`; `server.port` | always, the first server of the configuration; the port is not 6379 |
//! | `network.peer.address`, `network.peer.port` | the one server is configured by its address. fred does not report which node of a cluster has replied |
//! | `db.operation.batch.size` | a batch, which one command alone is not |
//! | `db.stored_procedure.name` | a function's or script's name; a script's SHA-1 where it has no name |
//! | `db.query.text` (at most 1,000 bytes) | asked for ([`QueryText`]); no argument is ever in it |
//! | `db.response.status_code` | an error reply of the server: its prefix |
//! | `error.type` | the same, or an error on the way ([`error_type()`]) |
//!
//! The status is `Error` where `error.type` is set, described by Redis' own sentence where its text is known not to
//! repeat arguments. The instrumentation scope is this package's name. These are no errors: a transaction that did not
//! run because a watched key changed, an empty reply, and a cancellation by the caller. A future that is dropped is not
//! measured.
//!
//! | metric | kind, unit | attributes |
//! |---|---|---|
//! | `db.client.operation.duration` | histogram, `s` | `db.system.name`, `db.operation.name`, `db.namespace`, `server.address`, `server.port`; `db.response.status_code`, `error.type` |
//!
//! A batch is one measurement. Commands that block ([`Call::blocking`], [`Command::blocking`]) are not measured: their
//! duration is a waiting time. Under `otel_facade::suppress` nothing is recorded.
//!
//! # What it costs
//!
//! Telemetry off: a branch. A measurement: a lookup in a small table and a bound instrument, without an allocation.
//!
//! Semantic conventions 1.44.0, `docs/db/redis.md`. It neither configures nor connects the client, does not
//! retry, and does not record received messages.

mod call;
mod client;
mod command;
mod error_type;
mod hooks;
mod options;
mod series;
mod server;
mod text;

pub use call::Call;
pub use client::{Pending, TracedClient};
pub use command::Command;
pub use error_type::{error_type, reply_code};
pub use hooks::Hooks;
pub use options::Options;
pub use text::QueryText;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
