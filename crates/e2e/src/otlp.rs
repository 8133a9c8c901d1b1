//! Controls the OTLP receiver, which runs as its own process: the binary `otlp-receiver`.

mod line;
mod record;
mod tls;

use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::child::OwnedChild;
use crate::{http_call, wait};

pub use line::{LogLine, RequestRecord};
pub use tls::Tls;

pub use record::{
    Attributes, LinkRecord, MetricKind, MetricRecord, PointRecord, SignalStats, SpanKind, SpanRecord, Status,
    Temporality,
};

const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How the receiver responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Accepts everything.
    Ok,
    /// Answers UNAVAILABLE or 503, which a client may retry.
    Refuse,
    /// Answers the first request of each signal with RESOURCE_EXHAUSTED and RetryInfo, or 429 and Retry-After
    /// (in whole seconds), and accepts all later ones.
    Later(Duration),
    /// Answers only this signal with UNIMPLEMENTED or 404: `traces`, `metrics` or `logs`.
    Unknown(&'static str),
    /// Answers UNIMPLEMENTED or 404, which a client must not retry.
    Unimplemented,
    /// Over HTTP, answers 200 with an HTML page, like a login page or a proxy.
    Page,
    /// Takes everything, and keeps the number only: costs little, for measurements.
    Count,
    /// Never answers.
    Hang,
    /// Accepts everything, but answers after this time.
    Slow(Duration),
    /// Accepts everything and answers that it rejected this number of items.
    Partial(u64),
}

impl Display for Mode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mode::Ok => formatter.write_str("ok"),
            Mode::Refuse => formatter.write_str("refuse"),
            Mode::Later(wait) => write!(formatter, "later {}", wait.as_millis()),
            Mode::Unknown(signal) => write!(formatter, "unknown {signal}"),
            Mode::Unimplemented => formatter.write_str("unimplemented"),
            Mode::Page => formatter.write_str("page"),
            Mode::Count => formatter.write_str("count"),
            Mode::Hang => formatter.write_str("hang"),
            Mode::Slow(delay) => write!(formatter, "slow {}", delay.as_millis()),
            Mode::Partial(rejected) => write!(formatter, "partial {rejected}"),
        }
    }
}

/// Variables that make a worker record all telemetry and send it to a closed port.
pub const TO_NOBODY: [(&str, &str); 2] =
    [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];

/// A running receiver. It is killed and reaped when dropped.
pub struct Receiver {
    child: OwnedChild,
    // The receiver ends when this closes, even if no drop code runs.
    _stdin: ChildStdin,
    scheme: &'static str,
    grpc: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
    /// Of a killed receiver: its ports, bound and closed.
    held: Vec<TcpSocket>,
}

impl Receiver {
    /// Starts the binary `otlp-receiver` at `program` on three free ports of the loopback address.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(program: impl AsRef<Path>) -> Receiver {
        Receiver::run(Command::new(program.as_ref()), "http")
    }

    /// Starts it with TLS.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_with_tls(program: impl AsRef<Path>, tls: &Tls) -> Receiver {
        let mut command = Command::new(program.as_ref());
        command.args(tls.of_server());
        Receiver::run(command, "https")
    }

    /// Kills it and starts the binary at `program` on the same ports, without TLS and with no records.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_again(&mut self, program: impl AsRef<Path>) {
        self.kill();
        let ports = [self.grpc, self.http, self.admin].map(|address| address.port().to_string());
        let mut command = Command::new(program.as_ref());
        command.arg(format!("--ports={}", ports.join(",")));
        *self = Receiver::run(command, "http");
    }

    fn run(mut command: Command, scheme: &'static str) -> Receiver {
        let mut child = OwnedChild::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let stdin = child.streams().stdin.take().expect("standard input is a pipe");
        let stdout = child.streams().stdout.take().expect("standard output is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the receiver writes text");
        let ready: Value = serde_json::from_str(&line).expect("the receiver reports its addresses");
        let address = |name: &str| {
            let text = ready[name].as_str().expect("the receiver names each address");
            text.parse().expect("the receiver names addresses with ports")
        };
        let (grpc, http, admin) = (address("grpc"), address("http"), address("admin"));
        Receiver { child, _stdin: stdin, scheme, grpc, http, admin, held: Vec::new() }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with the protocol `grpc`.
    pub fn grpc_endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.grpc)
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with the protocol `http/protobuf`.
    pub fn http_endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.http)
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with this value of `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub fn endpoint(&self, protocol: &str) -> String {
        if protocol == "grpc" { self.grpc_endpoint() } else { self.http_endpoint() }
    }

    /// Its address for OTLP over HTTP/protobuf.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Changes how it responds to later requests.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn set_mode(&self, mode: Mode) {
        self.admin("POST", "/mode", &mode.to_string());
    }

    /// All accepted spans, in order of arrival.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn spans(&self) -> Vec<SpanRecord> {
        self.list("/spans").iter().map(SpanRecord::from_json).collect()
    }

    /// All accepted metrics, in order of arrival: one record for each metric of each export.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn metrics(&self) -> Vec<MetricRecord> {
        self.list("/metrics").iter().map(MetricRecord::from_json).collect()
    }

    /// All accepted log lines, in order of arrival.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn logs(&self) -> Vec<LogLine> {
        self.list("/logs").iter().map(LogLine::from_json).collect()
    }

    /// All requests received, accepted or not.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn requests_seen(&self) -> Vec<RequestRecord> {
        self.list("/requests").iter().map(RequestRecord::from_json).collect()
    }

    /// All accepted spans, metrics and logs, as text to search in.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn everything(&self) -> String {
        let parts = ["/spans", "/metrics", "/logs"].map(|path| self.admin("GET", path, ""));
        String::from_utf8_lossy(&parts.concat()).into_owned()
    }

    /// Received requests and items, by protocol and signal.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn stats(&self) -> Vec<SignalStats> {
        self.list("/stats").iter().map(SignalStats::from_json).collect()
    }

    /// The number of export requests received, accepted or not.
    ///
    /// # Panics
    ///
    /// If the receiver does not run.
    pub fn requests(&self) -> u64 {
        self.stats().iter().map(|stats| stats.requests).sum()
    }

    /// Waits until `enough` returns true for all spans, and returns them.
    ///
    /// # Panics
    ///
    /// With the names of the received spans if `enough` returns false until `deadline`.
    pub fn wait_for_spans(
        &self,
        what: &str,
        deadline: Duration,
        enough: impl Fn(&[SpanRecord]) -> bool,
    ) -> Vec<SpanRecord> {
        wait::eventually_or(what, deadline, || {
            let spans = self.spans();
            if enough(&spans) {
                return Ok(spans);
            }
            let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
            Err(format!("{} spans: {}", spans.len(), names.join(", ")))
        })
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Sends a signal. After `SIGSTOP` its ports accept connections but do not answer.
    pub fn signal(&mut self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Kills it and keeps its ports, so that no other program receives its data.
    ///
    /// # Panics
    ///
    /// When another program has a port already.
    pub fn kill(&mut self) {
        self.child.kill();
        let hold = |address| {
            let socket = TcpSocket::new_v4()?;
            // The receiver that comes next may bind it as well, since this one does not listen.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        };
        let held: std::io::Result<_> = [self.grpc, self.http].into_iter().map(hold).collect();
        self.held = held.expect("the ports of a killed program are free");
    }

    fn list(&self, path: &str) -> Vec<Value> {
        let body = self.admin("GET", path, "");
        serde_json::from_slice(&body).expect("the receiver returns a JSON list")
    }

    fn admin(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let answer = http_call::exchange(self.admin, method, path, &[], body.as_bytes(), ADMIN_TIMEOUT);
        let answer = answer.expect("the receiver answers on its admin port");
        assert_eq!(answer.status, 200, "{method} {path} {body}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }
}
