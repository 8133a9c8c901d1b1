//! `postrider console`

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use postrider_console::{Access, Console, NewToken, Options, Scope, Tokens, TrustedHeader};
use postrider_worker::shutdown;
use serde_json::json;
use telemetry::Telemetry;

use super::limits::JobLimits;
use super::trace_url::TraceUrl;
use super::{RedisArgs, Usage};
use crate::config::secret_file;

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
    /// File of the tokens that callers need; `postrider console token create` prints its parts
    #[arg(long, env = "POSTRIDER_CONSOLE_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Header in which a proxy names the caller, after it has authenticated them
    #[arg(long, env = "POSTRIDER_CONSOLE_AUTH_HEADER", value_name = "HEADER", requires = "auth_from")]
    auth_header: Option<String>,
    /// Network of that proxy; the header is believed only from there; repeatable
    #[arg(long, env = "POSTRIDER_CONSOLE_AUTH_FROM", value_delimiter = ',', value_name = "NETWORK")]
    auth_from: Vec<IpNet>,
    /// What callers that the proxy names may do; repeatable
    #[arg(
        long = "auth-scope",
        env = "POSTRIDER_CONSOLE_AUTH_SCOPES",
        value_enum,
        value_delimiter = ',',
        default_value = "read",
        value_name = "SCOPE"
    )]
    auth_scopes: Vec<ScopeName>,
    #[command(flatten)]
    trace_url: TraceUrl,
    /// Name under which the console is reached, besides addresses and localhost; repeatable
    #[arg(long = "host", env = "POSTRIDER_CONSOLE_HOSTS", value_delimiter = ',', value_name = "NAME")]
    hosts: Vec<String>,
    #[command(flatten)]
    redis: RedisArgs,
    #[command(flatten)]
    limits: JobLimits,
}

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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeName {
    /// Look at queues, jobs, dead letters and flows, with secrets masked
    Read,
    /// Enqueue jobs
    Enqueue,
    /// Cancel jobs and run them now, replay and purge dead letters
    Operate,
    /// See secrets in headers and URLs
    Reveal,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Enqueue => Self::Enqueue,
            ScopeName::Operate => Self::Operate,
            ScopeName::Reveal => Self::Reveal,
        }
    }
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
        let shutdown = shutdown::listen()?;
        let access = self.access()?;
        let options = Options {
            listen: self.listen,
            redis_url: self.redis.url().to_owned(),
            access,
            max_job_bytes: self.limits.max_job_bytes,
            trace_url: self.trace_url.url,
            hosts: self.hosts,
        };
        Console::start(options, telemetry).await?.run(shutdown.stop).await;
        Ok(ExitCode::SUCCESS)
    }
}

impl ConsoleArgs {
    fn access(&self) -> Result<Access, Usage> {
        let mut access = Access::default();
        if let Some(path) = &self.tokens {
            access = access.tokens(tokens(path)?);
        }
        if let Some(name) = &self.auth_header {
            let name = name
                .parse()
                .map_err(|_| Usage(format!("--auth-header {name}: this is no name of a header")))?;
            let scopes = self.auth_scopes.iter().copied().map(Scope::from).collect();
            access = access.header(TrustedHeader::new(name, self.auth_from.clone(), scopes));
        }
        Ok(access)
    }
}

fn tokens(path: &Path) -> Result<Tokens, Usage> {
    let wrong = |error: String| Usage(format!("--tokens {}: {error}", path.display()));
    let text =
        secret_file(&path.to_string_lossy()).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    Tokens::parse(&text).map_err(|error| wrong(error.to_string()))
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
