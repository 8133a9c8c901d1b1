//! The compared programs, and how each is started.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use e2e::otlp::Receiver;

use crate::running::{self, Running, path_in};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The loop in `bare-loop`.
    Bare,
    /// The worker without OpenTelemetry.
    Lean,
    /// The worker with OpenTelemetry, switched off, which is the default.
    OtelOff,
    /// The worker that records and exports every span over gRPC.
    OtelOn,
    /// The same for one trace in a hundred.
    OtelPart,
    /// The worker without OpenTelemetry, with a delivery log.
    Logged,
}

/// Of [`Variant::Logged`].
const LOG_CONFIG: &str = "[results]\nkeep = \"1d\"\n";

impl Variant {
    pub(crate) const ALL: [Variant; 5] =
        [Variant::Bare, Variant::Lean, Variant::OtelOff, Variant::OtelOn, Variant::OtelPart];

    pub(crate) fn is_bare(self) -> bool {
        self == Variant::Bare
    }

    /// Starts the program on that Redis. The bare loop exits by itself after `jobs` jobs.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub(crate) fn start(self, redis_url: &str, in_flight: usize, jobs: usize) -> Running {
        self.start_timed(redis_url, in_flight, jobs).0
    }

    /// The same, with destinations that have this certificate.
    pub(crate) fn start_trusting(
        self,
        redis_url: &str,
        in_flight: usize,
        jobs: usize,
        certificate: Option<&Path>,
    ) -> Running {
        let mut command = self.command(redis_url, in_flight, jobs);
        if let Some(certificate) = certificate {
            command.env("SSL_CERT_FILE", certificate);
            // The bare loop has a client without TLS for plain HTTP.
            command.args(self.is_bare().then_some("https"));
        }
        self.spawn(command).0
    }

    /// As [`Variant::start`], with the time at which the program itself was started.
    pub(crate) fn start_timed(self, redis_url: &str, in_flight: usize, jobs: usize) -> (Running, Instant) {
        self.spawn(self.command(redis_url, in_flight, jobs))
    }

    fn command(self, redis_url: &str, in_flight: usize, jobs: usize) -> Command {
        if !self.is_bare() {
            return self.worker(redis_url, in_flight);
        }
        let mut command = Command::new(self.program());
        command.args([redis_url, &in_flight.to_string(), &jobs.to_string()]);
        command
    }

    /// Starts the worker with more arguments.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub(crate) fn start_with(self, redis_url: &str, in_flight: usize, more: &[&str]) -> Running {
        let mut command = self.worker(redis_url, in_flight);
        command.args(more);
        self.spawn(command).0
    }

    fn worker(self, redis_url: &str, in_flight: usize) -> Command {
        let mut command = Command::new(self.program());
        command.args(["worker", "--redis-url", redis_url, "--queue", "default"]);
        command.args(["--concurrency", &in_flight.to_string(), "--egress-allow", "127.0.0.0/8"]);
        command
    }

    fn spawn(self, command: Command) -> (Running, Instant) {
        let receiver = self.is_recording().then(running::counting_receiver);
        let mut environment = self.recording();
        let endpoint = receiver.as_ref().map(Receiver::grpc_endpoint);
        environment
            .extend(endpoint.iter().map(|endpoint| ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())));
        Running::start(&self.to_string(), command, &environment, self.config(), receiver)
    }

    pub(crate) fn is_recording(self) -> bool {
        matches!(self, Variant::OtelOn | Variant::OtelPart)
    }

    /// The configuration file, if it needs one.
    pub(crate) fn config(self) -> Option<&'static str> {
        (self == Variant::Logged).then_some(LOG_CONFIG)
    }

    /// The environment variables, except the receiver's address.
    pub(crate) fn recording(self) -> Vec<(&'static str, &'static str)> {
        let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let on = ("OTEL_ENABLED", "true");
        match self {
            Variant::OtelOn => vec![on, protocol, ("OTEL_TRACES_SAMPLER", "always_on")],
            Variant::OtelPart => vec![
                on,
                protocol,
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
            ],
            Variant::Bare | Variant::Lean | Variant::OtelOff | Variant::Logged => Vec::new(),
        }
    }

    /// The path of the program.
    ///
    /// # Panics
    ///
    /// If its variable is not set.
    pub(crate) fn program(self) -> PathBuf {
        path_in(match self {
            Variant::Bare => "POSTRIDER_BARE_LOOP_BIN",
            Variant::Lean | Variant::Logged => "POSTRIDER_LEAN_BIN",
            Variant::OtelOff | Variant::OtelOn | Variant::OtelPart => "POSTRIDER_OTEL_BIN",
        })
    }

    /// The program that counts its allocations, if there is one.
    pub(crate) fn counting_program(self) -> Option<PathBuf> {
        let variable = match self {
            Variant::Bare => return None,
            Variant::Lean | Variant::Logged => "POSTRIDER_LEAN_ALLOCATIONS_BIN",
            Variant::OtelOff | Variant::OtelOn | Variant::OtelPart => "POSTRIDER_OTEL_ALLOCATIONS_BIN",
        };
        std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
    }
}

impl Display for Variant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Variant::Bare => "bare loop",
            Variant::Lean => "worker, lean",
            Variant::OtelOff => "worker, otel off",
            Variant::OtelOn => "worker, otel on",
            Variant::OtelPart => "worker, otel 1 %",
            Variant::Logged => "worker, delivery log",
        })
    }
}
