//! `postrider relay`

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use postrider_queue::Redis;
use postrider_relay::{Health, Postgres, RelayConfig, SCHEMA};
use postrider_worker::{Probes, StatusServer, shutdown};
use serde_json::json;
use telemetry::Telemetry;
use tracing::info;

use super::limits::JobLimits;
use super::redis::address_file;
use super::render::table;
use super::worker::address;
use super::{RedisArgs, Usage};
use crate::units::{duration, some_time};

/// Enqueue the jobs that applications insert into a table of PostgreSQL, until SIGTERM or SIGINT
///
/// A transactional outbox: an application inserts a row in the transaction that makes the job necessary. If the
/// transaction is rolled back, there is no job; once it is committed, there is one, whatever stops in between.
/// `postrider relay schema` prints the SQL that makes the table. Several relays may work on one table.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RelayArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    postgres: PostgresArgs,
    #[command(flatten)]
    redis: RedisArgs,
    #[command(flatten)]
    limits: JobLimits,
    /// Time for which enqueued rows are kept, with `enqueued_at` and `job_id`; 0s deletes them at once
    #[arg(long, env = "POSTRIDER_RELAY_KEEP", default_value = "0s", value_parser = duration, value_name = "DURATION")]
    keep: Duration,
    /// Longest time until a row is found whose transaction sent no notification
    #[arg(long, env = "POSTRIDER_RELAY_POLL_INTERVAL", default_value = "1s", value_parser = some_time, value_name = "DURATION")]
    poll_interval: Duration,
    /// Connections that take rows side by side while many wait
    #[arg(long, env = "POSTRIDER_RELAY_CONNECTIONS", default_value = "2", value_parser = clap::value_parser!(u16).range(1..=32), value_name = "N")]
    connections: u16,
    /// Address to serve /livez, /readyz and /metrics on [default: none]
    #[arg(long, env = "POSTRIDER_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the SQL that makes the table
    Schema,
    Status(StatusArgs),
}

/// Show how many rows wait, for how long, and which are no jobs
#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    postgres: PostgresArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const NO_ADDRESS: &str = "give the address of PostgreSQL: in POSTRIDER_POSTGRES, or in a file that POSTRIDER_POSTGRES_FILE or \
    --postgres-file names, as postgresql://USER:PASSWORD@HOST/DATABASE; without a password also as --postgres";

/// Where PostgreSQL is.
#[derive(Debug, Args)]
struct PostgresArgs {
    /// Address of PostgreSQL: postgresql://[user:password@]host[:port]/database[?options]. With a password, use the
    /// variable or --postgres-file: every user of the machine can see arguments
    // The value may hold a password: `--help` must not show it.
    #[arg(long, env = "POSTRIDER_POSTGRES", hide_env_values = true, value_name = "URL")]
    postgres: Option<String>,
    /// File with the address of PostgreSQL
    // It is read with the arguments.
    #[arg(long, env = "POSTRIDER_POSTGRES_FILE", conflicts_with = "postgres", value_parser = address_file, value_name = "FILE")]
    postgres_file: Option<String>,
    /// PEM file of authorities that are trusted besides the system's
    #[arg(long, env = "POSTRIDER_POSTGRES_CA", value_name = "FILE")]
    postgres_ca: Option<PathBuf>,
}

impl PostgresArgs {
    fn read(&self) -> Result<Postgres, Usage> {
        let url = self.postgres_file.as_deref().or(self.postgres.as_deref()).filter(|url| !url.is_empty());
        let url = url.ok_or_else(|| Usage(NO_ADDRESS.to_owned()))?;
        let parsed = Postgres::parse(url, self.postgres_ca.as_deref());
        parsed.map_err(|error| Usage(error.to_string()))
    }
}

impl RelayArgs {
    /// Whether it runs until it is stopped.
    pub(super) fn serves(&self) -> bool {
        self.command.is_none()
    }

    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Some(Command::Schema) => print_line!("{}", SCHEMA.trim_end()),
            Some(Command::Status(args)) => args.run().await?,
            None => self.serve(telemetry).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn serve(self, telemetry: &Telemetry) -> Result<(), Box<dyn Error>> {
        let shutdown = shutdown::listen(None)?;
        let listen = self.listen.as_deref().filter(|text| !text.is_empty()).map(address).transpose()?;
        let config = RelayConfig {
            postgres: self.postgres.read()?,
            job_bytes_max: self.limits.max_job_bytes,
            keep: self.keep,
            poll_interval: self.poll_interval,
            connections: self.connections.into(),
        };
        let redis = Redis::connect(self.redis.url(), telemetry).await?;
        let health = Health::default();
        let status = match listen {
            Some(address) => Some(StatusServer::start(address, probes(health.clone()), telemetry).await?),
            None => None,
        };
        info!(version = env!("CARGO_PKG_VERSION"), "the relay starts");
        let ended = postrider_relay::run(&config, &redis, &health, telemetry, shutdown.stop).await;
        if let Some(status) = status {
            status.end().await;
        }
        redis.close().await;
        Ok(ended?)
    }
}

fn probes(health: Health) -> Probes {
    Probes::new(|| None, move || health.why_not_ready().map_or(Ok("ok".to_owned()), Err))
}

impl StatusArgs {
    async fn run(self) -> Result<(), Box<dyn Error>> {
        let status = postrider_relay::status(&self.postgres.read()?).await?;
        let age = status.oldest_seconds.map(|seconds| Duration::from_secs(seconds.max(0.0) as u64));
        if self.json {
            let refused: Vec<_> =
                status.examples.iter().map(|row| json!({"id": row.id, "error": row.error})).collect();
            print_line!(
                "{}",
                json!({
                    "waiting": status.waiting,
                    "oldest_seconds": status.oldest_seconds,
                    "refused": status.refused,
                    "refused_rows": refused,
                    "kept": status.kept,
                })
            );
            return Ok(());
        }
        let oldest =
            age.map_or(String::new(), |age| format!(", the oldest for {}", humantime::format_duration(age)));
        print_line!(
            "waiting: {}{oldest}\nkept: {}\nrefused: {}",
            status.waiting,
            status.kept,
            status.refused
        );
        if !status.examples.is_empty() {
            let rows = status.examples.iter().map(|row| [row.id.to_string(), row.error.clone()]);
            print_line!("\n{}", table(["ROW", "WHAT IS WRONG"], rows));
            print_line!("\nCorrect a row and set its column `error` to null, or delete it.");
        }
        Ok(())
    }
}
