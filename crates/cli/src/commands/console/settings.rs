//! The settings of a console, besides its address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use ipnet::IpNet;
use postrider_console::{Access, Options, Scope, Tokens, TrustedHeader};
use tracing::warn;

use super::super::trace_url::TraceUrl;
use super::super::{Usage, without_empty_variables};
use crate::config::secret_file;

/// Who may call, under which names, and where traces are shown.
#[derive(Debug, Args)]
pub(super) struct Settings {
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
}

/// The settings without any argument.
#[derive(Debug, Parser)]
struct Variables {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    /// From environment variables alone.
    pub(super) fn from_variables() -> Result<Self, Usage> {
        let command = without_empty_variables(Variables::command());
        let matches = command.try_get_matches_from(["postrider"]);
        let variables = matches.and_then(|matches| Variables::from_arg_matches(&matches));
        variables.map(|variables| variables.settings).map_err(|error| Usage(error.to_string()))
    }

    /// The same, with `trace_url` of a worker's file, if nothing else sets it.
    pub(super) fn with_file(mut self, config: Option<PathBuf>) -> Self {
        self.trace_url = self.trace_url.or_file(config);
        self
    }

    /// The options of a console at this address.
    pub(super) fn options(
        self,
        listen: SocketAddr,
        redis_url: &str,
        max_job_bytes: usize,
    ) -> Result<Options, Usage> {
        Ok(Options {
            listen,
            redis_url: redis_url.to_owned(),
            access: self.access()?,
            max_job_bytes,
            trace_url: self.trace_url.pattern(),
            hosts: self.hosts,
        })
    }

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
    let tokens = Tokens::parse(&text).map_err(|error| wrong(error.to_string()))?;
    if tokens.is_empty() {
        warn!("the token file has no token: nobody can sign in or call the API; see {}", path.display());
    }
    Ok(tokens)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ScopeName {
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
