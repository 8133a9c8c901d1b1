//! A worker's process.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use crate::options::{LEASE, Options};
use crate::places::{self, LIMITED, WORKER, WORKER_VARIABLE};

/// The last lines of a log that are kept.
const LINES: usize = 30;

/// How a worker is started.
pub(super) struct Start {
    starter: PathBuf,
    program: PathBuf,
    url: String,
    arguments: Vec<String>,
    /// The text of its configuration file.
    config: String,
}

impl Start {
    pub(super) fn new(options: &Options, program: PathBuf, url: String) -> Self {
        // What is enough for 80 jobs per second and four workers.
        let concurrency = (u64::from(options.rate) * 64 / 80).div_ceil(options.workers as u64).max(16);
        let mut arguments = vec![
            "worker".to_owned(),
            "--config=/dev/stdin".to_owned(),
            format!("--lease={}ms", LEASE.as_millis()),
            "--retry-base=50ms".to_owned(),
            "--retry-cap=1s".to_owned(),
            format!("--concurrency={concurrency}"),
        ];
        arguments.extend(places::queues().map(|(queue, _)| format!("--queue={queue}")));
        // Below a burst of jobs, and above the rate of a long run.
        let per_second = (u64::from(options.rate) * 25).div_ceil(80).max(25);
        let config = format!(
            "[flows.{LIMITED}]\nconcurrency = 4\nrate = \"{per_second}/s\"\nburst = 2\n\
             [secrets.{WORKER}]\nheader = \"{WORKER}\"\nvalue = {{ env = \"{WORKER_VARIABLE}\" }}\n\
             hosts = [\"127.0.0.1\"]\nallow_http = true\n"
        );
        Self { starter: options.starter.clone(), program, url, arguments, config }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.starter);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("OTEL_") || text.starts_with("POSTRIDER_") {
                command.env_remove(&name);
            }
        }
        command.args(["certify", "--execute"]).arg(std::process::id().to_string()).arg(&self.program);
        command.args(&self.arguments).env("POSTRIDER_REDIS_URL", &self.url);
        command.env("POSTRIDER_EGRESS_ALLOW", "127.0.0.0/8").env("POSTRIDER_LOG", "info");
        // Nobody wants to see the spans of a run.
        command.env("OTEL_SDK_DISABLED", "true");
        // Ctrl-C in a terminal is for this program, which ends its workers.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// The log of a worker.
#[derive(Default)]
pub(super) struct Log {
    lines: VecDeque<String>,
    /// Whether it has read its queues.
    pub(super) was_ready: bool,
}

impl Log {
    /// Whether it has read its queues, and its last lines.
    pub(super) fn state(&self) -> (bool, String) {
        (self.was_ready, self.text())
    }

    /// Its last lines.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// A running worker. It is killed when dropped.
pub(super) struct Worker {
    child: Child,
    pub(super) pid: u32,
    log: Arc<Mutex<Log>>,
    reader: JoinHandle<()>,
    status: Option<ExitStatus>,
}

impl Worker {
    pub(super) fn start(start: &Start) -> io::Result<Self> {
        let mut child = start.command().spawn()?;
        let pid = child.id().unwrap_or_default();
        if let Some(stdin) = child.stdin.take() {
            // A pipe has room for all of it. A worker that has ended already does not read it.
            let _ = std::fs::File::from(stdin.into_owned_fd()?).write_all(start.config.as_bytes());
        }
        let log = Arc::<Mutex<Log>>::default();
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let reader = tokio::spawn(read(stderr, log.clone()));
        Ok(Self { child, pid, log, reader, status: None })
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does nothing once the process is reaped: another process may have its id by then.
    pub(super) fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_raw(self.pid as i32).filter(|_| self.exited().is_none());
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }

    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for its end, and for the end of its log; `None` if it does not end in time.
    pub(super) async fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = tokio::time::timeout(deadline, self.child.wait()).await.ok()?.ok();
        }
        if !self.reader.is_finished() {
            let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.reader).await;
        }
        self.status
    }
}

async fn read(stderr: ChildStderr, log: Arc<Mutex<Log>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.was_ready |= line.contains("worker is ready");
        if log.lines.len() >= LINES {
            log.lines.pop_front();
        }
        log.lines.push_back(line);
    }
}
