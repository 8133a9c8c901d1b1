//! `postrider worker`

mod reload;
mod values;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use hyper_otel::{ConnectionOptions, HostPattern, Options, Redaction};
use postrider_queue::work::{Receives, Spans};
use postrider_queue::{QueueName, names};
use postrider_worker::settings::Order;
use postrider_worker::settings::Retries;
use postrider_worker::settings::Rule;
use postrider_worker::settings::SenderConfig;
use postrider_worker::settings::{RetryPolicies, RetryPolicy, RetryWaits};
use postrider_worker::shutdown::{self, Shutdown};
use postrider_worker::{WeightedQueue, WorkerConfig};
use telemetry::Telemetry;
use tokio::sync::{Notify, mpsc};
use tracing::{info, warn};

use self::reload::{Read, Reloader};
pub(super) use self::values::address;
use self::values::{
    NamedQueue, Threads, allow, at_least_one, egress, lease, propagation, queue, recipient, with_proxy,
};
use super::absurd::warnings;
use super::console::Beside;
use super::doctor::telemetry::destinations;
use super::limits::JobLimits;
use super::variables::unknown;
use super::{RedisArgs, Usage};
use crate::config::Config;
use crate::units::{duration, size, some_time};

/// Fetch jobs from Redis and deliver them, until SIGTERM or SIGINT
#[derive(Clone, Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    redis: RedisArgs,
    /// Queue to read, with an optional weight: a queue of weight 4 gets four times the share of a queue of
    /// weight 1; repeatable [default: those of --config, else default]
    #[arg(long, env = "POSTRIDER_QUEUE", value_delimiter = ',', value_parser = queue, value_name = "NAME[:WEIGHT]")]
    queue: Vec<NamedQueue>,
    /// Read the queues in the given order: a queue only while all before it are empty
    #[arg(long, env = "POSTRIDER_STRICT_ORDER")]
    strict_order: bool,
    /// TOML file with queues, retry policies, flows, egress rules, secrets and more
    #[arg(long, env = "POSTRIDER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Threads that deliver jobs, each as a worker with its part of the limits; `auto` is one for each core that this
    /// process may use
    #[arg(long, env = "POSTRIDER_THREADS", default_value = "1", value_parser = str::parse::<Threads>, value_name = "N|auto")]
    threads: Threads,
    /// Maximum number of requests in flight, over all queues and threads
    #[arg(long, env = "POSTRIDER_CONCURRENCY", default_value = "64", value_parser = at_least_one, value_name = "N")]
    concurrency: usize,
    /// Maximum bytes of jobs in flight, over all queues and threads, as in 64MiB; never more than a quarter of the memory
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
    /// The hosts whose paths no span shows: an option of all commands.
    #[arg(skip)]
    secret_paths: Vec<HostPattern>,
}

impl WorkerArgs {
    /// `secret_paths` are the hosts whose paths no span shows.
    pub(super) async fn run(
        self,
        telemetry: &Telemetry,
        secret_paths: Vec<HostPattern>,
    ) -> Result<ExitCode, Box<dyn Error>> {
        let hangup = self.config.is_some().then(Arc::<Notify>::default);
        let shutdown = shutdown::listen(hangup.clone())?;
        let listen = self.listen.as_deref().filter(|text| !text.is_empty()).map(address).transpose()?;
        let (console, file, args) = (self.console, self.config.clone(), Self { secret_paths, ..self });
        let read = args.clone().read()?;
        let config = &read.config;
        info!(version = env!("CARGO_PKG_VERSION"), telemetry = destinations(), "postrider starts");
        warnings(config).into_iter().chain(unknown()).for_each(|warning| warn!("{warning}"));
        let start =
            |address| Beside::start(address, &config.redis_url, config.job_bytes_max, file, telemetry);
        let console = console.map(start).transpose()?;
        // Without a file, nothing is sent.
        let (configs, reloads) = mpsc::channel(1);
        if let Some(hangup) = hangup {
            tokio::spawn(Reloader::new(args, &read, configs).run(hangup));
        }
        let Shutdown { stop, second_signal } = shutdown;
        let result = postrider_worker::run(config, listen, reloads, telemetry, stop, second_signal).await;
        console.into_iter().for_each(Beside::stop);
        result?;
        Ok(ExitCode::SUCCESS)
    }

    /// Reads the configuration file, and the files that it names.
    fn read(mut self) -> Result<Read, Usage> {
        let (path, secret_paths) = (self.config.clone(), std::mem::take(&mut self.secret_paths));
        let (mut config, mut files) = self.worker_config()?;
        config.sender.recording.redaction = Redaction::default().paths_of(secret_paths);
        files.extend(path);
        files.extend(config.sender.http.ca_files.iter().cloned());
        Ok(Read { config, files })
    }

    /// The configuration, and the files that it has read besides its own.
    fn worker_config(self) -> Result<(WorkerConfig, Vec<PathBuf>), Usage> {
        let file = match &self.config {
            Some(path) => Config::read(path).map_err(|error| Usage(error.to_string()))?,
            None => Config::default(),
        };
        let retry =
            RetryPolicies { default: self.retry(file.default_retry.clone()), named: file.retry.named };
        let queues = match (self.queue.is_empty(), file.queues.is_empty()) {
            (false, _) => self.queue.into_iter().map(|named| named.with_file(&file.queues)).collect(),
            (true, false) => file.queues,
            (true, true) => vec!["default".parse().map_err(Usage)?],
        };
        if let Some(twice) = twice(&queues) {
            return Err(Usage(format!("the queue {twice} is named twice; name it once")));
        }
        let threads = self.threads.for_slots(self.concurrency).map_err(Usage)?;
        file.notes.iter().for_each(|note| warn!("{note}"));
        let http = with_proxy(file.http, self.http_proxy.as_deref())?;
        let propagation = propagation(file.propagation, self.traces_to.as_deref(), self.baggage_to)?;
        let config = WorkerConfig {
            redis_url: self.redis.url().to_owned(),
            queues,
            order: if self.strict_order { Order::Strict } else { Order::Weighted },
            threads,
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
                tokens: file.secrets.tokens(),
                recording: Options::from_env(names::VARIABLE_PREFIX).propagation(propagation),
                connections: ConnectionOptions::from_env(names::VARIABLE_PREFIX),
            },
            retry,
            flows: file.flows,
            log: file.log,
            notices: file.notices,
            trace_retries: self.trace_retries.or(file.traces.retries).unwrap_or_default(),
            spans: Spans {
                receives: self.trace_receive.or(file.traces.receive).unwrap_or_default(),
                commands: self.trace_redis.or(file.traces.redis).unwrap_or_default(),
            },
            secrets: file.secrets,
        };
        Ok((config, file.files))
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

fn twice(queues: &[WeightedQueue]) -> Option<&QueueName> {
    let names: Vec<&QueueName> = queues.iter().map(|queue| &queue.name).collect();
    names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)).map(|(_, name)| *name)
}
