//! `postrider worker`

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use hyper_otel::{
    BadHostPattern, ConnectionOptions, HostPattern, Options, Propagation, Recipients, Redaction,
};
use postrider_queue::work::{Receives, Spans};
use postrider_queue::{QueueName, names};
use postrider_worker::settings::Order;
use postrider_worker::settings::Retries;
use postrider_worker::settings::{BadProxy, HttpConfig, SenderConfig};
use postrider_worker::settings::{BadRule, Egress, Rule};
use postrider_worker::settings::{RetryPolicies, RetryPolicy, RetryWaits};
use postrider_worker::shutdown;
use postrider_worker::{WeightedQueue, WorkerConfig};
use telemetry::{Propagators, Telemetry};
use tracing::{info, warn};

use super::absurd::warnings;
use super::console::Beside;
use super::doctor::telemetry::destinations;
use super::limits::JobLimits;
use super::variables::unknown;
use super::{RedisArgs, Usage};
use crate::config::Config;
use crate::units::{duration, size, some_time};

/// Fetch jobs from Redis and deliver them, until SIGTERM or SIGINT
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    redis: RedisArgs,
    /// Queue to read, with an optional weight: a queue of weight 4 gets four times the share of a queue of
    /// weight 1; repeatable [default: those of --config, else default]
    #[arg(long, env = "POSTRIDER_QUEUE", value_delimiter = ',', value_name = "NAME[:WEIGHT]")]
    queue: Vec<WeightedQueue>,
    /// Read the queues in the given order: a queue only while all before it are empty
    #[arg(long, env = "POSTRIDER_STRICT_ORDER")]
    strict_order: bool,
    /// TOML file with queues, retry policies, flows, egress rules, secrets and more
    #[arg(long, env = "POSTRIDER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Maximum number of requests in flight, over all queues
    #[arg(long, env = "POSTRIDER_CONCURRENCY", default_value = "64", value_parser = at_least_one, value_name = "N")]
    concurrency: usize,
    /// Maximum bytes of jobs in flight, over all queues, as in 64MiB; never more than a quarter of the memory
    /// [default: a quarter of the container's memory limit, else of the machine's memory]
    #[arg(long, env = "POSTRIDER_MAX_BYTES_IN_FLIGHT", value_parser = size, value_name = "SIZE")]
    max_bytes_in_flight: Option<usize>,
    #[command(flatten)]
    limits: JobLimits,
    /// Time after which other workers take over the jobs of a silent worker
    #[arg(long, env = "POSTRIDER_LEASE", default_value = "30s", value_parser = lease, value_name = "DURATION")]
    lease: Duration,
    /// Time for requests in flight to finish after the signal to stop
    #[arg(long, env = "POSTRIDER_SHUTDOWN_TIMEOUT", default_value = "25s", value_parser = duration, value_name = "DURATION")]
    shutdown_timeout: Duration,
    /// Allow jobs to reach this besides public addresses: NET, HOST, *.HOST or *, each also with :PORT;
    /// repeatable, and added to `allow` of --config
    #[arg(long, env = "POSTRIDER_EGRESS_ALLOW", value_delimiter = ',', value_parser = allow, value_name = "RULE")]
    egress_allow: Vec<Option<Rule>>,
    /// Send all requests through this proxy, http://[USER:PASSWORD@]HOST:PORT. With a password, use the
    /// variable or `proxy` in --config: every user of the machine can see arguments
    #[arg(long, env = "POSTRIDER_HTTP_PROXY", hide_env_values = true, value_name = "URL")]
    http_proxy: Option<String>,
    /// Destinations that receive the trace context of a job: all, none, or a list of HOST, *.HOST or *, each
    /// also with :PORT [default: that of --config, else all]
    #[arg(long, env = "POSTRIDER_TRACES_TO", value_name = "all|none|HOSTS")]
    traces_to: Option<String>,
    /// Destination that receives the baggage of a job: HOST, *.HOST or *, each also with :PORT; repeatable
    /// [default: those of --config, else none]
    #[arg(long, env = "POSTRIDER_BAGGAGE_TO", value_delimiter = ',', value_parser = recipient, value_name = "HOST")]
    baggage_to: Vec<Option<HostPattern>>,
    /// Deadline of an attempt if its job has no `timeout_ms`
    #[arg(long, env = "POSTRIDER_TIMEOUT", default_value = "30s", value_parser = some_time, value_name = "DURATION")]
    timeout: Duration,
    /// Maximum number of attempts if the job has no `max_attempts` [default: 10]
    #[arg(long, env = "POSTRIDER_MAX_ATTEMPTS", value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    max_attempts: Option<u32>,
    /// Longest wait before the second attempt; it doubles with each further attempt
    /// [default: 1s]
    #[arg(long, env = "POSTRIDER_RETRY_BASE", value_parser = duration, value_name = "DURATION")]
    retry_base: Option<Duration>,
    /// Longest wait before any attempt [default: 1h]
    #[arg(long, env = "POSTRIDER_RETRY_CAP", value_parser = duration, value_name = "DURATION")]
    retry_cap: Option<Duration>,
    /// Trace of a retry: a child of the producer's span (`parent`), its own trace with links (`link`), or its
    /// own trace without links (`none`) [default: parent]
    #[arg(long, env = "POSTRIDER_TRACE_RETRIES", value_name = "HOW", value_parser = str::parse::<Retries>)]
    trace_retries: Option<Retries>,
    /// Reads that become spans: those with a job whose producer is sampled (`sampled`), or all that fetched
    /// jobs (`always`) [default: sampled]
    #[arg(long, env = "POSTRIDER_TRACE_RECEIVE", value_name = "WHICH", value_parser = str::parse::<Receives>)]
    trace_receive: Option<Receives>,
    /// Make each Redis command a span below its operation [default: false]
    #[arg(
        long,
        env = "POSTRIDER_TRACE_REDIS",
        value_name = "true|false",
        value_parser = BoolishValueParser::new(),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    trace_redis: Option<bool>,
    /// Address to serve /livez, /readyz and /metrics on [default: none]
    #[arg(long, env = "POSTRIDER_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Address to serve a console on, too; its other settings come from the variables of `postrider console`
    /// [default: none]
    #[arg(long, env = "POSTRIDER_CONSOLE", value_name = "ADDR:PORT")]
    console: Option<SocketAddr>,
}

impl WorkerArgs {
    /// `secret_paths` are the hosts whose paths no span shows.
    pub(super) async fn run(
        self,
        telemetry: &Telemetry,
        secret_paths: Vec<HostPattern>,
    ) -> Result<ExitCode, Box<dyn Error>> {
        let shutdown = shutdown::listen()?;
        let listen = self.listen.as_deref().filter(|text| !text.is_empty()).map(address).transpose()?;
        let (console, file) = (self.console, self.config.clone());
        let mut config = self.worker_config()?;
        config.sender.recording.redaction = Redaction::default().paths_of(secret_paths);
        info!(version = env!("CARGO_PKG_VERSION"), telemetry = destinations(), "postrider starts");
        warnings(&config).into_iter().chain(unknown()).for_each(|warning| warn!("{warning}"));
        let start =
            |address| Beside::start(address, &config.redis_url, config.job_bytes_max, file, telemetry);
        let console = console.map(start).transpose()?;
        let result =
            postrider_worker::run(&config, listen, telemetry, shutdown.stop, shutdown.second_signal).await;
        console.into_iter().for_each(Beside::stop);
        result?;
        Ok(ExitCode::SUCCESS)
    }

    fn worker_config(self) -> Result<WorkerConfig, Usage> {
        let file = match &self.config {
            Some(path) => Config::read(path).map_err(|error| Usage(error.to_string()))?,
            None => Config::default(),
        };
        let retry =
            RetryPolicies { default: self.retry(file.default_retry.clone()), named: file.retry.named };
        let queues = match (self.queue.is_empty(), file.queues.is_empty()) {
            (false, _) => self.queue,
            (true, false) => file.queues,
            (true, true) => vec!["default".parse().map_err(Usage)?],
        };
        if let Some(twice) = twice(&queues) {
            return Err(Usage(format!("the queue {twice} is named twice; name it once")));
        }
        file.notes.iter().for_each(|note| warn!("{note}"));
        let http = with_proxy(file.http, self.http_proxy.as_deref())?;
        let propagation = propagation(file.propagation, self.traces_to.as_deref(), self.baggage_to)?;
        Ok(WorkerConfig {
            redis_url: self.redis.url().to_owned(),
            queues,
            order: if self.strict_order { Order::Strict } else { Order::Weighted },
            concurrency: self.concurrency,
            bytes_in_flight_max: self.max_bytes_in_flight,
            job_bytes_max: self.limits.max_job_bytes,
            lease: self.lease,
            shutdown_timeout: self.shutdown_timeout,
            sender: SenderConfig {
                timeout: self.timeout,
                egress: egress(file.egress, self.egress_allow),
                results: file.results,
                http,
                identities: file.secrets.identities(),
                recording: Options::from_env(names::VARIABLE_PREFIX).propagation(propagation),
                connections: ConnectionOptions::from_env(names::VARIABLE_PREFIX),
            },
            retry,
            flows: file.flows,
            log: file.log,
            trace_retries: self.trace_retries.or(file.traces.retries).unwrap_or_default(),
            spans: Spans {
                receives: self.trace_receive.or(file.traces.receive).unwrap_or_default(),
                commands: self.trace_redis.or(file.traces.redis).unwrap_or_default(),
            },
            secrets: file.secrets,
        })
    }

    /// A flag overrides the file; the file overrides the default.
    fn retry(&self, file: Option<RetryPolicy>) -> RetryPolicy {
        let mut policy = file.unwrap_or_default();
        if let Some(attempts) = self.max_attempts {
            policy.max_attempts = attempts;
        }
        if self.retry_base.is_some() || self.retry_cap.is_some() {
            let (base, cap) = match policy.waits {
                RetryWaits::Exponential { base, cap } => (base, cap),
                RetryWaits::List(_) => (Duration::from_secs(1), Duration::from_secs(3600)),
            };
            policy.waits = RetryWaits::Exponential {
                base: self.retry_base.unwrap_or(base),
                cap: self.retry_cap.unwrap_or(cap),
            };
        }
        policy
    }
}

/// The flags add to the file. A rule that exposes the machine's own credentials to jobs is allowed, with a warning.
fn egress(mut egress: Egress, allow: Vec<Option<Rule>>) -> Egress {
    egress.allow.extend(allow.into_iter().flatten());
    for rule in egress.allow.iter().filter(|rule| rule.opens_metadata()) {
        warn!(%rule, "this egress rule lets jobs reach the metadata services of clouds, which give out credentials");
    }
    egress
}

/// The flag overrides the file. An empty variable counts as unset.
fn with_proxy(mut http: HttpConfig, flag: Option<&str>) -> Result<HttpConfig, Usage> {
    if let Some(text) = flag.filter(|text| !text.is_empty()) {
        http.proxy = Some(text.parse().map_err(|error: BadProxy| Usage(format!("--http-proxy: {error}")))?);
    }
    Ok(http)
}

/// A flag overrides the file.
fn propagation(
    mut policy: Propagation,
    traces_to: Option<&str>,
    baggage_to: Vec<Option<HostPattern>>,
) -> Result<Propagation, Usage> {
    if let Some(text) = traces_to.filter(|text| !text.is_empty()) {
        let traces = text.parse().map_err(|error: BadHostPattern| Usage(format!("--traces-to: {error}")))?;
        policy.traces = traces;
    }
    let baggage: Vec<HostPattern> = baggage_to.into_iter().flatten().collect();
    if !baggage.is_empty() {
        policy.baggage = baggage;
    }
    Ok(limited(policy, telemetry::Config::from_env().propagators))
}

/// `OTEL_PROPAGATORS` limits propagation in every build, also with telemetry off, which passes the context on
/// unchanged.
fn limited(mut policy: Propagation, known: Propagators) -> Propagation {
    if !known.trace_context {
        policy.traces = Recipients::Only(vec![]);
    }
    if !known.baggage {
        policy.baggage.clear();
    }
    policy
}

/// An empty variable, `POSTRIDER_BAGGAGE_TO=`, counts as unset.
fn recipient(text: &str) -> Result<Option<HostPattern>, BadHostPattern> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn address(text: &str) -> Result<SocketAddr, Usage> {
    text.parse().map_err(|_| {
        Usage(format!(
            "--listen: {text} is not an address with a port; write 127.0.0.1:9090, or 0.0.0.0:9090 for all"
        ))
    })
}

fn twice(queues: &[WeightedQueue]) -> Option<&QueueName> {
    let names: Vec<&QueueName> = queues.iter().map(|queue| &queue.name).collect();
    names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)).map(|(_, name)| *name)
}

/// An empty variable, `POSTRIDER_EGRESS_ALLOW=`, counts as unset.
fn allow(text: &str) -> Result<Option<Rule>, BadRule> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=100_000) => Ok(number),
        _ => Err("write a whole number from 1 to 100000".to_owned()),
    }
}

/// At least 500 ms: with a shorter lease, a short pause of the system or the network would lose leases.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if lease < Duration::from_millis(500) {
        return Err("a lease must be at least 500ms".to_owned());
    }
    Ok(lease)
}
