//! Calls the container engine and compose, for one project that is removed at the end.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use e2e::wait::eventually_or;
use serde_json::Value;

/// Time for containers to start and pass health checks, every few seconds, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// The settings of each scenario. A scenario may change them.
const SETTINGS: [(&str, &str); 8] = [
    ("POSTRIDER_FEATURES", "otel"),
    // Short, so that jobs of a dead worker are taken over soon.
    ("POSTRIDER_LEASE", "5s"),
    ("POSTRIDER_CONCURRENCY", "8"),
    ("POSTRIDER_RETRY_BASE", "200ms"),
    ("POSTRIDER_RETRY_CAP", "2s"),
    ("OTEL_BSP_SCHEDULE_DELAY", "300"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "2000"),
    ("BIND_ADDRESS", "127.0.0.1"),
];

const PORTS: [&str; 8] = [
    "REDIS_PORT",
    "SINK_PORT",
    "JAEGER_UI_PORT",
    "JAEGER_OTLP_PORT",
    "OTLP_GRPC_PORT",
    "OTLP_HTTP_PORT",
    "PROMETHEUS_PORT",
    "GRAFANA_PORT",
];

const PROFILES: [&str; 4] = ["observability", "collector", "metrics", "demo"];

/// A compose project with its own name. It is removed with its volumes when this is dropped.
pub(crate) struct Stack {
    engine: String,
    compose: Vec<String>,
    project: String,
    settings: BTreeMap<String, String>,
}

impl Stack {
    /// Does not start anything.
    pub(crate) fn new() -> Self {
        let variable = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test-stack`"))
        };
        let compose = variable("POSTRIDER_COMPOSE").split(' ').map(str::to_owned).collect();
        let mut settings: BTreeMap<String, String> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // All listeners stay open until each port is known, so that no port is used twice.
        let listeners: Vec<_> =
            PORTS.map(|name| (name, TcpListener::bind("127.0.0.1:0").expect("a port is free"))).into();
        for (name, listener) in &listeners {
            let port = listener.local_addr().expect("a listener has an address").port();
            settings.insert((*name).to_owned(), port.to_string());
        }
        let project = format!("postrider-test-{}", std::process::id());
        Self { engine: variable("POSTRIDER_ENGINE"), compose, project, settings }
    }

    /// Changes a setting for the following calls of compose.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    /// The standard output of the engine's client. `what` names the call in a failure.
    pub(crate) fn engine(&self, what: &str, arguments: &[&str]) -> String {
        text(what, &run(Command::new(&self.engine).args(arguments), b""))
    }

    /// Both outputs of the engine's client. `logs` writes to both.
    pub(crate) fn engine_all(&self, arguments: &[&str]) -> String {
        let output = run(Command::new(&self.engine).args(arguments), b"");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Whether the engine's client succeeds.
    pub(crate) fn engine_can(&self, arguments: &[&str]) -> bool {
        run(Command::new(&self.engine).args(arguments), b"").status.success()
    }

    /// Runs `compose` with a command line.
    pub(crate) fn compose(&self, line: &str) -> String {
        text(line, &run(self.compose_command().args(line.split(' ')), b""))
    }

    /// Runs a program in the only container of a service with `input`.
    pub(crate) fn exec(&self, service: &str, program: &[&str], input: &[u8]) -> Output {
        let container = self.container(service);
        let mut command = Command::new(&self.engine);
        command.args(["exec", "-i", &container]).args(program);
        run(&mut command, input)
    }

    /// The containers of a service, including stopped ones.
    pub(crate) fn containers(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let list = ["ps", "-aq", "--no-trunc", "--filter", &project, "--filter", &service];
        self.engine("list the containers", &list).split_whitespace().map(str::to_owned).collect()
    }

    /// The first container of a service.
    pub(crate) fn container(&self, service: &str) -> String {
        let containers = self.containers(service);
        containers.into_iter().next().unwrap_or_else(|| panic!("{service} has no container"))
    }

    /// The engine's description of a container.
    pub(crate) fn inspect(&self, container: &str) -> Value {
        let text = self.engine("inspect a container", &["inspect", container]);
        let list: Value = serde_json::from_str(&text).expect("`inspect` prints JSON");
        list[0].clone()
    }

    /// Waits until `count` containers of a service pass their health check.
    pub(crate) fn healthy(&self, service: &str, count: usize) {
        eventually_or(&format!("{count} of {service} healthy"), DEADLINE, || {
            let containers = self.containers(service);
            let states: Vec<String> = containers.iter().map(|id| self.health(id)).collect();
            let healthy = states.iter().filter(|state| *state == "healthy").count();
            if healthy == count && states.len() == count { Ok(()) } else { Err(states.join(", ")) }
        });
    }

    fn health(&self, container: &str) -> String {
        let state = &self.inspect(container)["State"];
        let health = state["Health"]["Status"].as_str().unwrap_or("without a health check");
        if state["Running"] == true { health.to_owned() } else { "stopped".to_owned() }
    }

    /// The containers, volumes and networks of the project that exist.
    pub(crate) fn leftovers(&self) -> String {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let kinds: [&[&str]; 3] = [&["ps", "-aq"], &["volume", "ls", "-q"], &["network", "ls", "-q"]];
        let list = |kind: &[&str]| self.engine("list what is there", &[kind, &["--filter", &label]].concat());
        kinds.map(list).concat().trim().to_owned()
    }

    /// Removes everything of the project.
    pub(crate) fn down(&self) -> Output {
        let mut command = self.compose_command();
        for profile in PROFILES {
            command.args(["--profile", profile]);
        }
        run(command.args(["down", "--volumes", "--remove-orphans", "--timeout", "5"]), b"")
    }

    fn compose_command(&self) -> Command {
        let mut command = Command::new(&self.compose[0]);
        command.args(&self.compose[1..]);
        // Variables that the caller set for another stack must not change this one.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        command.envs(&self.settings).env("COMPOSE_PROJECT_NAME", &self.project);
        command
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for service in ["worker", "sink", "redis", "otel-collector"] {
                for container in self.containers(service) {
                    let logs = self.engine_all(&["logs", "--tail", "15", &container]);
                    eprintln!("--- last log lines of {service} {container:.12}:\n{logs}");
                }
            }
        }
        let output = self.down();
        if !output.status.success() {
            eprintln!("could not remove {}: {}", self.project, String::from_utf8_lossy(&output.stderr));
        }
    }
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("could not start {program}: {error}"));
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A program that does not read its standard input closes it.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap_or_else(|error| panic!("could not wait for {program}: {error}"))
}

fn text(what: &str, output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{what}` ended with {}: {error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
