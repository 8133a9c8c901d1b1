//! The real `postrider` binaries, lean and with telemetry, as processes.

mod build;
mod certify;
mod console;
mod relay;

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use build::through;

pub use build::Build;
pub use nix::sys::signal::Signal;

use crate::child::OwnedChild;
use crate::redis::RedisServer;
use crate::wait;

/// Time for a worker to start to read its queue on a loaded machine.
const READY_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(40);

/// A running worker, or another command. It is killed and reaped when dropped.
pub struct Postrider {
    child: OwnedChild,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// The result of a command that ended by itself.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Output {
    /// The exit code, or -1 if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// The JSON object on its standard output.
    ///
    /// # Panics
    ///
    /// With both streams if it is not one JSON object.
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self:?}"),
        }
    }
}

impl Postrider {
    /// Starts `postrider worker` on that Redis, allowed to reach 127.0.0.0/8. `environment` takes precedence.
    ///
    /// # Panics
    ///
    /// If there is no binary.
    pub fn worker(
        build: Build,
        redis: &RedisServer,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Postrider {
        Postrider::spawn(build.worker_command(redis, arguments, environment))
    }

    /// Starts a command whose standard input is an open pipe.
    ///
    /// # Panics
    ///
    /// If there is no binary.
    pub fn reading(
        build: Build,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> (Postrider, ChildStdin) {
        let mut command = build.command(arguments, environment);
        command.stdin(Stdio::piped());
        let mut postrider = Postrider::spawn(command);
        let stdin = postrider.child.streams().stdin.take().expect("standard input is a pipe");
        (postrider, stdin)
    }

    /// Starts a worker like [`Postrider::worker`], but nobody reads its log before [`Postrider::read_log`].
    ///
    /// # Panics
    ///
    /// If there is no binary.
    pub fn unread_worker(
        build: Build,
        redis: &RedisServer,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Postrider {
        Postrider::start(build.worker_command(redis, arguments, environment))
    }

    /// Starts a worker like [`Postrider::ready_worker`] through another program that executes it, for example
    /// `["prlimit", "--nofile=36"]`.
    ///
    /// # Panics
    ///
    /// With its log if it does not read its queue.
    pub fn ready_worker_through(
        program: &[&str],
        build: Build,
        redis: &RedisServer,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Postrider {
        let command = build.worker_command(redis, arguments, environment);
        Postrider::spawn_ready(through(program, &command))
    }

    /// A worker is ready when each of its threads is.
    fn spawn_ready(command: Command) -> Postrider {
        let threads = build::threads(&command);
        let mut worker = Postrider::spawn(command);
        worker.wait_for_log_lines("worker is ready", threads, READY_DEADLINE);
        worker
    }

    fn spawn(command: Command) -> Postrider {
        let mut postrider = Postrider::start(command);
        postrider.read_log();
        postrider
    }

    fn start(mut command: Command) -> Postrider {
        let child = OwnedChild::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()));
        Postrider { child, lines: Arc::default(), reader: None }
    }

    /// Reads the log from now on.
    ///
    /// # Panics
    ///
    /// If it is read already.
    pub fn read_log(&mut self) {
        let stderr = self.child.streams().stderr.take().expect("standard error is a pipe that nobody reads");
        let lines = Arc::clone(&self.lines);
        self.reader = Some(std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                lines.lock().expect("no one panics with this lock").push(line);
            }
        }));
    }

    /// Starts a worker like [`Postrider::worker`] and waits until it reads its queue.
    ///
    /// # Panics
    ///
    /// With its log if it does not.
    pub fn ready_worker(
        build: Build,
        redis: &RedisServer,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Postrider {
        Postrider::spawn_ready(build.worker_command(redis, arguments, environment))
    }

    /// Runs a command that ends by itself, for example `send`.
    ///
    /// # Panics
    ///
    /// With its output if it does not end within `deadline`.
    pub fn run(build: Build, arguments: &[&str], environment: &[(&str, &str)], deadline: Duration) -> Output {
        let mut command = build.command(arguments, environment);
        let mut child = OwnedChild::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let stdout = read_all(child.streams().stdout.take().expect("standard output is a pipe"));
        let stderr = read_all(child.streams().stderr.take().expect("standard error is a pipe"));
        let status = child.wait(deadline);
        child.kill();
        let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("reading does not panic"));
        match status {
            Some(status) => Output { status, stdout, stderr },
            None => panic!("{arguments:?} still ran after {deadline:?}\n{stdout}\n{stderr}"),
        }
    }

    /// Waits for a log line that contains `part`, and returns it.
    ///
    /// # Panics
    ///
    /// With the log if there is none within `deadline`, or if the worker exits without it.
    pub fn wait_for_log(&mut self, part: &str, deadline: Duration) -> String {
        self.wait_for_log_lines(part, 1, deadline)
    }

    /// Waits for this number of log lines that contain `part`, and returns the last of them.
    fn wait_for_log_lines(&mut self, part: &str, lines: usize, deadline: Duration) -> String {
        let found = wait::poll(deadline, || {
            let exited = self.child.try_wait().is_some();
            if exited {
                self.join_reader();
            }
            let line = self.log().into_iter().filter(|line| line.contains(part)).nth(lines - 1);
            if line.is_none() && !exited { Err(()) } else { Ok(line) }
        });
        match found {
            Ok(Some(line)) => line,
            _ => panic!("fewer than {lines} log lines contain {part:?}:\n{}", self.log().join("\n")),
        }
    }

    /// The log lines so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().expect("no one panics with this lock").clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The peak of its resident memory so far, in bytes.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|size| size.split_whitespace().next()?.parse::<usize>().ok());
        kibibytes.expect("the kernel reports it") * 1024
    }

    /// Its exit status, or `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait()
    }

    /// Sends a signal. Does nothing once the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Sends SIGTERM to the worker and waits until it exits.
    ///
    /// # Panics
    ///
    /// With its log if it does not.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_exit(STOP_DEADLINE)
    }

    /// Kills the worker with SIGKILL and reaps it.
    pub fn kill(&mut self) {
        self.child.kill();
        self.join_reader();
    }

    /// Waits until the worker ends by itself.
    ///
    /// # Panics
    ///
    /// With its log if it still runs at the deadline.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let Some(status) = self.child.wait(deadline) else {
            panic!("the worker still runs after {deadline:?}:\n{}", self.log().join("\n"));
        };
        self.join_reader();
        status
    }

    fn join_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading does not panic");
        }
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // On an error, the bytes read so far are the result.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
