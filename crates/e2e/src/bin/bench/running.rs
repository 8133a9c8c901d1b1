//! A measured program: how it is started and stopped.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::otlp::{Mode, Receiver};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The time limit of a run, and for a worker to exit.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A receiver that counts what it gets and does nothing else: it shares the machine with what is measured.
pub(crate) fn counting_receiver() -> Receiver {
    let receiver = Receiver::start(path_in("POSTRIDER_OTLP_RECEIVER_BIN"));
    receiver.set_mode(Mode::Count);
    receiver
}

pub(crate) fn path_in(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) if !path.is_empty() => path.into(),
        _ => panic!("{variable} is not set: run `cargo xtask bench`, which builds the programs"),
    }
}

/// A measured program. It and all that it has started are killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    folder: TempDir,
    receiver: Option<Receiver>,
    stopped: bool,
}

impl Running {
    /// Starts a program. Of the variables `OTEL_*` and `POSTRIDER_*`, it gets only those of `environment`. Returns it with the time
    /// of its start.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        environment: &[(&str, &str)],
        config: Option<&str>,
        receiver: Option<Receiver>,
    ) -> (Running, Instant) {
        without_settings(&mut command);
        command.envs(environment.iter().copied());
        let folder = tempfile::Builder::new().prefix("postrider-bench-").tempdir();
        let folder = folder.expect("the folder for temporary files can be written");
        if let Some(text) = config {
            let path = folder.path().join("config");
            std::fs::write(&path, text).expect("a new folder can be written");
            command.env("POSTRIDER_CONFIG", path);
        }
        let log = File::create(folder.path().join("log")).expect("a new folder can be written");
        // For those that start processes: all of a group can be killed.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let began = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        (Running { child, folder, receiver, stopped: false }, began)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until that many threads of the worker read its queue.
    ///
    /// # Panics
    ///
    /// If they do not.
    pub(crate) fn wait_until_ready(&self, threads: usize) {
        let is_ready = || self.log().matches("is ready").count() == threads;
        e2e::wait::eventually("the worker is ready", PATIENCE, || is_ready().then_some(()));
    }

    /// The process of the receiver, if it exports.
    pub(crate) fn receiver(&self) -> Option<u32> {
        self.receiver.as_ref().map(Receiver::pid)
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
        // It may have ended, but it is not reaped yet, so the id is still its own.
        kill(self.id(), Signal::SIGTERM).expect("an own child can be signalled");
        e2e::wait::eventually("the program ends on SIGTERM", PATIENCE, || {
            self.child.try_wait().expect("an own child can be waited for")
        });
        self.stopped = true;
    }

    fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id is a positive i32"))
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

/// Removes the variables `OTEL_*` and `POSTRIDER_*` of this process.
pub(crate) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("OTEL_") || name.starts_with("POSTRIDER_")) {
            command.env_remove(&name);
        }
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
        if self.stopped {
            return;
        }
        // These fail if it has already ended.
        let _ = killpg(self.id(), Signal::SIGKILL);
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
