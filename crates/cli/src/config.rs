//! Reads the configuration file, `postrider.toml`, and reports all errors at once, each with its line.

mod flows;
mod notice;
mod problems;
mod requests;
mod results;
mod secret;
mod table;
mod traces;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_otel::Propagation;
use postrider_queue::job::{FlowId, FlowLimits, destination};
use postrider_queue::work::LogBounds;
use postrider_worker::WeightedQueue;
use postrider_worker::settings::{Egress, Overrides, Secrets};
use postrider_worker::settings::{HttpConfig, KeptResults, NoticeSettings};
use postrider_worker::settings::{RetryPolicies, RetryPolicy, RetryWaits};
use toml::de::DeTable;

use problems::{Problems, line};
pub(crate) use secret::secret_file;
use table::Table;
pub(crate) use traces::{Traces, trace_pattern, trace_url};

/// The contents of the file.
///
/// ```toml
/// trace_url = "http://localhost:16686/trace/{trace_id}"   # of the console and the command line
///
/// [queues.default]
/// weight = 4
///
/// [queues.bulk]            # weight 1
/// unknown_fields = "refuse"   # dead-letters jobs with unknown fields; default: "warn"
/// on_dead = "stop"         # a dead letter stops the later jobs of its order key; default: "skip"
/// keep = "7d"              # its delivery log, instead of that of [results]
///
/// [retry.default]          # exponential, with full jitter
/// base = "1s"
/// cap = "1h"
/// max_attempts = 10
/// max_age = "3d"
/// retry_after_cap = "1d"   # the longest Retry-After that is honoured
/// retry_statuses = ["409"] # retried in addition to the usual ones; also "5xx" or "520-529"
/// final_statuses = ["501"] # not retried
///
/// [retry.gentle]           # or a list of waits
/// waits = ["5s", "1m", "10m"]
///
/// [flows.default]          # for each destination, or flow key, without its own table
/// breaker_failures = 5     # in a row; 0 turns the breaker off
/// breaker_pause = "5s"     # doubles each time in a row
/// breaker_longest = "1m"
/// hold_longest = "15m"
///
/// [flows."api.example.org:443"]
/// concurrency = 10         # attempts at once, over all workers
/// rate = "100/s"           # or /m, /h
/// burst = 100
///
/// [secrets.acme]           # a job names it in its field `secret`
/// keys = [{ file = "/run/secrets/acme" }, { env = "ACME_OLD_KEY" }]   # signatures; whsec_… or whsk_…
///
/// [secrets.partner]
/// bearer = { env = "PARTNER_TOKEN" }
/// hosts = ["api.partner.example"]   # the only ones that get it, over https
///
/// [secrets.crm]            # access tokens of OAuth 2.0, by client credentials
/// token_url = "https://login.example/oauth2/token"
/// client_id = "postrider"
/// client_secret = { file = "/run/secrets/crm" }
/// scopes = ["jobs.write"]
/// hosts = ["crm.example"]
///
/// [results]                # the kept part of a response, for a job with `result_ttl_ms`
/// headers = ["content-type", "location"]
/// max_body = 16384         # bytes, at most 65536
/// keep = "1d"              # the delivery log: a record of each job that ends; default: none
///
/// [egress]                 # see the module `egress` for the order of these
/// allow = ["10.0.0.0/8", "hooks.internal:8080"]
/// deny = ["*.evil.example", "*:25"]
/// only = ["*.example.org"]
/// ports = [443, 8443]
/// schemes = ["https"]
///
/// [propagation]            # the destinations that receive the trace context of a job
/// traces_to = "all"        # or "none", or ["api.example.org", "*.internal:8080"]
/// baggage_to = ["*.internal"]   # default: none
///
/// [http]                   # deadlines, limits, TLS and the proxy of requests
/// headers_timeout = "20s"
///
/// [notice]                 # jobs for operators
/// url = "https://ops.example/hooks/postrider"
///
/// [traces]
/// retries = "link"         # or parent, none: how a further attempt's trace relates to the earlier one
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The queues to read, in the order of their names. Empty: the command line names them.
    pub queues: Vec<WeightedQueue>,
    /// The policy `default`; `None` if the file has none: the command line sets it.
    pub default_retry: Option<RetryPolicy>,
    /// The other policies.
    pub retry: RetryPolicies,
    /// The limits of each flow.
    pub flows: FlowLimits,
    /// The part of a response that is kept with the result.
    pub results: KeptResults,
    /// What the delivery logs of queues keep; with an age of zero, nothing.
    pub log: LogBounds,
    /// The secrets that sign and authenticate requests.
    pub secrets: Secrets,
    /// The destinations that jobs may reach.
    pub egress: Egress,
    /// How requests are sent.
    pub http: HttpConfig,
    /// Where operators get notices.
    pub notices: Option<NoticeSettings>,
    /// The destinations that receive trace context.
    pub propagation: Propagation,
    /// Which spans are made.
    pub traces: Traces,
    /// Warnings: settings that are valid, but probably not intended.
    pub notes: Vec<String>,
    /// The files of secrets that were read.
    pub files: Vec<PathBuf>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// It has errors.
    #[error("the configuration {path} has errors:{problems}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All errors.
        problems: Problems,
    },
}

/// A file with every table, to learn the keys of each.
const TABLES: &str = "[queues.NAME]\n[retry.NAME]\n[secrets.NAME]\n[flows.NAME]\n[results]\n[egress]\n[http]\n\
                      [propagation]\n[traces]\n[notice]\n";

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] names every line that is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(&text).map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`Problems`] names every line that is wrong.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let config = Self::collect(text, &mut problems);
        if !problems.unknown.is_empty() {
            let mut all = Problems::default();
            Self::collect(TABLES, &mut all);
            problems.name_unknown_keys(&all);
        }
        problems.found.sort();
        if problems.found.is_empty() { Ok(config) } else { Err(problems) }
    }

    fn collect(text: &str, problems: &mut Problems) -> Self {
        let mut config = Self::default();
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            problems.found.push((line(text, at), error.message().to_owned()));
        }
        if !problems.found.is_empty() {
            // Values recovered around a syntax error are unreliable.
            return config;
        }
        let mut root = Table::new(text, root, problems);
        root.each_table("queues", |name, table| config.queues.extend(queue(name, table)));
        root.each_table("retry", |name, table| {
            let policy = retry(table);
            if name == "default" {
                config.default_retry = Some(policy);
            } else {
                config.retry.named.insert(name.to_owned(), policy);
            }
        });
        root.each_table("secrets", |name, table| config.secrets.insert(name, secret::secret(table)));
        root.one_table("results", |table| (config.results, config.log) = results::read(table));
        let mut named = vec![];
        root.each_table("flows", |name, table| named.push((name.to_owned(), flows::limits(table))));
        for (name, limits) in named {
            if name == "default" {
                config.flows.default = limits;
            } else {
                config.notes.extend(flows::note(&name));
                config.flows.named.extend(destination(&name).map(|own| (FlowId::of(&own), limits.clone())));
                config.flows.named.insert(FlowId::of(&name), limits);
            }
        }
        root.one_table("egress", |table| config.egress = egress(table));
        root.one_table("http", |table| config.http = requests::read(table));
        root.one_table("propagation", |table| config.propagation = traces::propagation(table));
        root.one_table("notice", |own| config.notices = notice::read(own, &config.secrets, &config.retry));
        root.one_table("traces", |table| config.traces = Traces::read(table));
        traces::check_trace_url(&mut root);
        root.complete();
        config.files = problems.files.iter().cloned().collect();
        config
    }
}

fn queue(name: &str, table: &mut Table<'_, '_>) -> Option<WeightedQueue> {
    let weight = table.whole("weight", 1, 1000).map_or(1, |weight| weight as u32);
    let unknown_fields = table.text("unknown_fields").unwrap_or_default();
    let on_dead = table.text("on_dead").unwrap_or_default();
    let keep = table.duration("keep");
    match name.parse() {
        Ok(name) => Some(WeightedQueue { name, weight, unknown_fields, on_dead, keep }),
        Err(error) => {
            table.problem(error);
            None
        }
    }
}

fn egress(table: &mut Table<'_, '_>) -> Egress {
    let scheme = |text: &str| match text {
        "http" | "https" => Ok(text.to_owned()),
        _ => Err("a scheme is \"http\" or \"https\""),
    };
    for limit in ["only", "ports", "schemes"] {
        table.not_empty(limit);
    }
    Egress {
        allow: table.texts("allow", str::parse),
        deny: table.texts("deny", str::parse),
        only: table.texts("only", str::parse),
        ports: table.wholes("ports", 1, u16::MAX.into()).into_iter().map(|port| port as u16).collect(),
        schemes: table.texts("schemes", scheme),
    }
}

fn retry(table: &mut Table<'_, '_>) -> RetryPolicy {
    let list = table.durations("waits");
    let base = table.duration("base");
    let cap = table.duration("cap");
    let attempts = table.whole("max_attempts", 1, 100).map(|attempts| attempts as u32);
    let max_age = table.duration("max_age");
    if list.is_some() && (base.is_some() || cap.is_some()) {
        table.problem("`waits` is a list of waits and excludes `base` and `cap`; give one or the other");
    }
    let most = attempts.unwrap_or(match &list {
        Some(list) => (list.len() as u32 + 1).min(100),
        None => 10,
    });
    let waits = match list {
        Some(list) => RetryWaits::List(list),
        None => RetryWaits::Exponential {
            base: base.unwrap_or(Duration::from_secs(1)),
            cap: cap.unwrap_or(Duration::from_secs(3600)),
        },
    };
    let statuses = Overrides {
        passing: table.texts("retry_statuses", str::parse),
        is_final: table.texts("final_statuses", str::parse),
    };
    if let Some((passing, other)) = statuses.contradiction() {
        table.problem(format!(
            "`retry_statuses` has {passing} and `final_statuses` {other}; a status is one or the other"
        ));
    }
    let standard = RetryPolicy::default();
    let retry_after_cap = table.duration("retry_after_cap").unwrap_or(standard.retry_after_cap);
    RetryPolicy { waits, max_attempts: most, max_age, statuses, retry_after_cap }
}

#[cfg(test)]
mod tests;
