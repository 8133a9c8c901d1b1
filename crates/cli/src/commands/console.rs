//! `postrider console`

mod beside;
mod settings;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use postrider_console::{Console, NewToken, Scope};
use postrider_worker::shutdown;
use serde_json::json;
use telemetry::Telemetry;

use super::RedisArgs;
use super::limits::JobLimits;

/// Serve pages and an HTTP API: enqueue jobs, find out what happened to them, change them
///
/// Without a token file, it serves only this machine, and everybody on it. The API is described at /v1/openapi.json.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ConsoleArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address to listen on
    #[arg(
        long,
        env = "POSTRIDER_CONSOLE_LISTEN",
        default_value = "127.0.0.1:8025",
        value_name = "ADDR:PORT"
    )]
    listen: SocketAddr,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    redis: RedisArgs,
    #[command(flatten)]
    limits: JobLimits,
}

pub(super) use beside::Beside;
use settings::{ScopeName, Settings};

#[derive(Debug, Subcommand)]
enum Command {
    Token(TokenArgs),
    /// Print the OpenAPI document of the API
    Openapi,
}

/// Make tokens for the API
#[derive(Debug, Args)]
struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
}

/// Print a new token, and its table for the token file, which contains only a hash
#[derive(Debug, Args)]
struct CreateArgs {
    /// Name of its holder, shown in logs
    name: String,
    /// What it allows; repeatable
    #[arg(long = "scope", value_enum, value_delimiter = ',', required = true, value_name = "SCOPE")]
    scopes: Vec<ScopeName>,
    /// Print one JSON object: `token`, and `entry` for the token file
    #[arg(long)]
    json: bool,
}

impl ConsoleArgs {
    /// Whether it runs until it is stopped.
    pub(super) fn serves(&self) -> bool {
        self.command.is_none()
    }

    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Some(Command::Token(TokenArgs { command: TokenCommand::Create(args) })) => return Ok(args.run()),
            Some(Command::Openapi) => {
                print_line!("{}", postrider_console::openapi());
                return Ok(ExitCode::SUCCESS);
            }
            None => {}
        }
        let shutdown = shutdown::listen(None)?;
        let options = self.settings.options(self.listen, self.redis.url(), self.limits.max_job_bytes)?;
        Console::start(options, telemetry).await?.run(shutdown.stop).await;
        Ok(ExitCode::SUCCESS)
    }
}

impl CreateArgs {
    fn run(&self) -> ExitCode {
        let scopes: Vec<Scope> = self.scopes.iter().copied().map(Scope::from).collect();
        let NewToken { token, entry } = NewToken::generate(&self.name, &scopes);
        if self.json {
            print_line!("{}", json!({ "token": token, "entry": entry }));
        } else {
            print_line!("{token}");
            eprintln!(
                "note: the token is shown only now; add this to the token file and restart the console:\n\n{entry}"
            );
        }
        ExitCode::SUCCESS
    }
}
