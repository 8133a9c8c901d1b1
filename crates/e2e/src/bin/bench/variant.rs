//! The programs that are compared, and how each is started.

use std::fmt::Display;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use e2e::otlp::Receiver;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::arguments::Arguments;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The loop in `bare-loop.rs`.
    Bare,
    /// The worker without OpenTelemetry.
    Lean,
    /// The worker with OpenTelemetry, switched off as it is by default.
    OtelOff,
    /// The worker that records and exports every span, over gRPC.
    OtelOn,
}

impl Variant {
    pub(crate) const ALL: [Variant; 4] = [Variant::Bare, Variant::Lean, Variant::OtelOff, Variant::OtelOn];

    /// Starts the program on that Redis.
    ///
    /// # Panics
    ///
    /// When it can not be started.
    pub(crate) fn start(self, redis_url: &str, arguments: &Arguments) -> Running {
        let in_flight = arguments.in_flight.to_string();
        let mut command = Command::new(self.program());
        if self == Variant::Bare {
            command.args([redis_url, &in_flight, &arguments.jobs.to_string()]);
        } else {
            command.args(["worker", "--redis-url", redis_url, "--queue", "default"]);
            command.args(["--concurrency", &in_flight, "--egress-allow", "127.0.0.0/8"]);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("OTEL_") || name.starts_with("POSTRIDER_")) {
                command.env_remove(&name);
            }
        }
        let receiver =
            (self == Variant::OtelOn).then(|| Receiver::start(path_in("POSTRIDER_OTLP_RECEIVER_BIN")));
        if let Some(receiver) = &receiver {
            command.env("OTEL_ENABLED", "true").env("OTEL_TRACES_SAMPLER", "always_on");
            command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.grpc_endpoint());
        }
        let folder = tempfile::Builder::new().prefix("postrider-bench-").tempdir();
        let folder = folder.expect("the folder for temporary files can be written");
        let log = File::create(folder.path().join("log")).expect("a new folder can be written");
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("can not start {self}: {error}"));
        Running { child, folder, receiver }
    }

    /// Where the program is.
    ///
    /// # Panics
    ///
    /// When the variable that says so is not set.
    pub(crate) fn program(self) -> PathBuf {
        path_in(match self {
            Variant::Bare => "POSTRIDER_BARE_LOOP_BIN",
            Variant::Lean => "POSTRIDER_LEAN_BIN",
            Variant::OtelOff | Variant::OtelOn => "POSTRIDER_OTEL_BIN",
        })
    }
}

impl Display for Variant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Variant::Bare => "bare loop",
            Variant::Lean => "worker, lean",
            Variant::OtelOff => "worker, otel off",
            Variant::OtelOn => "worker, otel on",
        })
    }
}

fn path_in(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) if !path.is_empty() => path.into(),
        _ => panic!("{variable} is not set: run `cargo xtask bench`, which builds the programs"),
    }
}

/// A program under measurement; killed and reaped when dropped.
pub(crate) struct Running {
    child: Child,
    folder: TempDir,
    receiver: Option<Receiver>,
}

impl Running {
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote on standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| error.to_string())
    }

    /// The spans that the receiver got, once the worker has ended by itself and so sent all it had; none where
    /// nothing is exported.
    pub(crate) fn exported_spans(&mut self) -> Option<u64> {
        let receiver = self.receiver.as_ref()?;
        let process = i32::try_from(self.child.id()).expect("a process id is a positive i32");
        nix::sys::signal::kill(Pid::from_raw(process), Signal::SIGTERM)
            .expect("an own child can be signalled");
        e2e::wait::eventually("the worker ends on SIGTERM", crate::measure::PATIENCE, || {
            self.child.try_wait().expect("an own child can be waited for")
        });
        Some(
            receiver
                .stats()
                .iter()
                .filter(|stats| stats.signal == "traces")
                .map(|stats| stats.accepted)
                .sum(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where these fail.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
