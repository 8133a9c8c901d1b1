//! The two builds of the program.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::redis::RedisServer;

/// Which of the two binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// With telemetry compiled in.
    Otel,
    /// Without.
    Lean,
}

impl Build {
    /// Both, for a test that must pass with each.
    pub const ALL: [Build; 2] = [Build::Otel, Build::Lean];

    /// The path that `cargo xtask` set in the environment.
    ///
    /// # Panics
    ///
    /// If it is not set.
    pub fn program(self) -> PathBuf {
        let variable = match self {
            Build::Otel => "POSTRIDER_OTEL_BIN",
            Build::Lean => "POSTRIDER_LEAN_BIN",
        };
        match std::env::var_os(variable) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => panic!("{variable} is not set: run `cargo xtask test`, which builds both binaries"),
        }
    }

    /// `postrider worker` on that Redis, allowed to reach 127.0.0.0/8.
    pub(super) fn worker_command(
        self,
        redis: &RedisServer,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Command {
        let url = redis.url();
        let mut variables = vec![
            ("POSTRIDER_REDIS_URL", url.as_str()),
            ("POSTRIDER_EGRESS_ALLOW", "127.0.0.0/8"),
            ("POSTRIDER_LOG", "info"),
        ];
        let threads = test_threads(arguments).to_string();
        variables.push(("POSTRIDER_THREADS", &threads));
        variables.extend_from_slice(environment);
        self.command(&[&["worker"], arguments].concat(), &variables)
    }

    /// The binary with exactly `environment`, without inherited `OTEL_*` and `POSTRIDER_*` variables.
    pub(super) fn command(self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(self.program());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("OTEL_") || text.starts_with("POSTRIDER_") {
                command.env_remove(&name);
            }
        }
        command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
        command
    }
}

/// How many threads a worker has whose test does not set it: as many as `cargo xtask test --threads` sets, if there are slots
/// for them. Default: 1.
fn test_threads(arguments: &[&str]) -> usize {
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let threads = std::env::var("POSTRIDER_TEST_THREADS").map_or(1, |threads| number(&threads));
    let slots =
        arguments.iter().position(|argument| *argument == "--concurrency").map(|at| arguments[at + 1]);
    slots.map_or(threads, |slots| threads.min(number(slots)))
}

/// How many threads the worker of this command has.
pub(super) fn threads(worker: &Command) -> usize {
    let argument = worker.get_args().skip_while(|argument| *argument != "--threads").nth(1);
    let variable = worker.get_envs().find(|(name, _)| *name == "POSTRIDER_THREADS");
    let threads = argument.or(variable.and_then(|(_, value)| value)).expect("the variable is set");
    threads.to_str().and_then(|threads| threads.parse().ok()).expect("a number")
}

/// The same command as the last arguments of another program.
pub(super) fn through(program: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(program[0]);
    outer.args(&program[1..]).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}
