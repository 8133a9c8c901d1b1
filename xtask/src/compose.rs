//! `cargo xtask compose-up`, `compose-down` and `compose-logs`: the stack of compose.yaml.

mod ports;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::binaries::Build;
use crate::engine::{self, Engine};
use crate::sources::expression;
use crate::step::{self, Result};

/// Images may have to warm up, and Redis to load its file.
const DEADLINE: Duration = Duration::from_secs(120);

/// The services besides the worker, Redis and the sink.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Jaeger
    Observability,
    /// The OpenTelemetry Collector, and Jaeger behind it
    Collector,
    /// Prometheus and Grafana
    Metrics,
    /// The console: pages and the HTTP API
    Console,
    /// A small echo server that jobs may reach; always runs, because the sample job goes to it
    Demo,
}

/// How the stack is started.
#[derive(clap::Args)]
pub(crate) struct Options {
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

/// The services without a health check that answer HTTP: their profiles, name and port, and what the user reads there.
const PAGES: [(&[Profile], &str, u16, Option<&str>); 5] = [
    (&[Profile::Observability, Profile::Collector], "jaeger", 16686, Some("Jaeger")),
    (&[Profile::Collector], "otel-collector", 4318, None),
    (&[Profile::Console], "console", 8025, Some("the console")),
    (&[Profile::Metrics], "grafana", 3000, Some("Grafana")),
    (&[Profile::Metrics], "prometheus", 9090, Some("Prometheus")),
];

/// The stack, with its calls of compose.
struct Stack {
    engine: Engine,
    compose: Vec<OsString>,
    profiles: Vec<Profile>,
    settings: Vec<(&'static str, String)>,
}

/// Starts the selected services, sends a job through them and prints the addresses.
pub(crate) fn up(options: &Options) -> Result {
    let profiles = [&options.profile[..], &[Profile::Demo]].concat();
    let settings = settings(&profiles, options.features);
    let stack = Stack::new(profiles, settings)?;
    step::timed("check the ports", || ports::check(&stack))?;
    let image = engine::tag(options.features);
    if options.build || !step::works(stack.engine.command().args(["image", "inspect", &image])) {
        stack.engine.image(options.features, "release")?;
    }
    let scale = format!("worker={}", options.scale);
    step::run("start the stack", &mut stack.call(&["up", "-d", "--scale", &scale]))?;
    step::timed("wait until all services are healthy", || stack.wait())?;
    let sample = step::timed("send a job through it", || step::output(&mut stack.sample()))?;
    print!("{}", stack.where_to_look(sample.lines().next().unwrap_or_default()));
    Ok(())
}

/// Calls compose for all services of the stack, of every profile.
pub(crate) fn call(command: &[&str], arguments: &[String]) -> Result {
    let stack = Stack::new(Profile::value_variants().to_vec(), Vec::new())?;
    step::visibly(stack.call(command).args(arguments))
}

impl Stack {
    fn new(profiles: Vec<Profile>, settings: Vec<(&'static str, String)>) -> Result<Self> {
        let engine = Engine::find()?;
        let compose = engine.compose()?;
        Ok(Self { engine, compose, profiles, settings })
    }

    fn profile_names(&self) -> impl Iterator<Item = String> {
        self.profiles
            .iter()
            .filter_map(Profile::to_possible_value)
            .map(|profile| profile.get_name().to_owned())
    }

    /// A call of compose with the stack's profiles and settings. Compose reads the rest from the environment
    /// and .env.
    fn call(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.compose[0]);
        command.args(&self.compose[1..]).current_dir(step::root());
        for profile in self.profile_names() {
            command.args(["--profile", &profile]);
        }
        command.args(arguments).envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Sends the job from the worker's container, which has the program and its telemetry settings.
    fn sample(&self) -> Command {
        let send = ["exec", "-T", "worker", "/usr/local/bin/postrider", "send", "POST"];
        let mut command = self.call(&send);
        command.args(["http://sink:8080/sample", "--data", r#"{"hello":"compose"}"#]);
        command.args(["--wait", "--wait-timeout", "30s"]);
        command
    }

    /// Waits until each container is healthy, and each service without a health check answers.
    fn wait(&self) -> Result {
        let end = Instant::now() + DEADLINE;
        loop {
            let Err(reason) = self.check() else { return Ok(()) };
            if Instant::now() >= end {
                return Err(format!(
                    "{reason} after {} s; `cargo xtask compose-logs` shows why, and `cargo xtask compose-down` stops \
                     what runs",
                    DEADLINE.as_secs()
                ));
            }
            thread::sleep(Duration::from_millis(300));
        }
    }

    fn check(&self) -> Result {
        let containers = step::output(&mut self.call(&["ps", "-q"]))?;
        let mut inspect = self.engine.command();
        inspect.args([
            "inspect",
            "--format",
            "{{.Name}} {{.State.Status}} {{with .State.Health}}{{.Status}}{{end}}",
        ]);
        let states = step::output(inspect.args(containers.split_whitespace()))?;
        let is_well = |state: &&str| state.ends_with(" running healthy") || state.ends_with(" running ");
        // The container that prepares the Collector's volume ends.
        let unwell = states.lines().find(|state| !is_well(state) && !state.contains(" exited "));
        if let Some(state) = unwell {
            return Err(state.trim_start_matches('/').to_owned());
        }
        for (_, service, port, _) in self.pages() {
            let address = self.published(service, port)?;
            answers(&address).map_err(|error| format!("{service} does not answer at {address} ({error})"))?;
        }
        Ok(())
    }

    fn pages(&self) -> impl Iterator<Item = (&[Profile], &str, u16, Option<&str>)> {
        PAGES.into_iter().filter(|page| page.0.iter().any(|profile| self.profiles.contains(profile)))
    }

    /// The address of a service's port on this machine.
    fn published(&self, service: &str, port_inside: u16) -> Result<String> {
        let address = step::output(&mut self.call(&["port", service, &port_inside.to_string()]))?;
        // Open on all addresses, so also on the loopback address.
        Ok(address.trim().replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]"))
    }

    fn where_to_look(&self, sample: &str) -> String {
        let mut text = format!("\nThe sample job: {sample}\n\n");
        let mut row = |what: &str, address: &str| text.push_str(&format!("  {what:<12} {address}\n"));
        for (_, service, port, title) in self.pages() {
            let (Some(title), Ok(address)) = (title, self.published(service, port)) else { continue };
            row(title, &format!("http://{address}"));
            if let Some((_, trace)) = sample.rsplit_once("trace ").filter(|_| service == "jaeger") {
                row("its trace", &format!("http://{address}/trace/{trace}"));
            }
        }
        if self.profiles.contains(&Profile::Collector) {
            row("", "(the Collector waits 10 s for the rest of a trace before it passes it on)");
        }
        row("logs", "cargo xtask compose-logs --follow worker");
        row("stop", "cargo xtask compose-down");
        text
    }
}

/// The worker settings that the profiles need. The user's own settings take precedence.
fn settings(profiles: &[Profile], features: Build) -> Vec<(&'static str, String)> {
    let has = |profile: Profile| profiles.contains(&profile);
    // Jaeger accepts no metrics; Prometheus scrapes them from the worker.
    let wanted: &[(&str, &str)] = match features {
        Build::Lean => &[],
        Build::Otel if has(Profile::Collector) => {
            &[("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector:4317")]
        }
        Build::Otel if has(Profile::Observability) => &[
            ("OTEL_ENABLED", "true"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://jaeger:4317"),
            ("OTEL_METRICS_EXPORTER", if has(Profile::Metrics) { "prometheus" } else { "none" }),
        ],
        Build::Otel if has(Profile::Metrics) => &[
            ("OTEL_ENABLED", "true"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
        ],
        Build::Otel => &[],
    };
    const TRACE_URL: (&str, &str) = ("POSTRIDER_TRACE_URL", "http://localhost:16686/trace/{trace_id}");
    let shows_traces = !wanted.is_empty() && (has(Profile::Observability) || has(Profile::Collector));
    let wanted = wanted.iter().copied().chain(shows_traces.then_some(TRACE_URL));
    // What is set here would take precedence.
    let user = UserSettings::read();
    let open = wanted.filter(|(name, _)| user.get(name).is_none());
    let open = open.map(|(name, value)| (name, value.to_owned()));
    open.chain([("POSTRIDER_FEATURES", features.name().to_owned())]).collect()
}

/// What the user has set: compose reads the environment, and then .env.
struct UserSettings {
    file: String,
}

impl UserSettings {
    fn read() -> Self {
        Self { file: fs::read_to_string(step::root().join(".env")).unwrap_or_default() }
    }

    fn get(&self, name: &str) -> Option<String> {
        let set = env::var_os(name).filter(|value| !value.is_empty());
        set.map(|value| value.to_string_lossy().into_owned()).or_else(|| set_to(&self.file, name))
    }
}

/// What a file of `NAME=value` lines sets a name to.
fn set_to(file: &str, name: &str) -> Option<String> {
    let line = expression(&format!(r#"(?m)^ *(?:export )?{name} *= *["']?([^"'\s#]+)"#));
    Some(line.captures(file)?[1].to_owned())
}

/// Any answer will do. Connecting is not enough: the engine's proxy accepts connections before the server runs.
fn answers(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    stream.read_exact(&mut [0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_the_file_of_the_user_are_found() {
        let file = "# OTEL_ENABLED=true\nOTEL_TRACES_EXPORTER=\n OTEL_METRICS_EXPORTER=otlp\n";
        let names = ["OTEL_ENABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"];
        assert_eq!(names.map(|name| set_to(file, name)), [None, None, Some("otlp".to_owned())]);
    }

    #[test]
    fn the_collector_gets_everything_and_jaeger_no_metrics() {
        let of = |profiles: &[Profile], name: &str| {
            let mut settings = settings(profiles, Build::Otel).into_iter();
            settings.find(|(set, _)| *set == name).map(|(_, value)| value)
        };
        let both = [Profile::Observability, Profile::Collector];
        let endpoint = of(&both, "OTEL_EXPORTER_OTLP_ENDPOINT");
        assert_eq!(endpoint.as_deref(), Some("http://otel-collector:4317"));
        assert_eq!(of(&both, "OTEL_METRICS_EXPORTER"), None);
        assert_eq!(of(&both[..1], "OTEL_METRICS_EXPORTER").as_deref(), Some("none"));
        let with_metrics = [Profile::Observability, Profile::Metrics];
        assert_eq!(of(&with_metrics, "OTEL_METRICS_EXPORTER").as_deref(), Some("prometheus"));
        assert_eq!(of(&[Profile::Demo], "OTEL_ENABLED"), None);
        assert_eq!(settings(&both, Build::Lean).len(), 1);
    }
}
