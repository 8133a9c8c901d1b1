//! The command line: `postrider worker`, `send`, `sink`, `health`, and the commands that inspect queues.

/// `println!` that does not panic if the reader has gone, as in `postrider jobs list | head`, and escapes what could change
/// how a terminal shows the rest.
macro_rules! print_line {
    ($($text:tt)*) => {
        $crate::commands::terminal::print(&format!($($text)*))
    };
}

mod absurd;
mod arguments;
mod attempts;
mod audit;
mod certify;
mod completions;
mod console;
mod cron;
mod dead;
mod doctor;
mod failure;
mod find;
mod flows;
mod health;
mod jobs;
mod limits;
mod listing;
mod logged;
mod man;
mod order;
mod pause;
mod queues;
mod redis;
mod relay;
mod render;
mod results;
mod send;
mod sink;
mod tail;
mod target;
mod terminal;
mod trace_url;
mod variables;
mod worker;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use hyper_otel::HostPattern;
use postrider_console::view;
use postrider_queue::names;
use telemetry::{Config, Exporter, Log, LogFormat, Telemetry, flush_lines, print_line};
use tracing::warn;

use self::arguments::{own_lines_are_json, usage, without_empty_variables};
use self::completions::Complete;
use self::failure::{Usage, failed, failed_as_line, print_as_line};
use self::redis::RedisArgs;

/// Reliable HTTP jobs from Redis, with a trace for every delivery.
///
/// Exit codes: 0 success; 1 the awaited job is dead, a named job does not exist, `doctor` found an error,
/// `certify` a broken promise, or the worker is not healthy; 2 wrong usage; 3 the awaited job is not done yet; 4 Redis or a port is not
/// available, or a part of the worker has panicked.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
    /// Hide the path of this host in spans and listings, besides those of Slack, Discord, Teams, Zapier and
    /// others whose path is a secret: HOST, *.HOST or *, each also with :PORT; repeatable
    #[arg(
        long,
        env = "POSTRIDER_SECRET_PATHS",
        value_delimiter = ',',
        value_parser = str::parse::<HostPattern>,
        value_name = "HOST",
        global = true,
        display_order = LAST
    )]
    secret_paths: Vec<HostPattern>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Worker(worker::WorkerArgs),
    Send(send::SendArgs),
    Relay(relay::RelayArgs),
    Sink(sink::SinkArgs),
    Console(console::ConsoleArgs),
    Health(health::HealthArgs),
    Queues(queues::QueuesArgs),
    Flows(flows::FlowsArgs),
    Cron(cron::CronArgs),
    Find(find::FindArgs),
    Jobs(jobs::JobsArgs),
    Order(order::OrderArgs),
    Dead(dead::DeadArgs),
    Audit(audit::AuditArgs),
    Tail(tail::TailArgs),
    Doctor(doctor::DoctorArgs),
    Certify(certify::CertifyArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Options of all commands are listed after a command's own.
const LAST: usize = 100;

#[derive(Debug, Args)]
struct LogArgs {
    /// Format of the log lines on standard error [default: text on a terminal, json otherwise]
    #[arg(long, env = "POSTRIDER_LOG_FORMAT", global = true, display_order = LAST)]
    log_format: Option<Format>,
    /// Lowest level to log, and exceptions by module: `info,postrider=debug` [default: info for
    /// `worker`, `relay`, `console` and `sink`, else warn]
    #[arg(long = "log", env = "POSTRIDER_LOG", global = true, display_order = LAST)]
    filter: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// How long telemetry may flush at the end.
const FLUSH: Duration = Duration::from_secs(2);
/// How long the very last lines may wait for somebody who reads standard error.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Runs the program with its arguments and environment.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(print_panic));
    // Also if the main thread panics.
    let _flush = FlushAtExit;
    match Complete::from_args() {
        None => {}
        Some(Ok(complete)) => return in_runtime(complete.run()),
        Some(Err(error)) => return usage(&error),
    }
    let matches = without_empty_variables(Cli::command()).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // These start nothing else, no telemetry either.
    let code = match &cli.command {
        Command::Health(args) => Ok(args.run()),
        Command::Completions(args) => Ok(args.run()),
        Command::Man(args) => args.run(),
        Command::Certify(args) if args.executes() => args.execute(),
        _ => return in_runtime(run(cli)),
    };
    code.unwrap_or_else(|error: Box<dyn std::error::Error>| failed(error.as_ref()))
}

fn in_runtime(run: impl Future<Output = ExitCode>) -> ExitCode {
    // Two dependencies use rustls; both must use this provider.
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("this is the first thing that the program does with TLS");
    // One thread: in measurements, a second one in one runtime gained nothing, and each wake-up costs more. Further threads of a
    // worker have their own runtimes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(run);
    // A hanging name lookup must not delay the exit.
    runtime.shutdown_background();
    code
}

/// Writes the last lines to standard error, but does not wait for ever for somebody who reads them.
struct FlushAtExit;

impl Drop for FlushAtExit {
    fn drop(&mut self) {
        flush_lines(LAST_LINES);
    }
}

/// As the default hook, which would wait until somebody reads standard error.
fn print_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let mut text = format!("thread '{}' {panic}", thread.name().unwrap_or("unnamed"));
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("\nstack backtrace:\n{backtrace}"));
    }
    if own_lines_are_json() { print_as_line(&text) } else { print_line(&text) }
}

async fn run(cli: Cli) -> ExitCode {
    let mut config = Config::of(names::PROGRAM);
    config.log = Some(cli.log.log(!cli.command.serves()));
    if !cli.command.serves() || matches!(cli.command, Command::Sink(_)) {
        // Each call would make a new series with one point. And many trace receivers accept no metrics: each
        // call would log a warning.
        config.metrics.exporter = Exporter::None;
        config.prometheus = false;
    }
    // The lines of these commands are read by programs.
    let as_line = cli.command.serves() && cli.log.is_json();
    let failed = move |error: &(dyn std::error::Error + 'static)| {
        if as_line { failed_as_line(error) } else { failed(error) }
    };
    let running = match telemetry::start(config) {
        Ok(running) => running,
        Err(error) => return failed(&error),
    };
    view::hide_paths_of(cli.secret_paths.clone());
    let code = Box::pin(cli.command.run(&running.handle(), cli.secret_paths, &failed)).await;
    if let Err(error) = running.shutdown(FLUSH).await {
        warn!("{error}");
    }
    code
}

impl Command {
    /// Whether it runs until it is stopped.
    fn serves(&self) -> bool {
        match self {
            Self::Worker(_) | Self::Sink(_) => true,
            Self::Console(args) => args.serves(),
            Self::Relay(args) => args.serves(),
            _ => false,
        }
    }

    async fn run(
        self,
        telemetry: &Telemetry,
        secret_paths: Vec<HostPattern>,
        failed: &impl Fn(&(dyn std::error::Error + 'static)) -> ExitCode,
    ) -> ExitCode {
        let result = match self {
            Self::Worker(args) => args.run(telemetry, secret_paths).await,
            Self::Send(args) => args.run(telemetry).await,
            Self::Relay(args) => Box::pin(args.run(telemetry)).await,
            Self::Sink(args) => args.run().await,
            Self::Console(args) => args.run(telemetry).await,
            Self::Queues(args) => Box::pin(args.run(telemetry)).await,
            Self::Flows(args) => Box::pin(args.run(telemetry)).await,
            Self::Cron(args) => args.run(telemetry).await,
            Self::Find(args) => args.run(telemetry).await,
            Self::Jobs(args) => args.run(telemetry).await,
            Self::Order(args) => args.run(telemetry).await,
            Self::Dead(args) => args.run(telemetry).await,
            Self::Audit(args) => args.run(telemetry).await,
            Self::Tail(args) => args.run(telemetry).await,
            Self::Doctor(args) => args.run(telemetry).await,
            Self::Certify(args) => Box::pin(args.run(telemetry)).await,
            // These have run before telemetry starts.
            Self::Health(_) | Self::Completions(_) | Self::Man(_) => Ok(ExitCode::SUCCESS),
        };
        result.unwrap_or_else(|error| failed(error.as_ref()))
    }
}

impl LogArgs {
    fn is_json(&self) -> bool {
        match self.log_format {
            Some(format) => matches!(format, Format::Json),
            None => !std::io::stderr().is_terminal(),
        }
    }

    fn log(&self, brief: bool) -> Log {
        let format = if self.is_json() { LogFormat::Json } else { LogFormat::Text };
        let level = if brief { "warn" } else { "info" };
        let filter = self.filter.clone().filter(|filter| !filter.trim().is_empty());
        Log::new(format, filter.unwrap_or_else(|| level.to_owned()))
    }
}
