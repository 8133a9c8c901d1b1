//! `cargo xtask compose-up`, `compose-down` and `compose-logs`: the stack of compose.yaml.

mod ports;
mod wait;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::binaries::Build;
use crate::engine::Engine;
use crate::images;
use crate::step::{self, Failure};

/// The services besides the worker, Redis and the sink.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Jaeger
    Observability,
    /// The OpenTelemetry Collector, and Jaeger behind it
    Collector,
    /// Prometheus and Grafana
    Metrics,
    /// A small echo server that jobs may reach; always runs, because the sample job goes to it
    Demo,
}

/// How the stack is started.
#[derive(Args)]
pub(crate) struct UpOptions {
    /// Services besides the worker, Redis and the sink; may be given several times
    #[arg(long, value_enum, value_name = "PROFILE")]
    profile: Vec<Profile>,
    /// The build of the worker
    #[arg(long, value_enum, default_value = "otel")]
    features: Build,
    /// Number of workers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    scale: u16,
    /// Build the image even if there is one
    #[arg(long)]
    build: bool,
}

/// How the stack is stopped.
#[derive(Args)]
pub(crate) struct DownOptions {
    /// Also remove stored data: jobs, traces in the Collector's queue, metrics
    #[arg(long)]
    volumes: bool,
}

/// What is shown.
#[derive(Args)]
pub(crate) struct LogsOptions {
    /// Follow the log until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// The stack, with its calls of compose.
struct Stack {
    engine: Engine,
    compose: Vec<OsString>,
    profiles: Vec<Profile>,
    settings: Vec<(&'static str, String)>,
}

/// Starts the selected services, sends a job through them and prints the addresses.
pub(crate) fn up(options: &UpOptions) -> Result<(), Failure> {
    let mut profiles = options.profile.clone();
    profiles.push(Profile::Demo);
    let settings = settings(&profiles, options.features);
    let stack = Stack::new(profiles, settings)?;
    step::timed("check the ports", || ports::check(&stack))?;
    let image = images::tag(options.features);
    if options.build || !step::works(stack.engine.command().args(["image", "inspect", &image])) {
        images::image(&stack.engine, options.features, "release")?;
    }
    let scale = format!("worker={}", options.scale);
    step::run("start the stack", &mut stack.call(&["up", "-d", "--scale", &scale]))?;
    step::timed("wait until all services are healthy", || wait::all(&stack))?;
    let sample = step::timed_output("send a job through it", &mut sample(&stack))?;
    print!("{}", where_to_look(&stack, sample.trim()));
    Ok(())
}

/// Stops all services of the stack, of every profile.
pub(crate) fn down(options: &DownOptions) -> Result<(), Failure> {
    let stack = Stack::new(Profile::value_variants().to_vec(), Vec::new())?;
    let mut command = stack.call(&["down", "--remove-orphans"]);
    command.args(options.volumes.then_some("--volumes"));
    step::run("stop the stack", &mut command)
}

/// Shows the logs of the services.
pub(crate) fn logs(options: &LogsOptions) -> Result<(), Failure> {
    let stack = Stack::new(Profile::value_variants().to_vec(), Vec::new())?;
    let mut command = stack.call(&["logs"]);
    command.args(options.follow.then_some("--follow")).args(&options.services);
    step::visibly(&mut command)
}

impl Stack {
    fn new(profiles: Vec<Profile>, settings: Vec<(&'static str, String)>) -> Result<Self, Failure> {
        let engine = Engine::find()?;
        let compose = engine.compose()?;
        Ok(Self { engine, compose, profiles, settings })
    }

    /// A call of compose with the stack's profiles and settings. Compose reads the rest from the environment
    /// and .env.
    fn call(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.compose[0]);
        command.args(&self.compose[1..]).current_dir(step::root());
        for profile in &self.profiles {
            command.args(["--profile", profile.name()]);
        }
        command.args(arguments).envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn has(&self, profile: Profile) -> bool {
        self.profiles.contains(&profile)
    }

    /// The address of a service's port on this machine.
    fn published(&self, service: &str, port_inside: u16) -> Result<SocketAddr, Failure> {
        let text = step::output(&mut self.call(&["port", service, &port_inside.to_string()]))?;
        let open = text.trim();
        let port = open.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let message = format!("`port {service} {port_inside}` of compose printed `{open}`, not an address");
        let (host, port) = port.ok_or_else(|| Failure::from(message))?;
        // Open on all addresses, so also on the loopback address.
        let host = host.trim_matches(['[', ']']).parse().ok().filter(|host: &IpAddr| !host.is_unspecified());
        Ok(SocketAddr::new(host.unwrap_or(Ipv4Addr::LOCALHOST.into()), port))
    }
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Observability => "observability",
            Self::Collector => "collector",
            Self::Metrics => "metrics",
            Self::Demo => "demo",
        }
    }
}

/// The worker settings that the profiles need. The user's own settings take precedence.
fn settings(profiles: &[Profile], features: Build) -> Vec<(&'static str, String)> {
    let mut settings = vec![("POSTRIDER_FEATURES", features.name().to_owned())];
    if matches!(features, Build::Lean) {
        return settings;
    }
    // Compose also reads .env, but values set here would take precedence.
    let file = fs::read_to_string(step::root().join(".env")).unwrap_or_default();
    let mut set = |name: &'static str, value: &str| {
        if env::var_os(name).is_none_or(|set| set.is_empty()) && in_file(&file, name).is_none() {
            settings.push((name, value.to_owned()));
        }
    };
    let (collector, jaeger, prometheus) = (
        profiles.contains(&Profile::Collector),
        profiles.contains(&Profile::Observability),
        profiles.contains(&Profile::Metrics),
    );
    if collector || jaeger || prometheus {
        set("OTEL_ENABLED", "true");
    }
    if collector {
        set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector:4317");
    } else if jaeger {
        set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://jaeger:4317");
    } else if prometheus {
        set("OTEL_TRACES_EXPORTER", "none");
    }
    if !collector {
        // Jaeger accepts no metrics; Prometheus scrapes them from the worker.
        set("OTEL_METRICS_EXPORTER", if prometheus { "prometheus" } else { "none" });
    }
    settings
}

/// The value of a name in a file of `NAME=value` lines; `None` if it is not there or empty.
fn in_file<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = file.lines().filter_map(|line| line.trim().trim_start_matches("export ").split_once('='));
    lines.find(|(set, value)| set.trim() == name && !value.trim().is_empty()).map(|(_, value)| value.trim())
}

/// Sends the job from the worker's container, which has the program and its telemetry settings.
fn sample(stack: &Stack) -> Command {
    let send =
        ["exec", "-T", "worker", "/usr/local/bin/postrider", "send", "POST", "http://sink:8080/sample"];
    let mut command = stack.call(&send);
    command.args(["--data", r#"{"hello":"compose"}"#, "--wait", "--wait-timeout", "30s"]);
    command
}

fn where_to_look(stack: &Stack, sample: &str) -> String {
    let line = sample.lines().next().unwrap_or_default();
    let mut text = format!("\nThe sample job: {line}\n\n");
    let mut row = |what: &str, address: &str| text.push_str(&format!("  {what:<12} {address}\n"));
    let address = |service: &str, port: u16| {
        stack.published(service, port).map(|address| format!("http://localhost:{}", address.port()))
    };
    if stack.has(Profile::Observability) || stack.has(Profile::Collector) {
        if let Ok(jaeger) = address("jaeger", 16686) {
            row("Jaeger", &jaeger);
            if let Some(trace) = trace_id(line) {
                row("its trace", &format!("{jaeger}/trace/{trace}"));
            }
        }
        if stack.has(Profile::Collector) {
            row("", "(the Collector waits 10 s for the rest of a trace before it passes it on)");
        }
    }
    if stack.has(Profile::Metrics) {
        for (what, service, port) in [("Grafana", "grafana", 3000), ("Prometheus", "prometheus", 9090)] {
            if let Ok(address) = address(service, port) {
                row(what, &address);
            }
        }
    }
    row("logs", "cargo xtask compose-logs --follow worker");
    row("stop", "cargo xtask compose-down");
    text
}

/// The trace id at the end of the line that `postrider send --wait` prints, if there is one.
fn trace_id(line: &str) -> Option<&str> {
    let id = line.rsplit_once("trace ")?.1.trim();
    (id.len() == 32 && id.chars().all(|character| character.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_the_sample_is_found_in_the_output() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("1795-0  succeeded with 200 after 1 attempt  trace {id}")), Some(id));
        assert_eq!(trace_id("1795-0  succeeded with 200 after 1 attempt"), None);
    }

    #[test]
    fn variables_in_the_file_of_the_user_are_found() {
        let file = "# OTEL_ENABLED=true\nOTEL_TRACES_EXPORTER=\n OTEL_METRICS_EXPORTER=otlp\n";
        let found =
            ["OTEL_ENABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"].map(|name| in_file(file, name));
        assert_eq!(found, [None, None, Some("otlp")]);
    }

    #[test]
    fn the_collector_gets_everything_and_jaeger_no_metrics() {
        let of = |profiles: &[Profile]| {
            let settings = settings(profiles, Build::Otel);
            move |name: &str| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone())
        };
        let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let both = of(&[Profile::Observability, Profile::Collector]);
        assert_eq!(both(endpoint).as_deref(), Some("http://otel-collector:4317"));
        assert_eq!(both("OTEL_METRICS_EXPORTER"), None);
        let jaeger = of(&[Profile::Observability]);
        assert_eq!(jaeger(endpoint).as_deref(), Some("http://jaeger:4317"));
        assert_eq!(jaeger("OTEL_METRICS_EXPORTER").as_deref(), Some("none"));
        assert_eq!(of(&[Profile::Demo])("OTEL_ENABLED"), None);
        assert_eq!(settings(&[Profile::Collector], Build::Lean).len(), 1);
    }
}
