//! The compared programs, and how each is started.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::otlp::{Mode, Receiver};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

/// The time limit of a run, and for a worker to exit.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The loop in `bare-loop.rs`.
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
            command.args((self == Variant::Bare).then_some("https"));
        }
        self.spawn(command).0
    }

    /// As [`Variant::start`], with the time at which the program itself was started.
    pub(crate) fn start_timed(self, redis_url: &str, in_flight: usize, jobs: usize) -> (Running, Instant) {
        self.spawn(self.command(redis_url, in_flight, jobs))
    }

    fn command(self, redis_url: &str, in_flight: usize, jobs: usize) -> Command {
        if self != Variant::Bare {
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

    fn spawn(self, mut command: Command) -> (Running, Instant) {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("OTEL_") || name.starts_with("POSTRIDER_")) {
                command.env_remove(&name);
            }
        }
        let receiver = self.is_recording().then(|| Receiver::start(path_in("POSTRIDER_OTLP_RECEIVER_BIN")));
        if let Some(receiver) = &receiver {
            for (name, value) in self.recording() {
                command.env(name, value);
            }
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.grpc_endpoint());
            // It shares the machine with what is measured.
            receiver.set_mode(Mode::Count);
        }
        let folder = tempfile::Builder::new().prefix("postrider-bench-").tempdir();
        let folder = folder.expect("the folder for temporary files can be written");
        if let Some(text) = self.config() {
            let path = folder.path().join("config");
            std::fs::write(&path, text).expect("a new folder can be written");
            command.env("POSTRIDER_CONFIG", path);
        }
        let log = File::create(folder.path().join("log")).expect("a new folder can be written");
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let began = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {self}: {error}"));
        (Running { child, folder, receiver }, began)
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

pub(crate) fn path_in(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) if !path.is_empty() => path.into(),
        _ => panic!("{variable} is not set: run `cargo xtask bench`, which builds the programs"),
    }
}

/// A measured program. It is killed and reaped when dropped.
pub(crate) struct Running {
    child: Child,
    folder: TempDir,
    receiver: Option<Receiver>,
}

impl Running {
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its standard error output.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| error.to_string())
    }

    /// Stops the worker gracefully, so that it exports its remaining telemetry.
    ///
    /// # Panics
    ///
    /// If it does not exit.
    pub(crate) fn stop(&mut self) {
        let process = i32::try_from(self.child.id()).expect("a process id is a positive i32");
        // It may have ended, but it is not reaped yet, so the id is still its own.
        nix::sys::signal::kill(Pid::from_raw(process), Signal::SIGTERM)
            .expect("an own child can be signalled");
        e2e::wait::eventually("the program ends on SIGTERM", PATIENCE, || {
            self.child.try_wait().expect("an own child can be waited for")
        });
    }

    /// Stops the worker and returns the spans that the receiver accepted. `None` if nothing is exported.
    pub(crate) fn exported_spans(&mut self) -> Option<u64> {
        self.receiver.as_ref()?;
        self.stop();
        let stats = self.receiver.as_ref()?.stats();
        Some(stats.iter().filter(|stats| stats.signal == "traces").map(|stats| stats.accepted).sum())
    }

    /// The spans that the worker logs as lost when it exits.
    pub(crate) fn lost_spans(&self) -> u64 {
        lost(&self.log())
    }
}

/// The worker ends with `LOST of ENDED spans were not delivered` if any was lost, in a line of text or of JSON.
fn lost(log: &str) -> u64 {
    let before = log.split(" spans were not delivered").next().filter(|before| before.len() < log.len());
    let lost =
        before.and_then(|before| before.rsplit_once(" of ")?.0.rsplit(|c: char| !c.is_ascii_digit()).next());
    lost.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Drop for Running {
    fn drop(&mut self) {
        // These fail if it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_spans_are_read_from_the_log() {
        assert_eq!(lost("INFO stopped\nWARN 12 of 345 spans were not delivered\n"), 12);
        assert_eq!(lost("{\"level\":\"WARN\",\"message\":\"12 of 345 spans were not delivered\"}"), 12);
        assert_eq!(lost("INFO 1 of 2 jobs\n"), 0);
    }
}
