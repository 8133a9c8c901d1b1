//! Waits until the stack is healthy. Images without a shell have no health check, so xtask sends them
//! requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{Profile, Stack};
use crate::step::{self, Failure};

/// Images may have to warm up, and Redis to load its file.
const DEADLINE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_secs(2);

/// Waits for the services of the profiles, in total until the deadline.
pub(super) fn all(stack: &Stack) -> Result<(), Failure> {
    let end = Instant::now() + DEADLINE;
    for service in ["redis", "sink", "worker"] {
        until(end, service, || healthy(stack, service))?;
    }
    if stack.has(Profile::Observability) || stack.has(Profile::Collector) {
        until(end, "jaeger", || stack.published("jaeger", 4317).and_then(takes_grpc))?;
    }
    if stack.has(Profile::Collector) {
        until(end, "otel-collector", || stack.published("otel-collector", 4317).and_then(takes_grpc))?;
    }
    if stack.has(Profile::Metrics) {
        let prometheus = || stack.published("prometheus", 9090).and_then(|at| answers(at, "/-/ready"));
        until(end, "prometheus", prometheus)?;
        until(end, "grafana", || stack.published("grafana", 3000).and_then(|at| answers(at, "/api/health")))?;
    }
    Ok(())
}

fn until(
    end: Instant,
    service: &str,
    mut is_well: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    loop {
        let answer = is_well();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if Instant::now() >= end {
            let reason = answer.err().map(|failure| format!(" ({})", failure.message)).unwrap_or_default();
            return Err(format!(
                "{service} is not well after {} s{reason}; `cargo xtask compose-logs {service}` shows why, and \
                 `cargo xtask compose-down` stops what runs",
                DEADLINE.as_secs()
            )
            .into());
        }
        thread::sleep(PAUSE);
    }
}

/// Whether each container of the service passes its own health check.
fn healthy(stack: &Stack, service: &str) -> Result<bool, Failure> {
    let containers = step::output(&mut stack.call(&["ps", "-q", service]))?;
    let mut command = stack.engine.command();
    command.args(["inspect", "--format", "{{.State.Health.Status}}"]).args(containers.split_whitespace());
    if containers.trim().is_empty() {
        return Ok(false);
    }
    let states = step::output(&mut command)?;
    Ok(states.lines().all(|state| state.trim() == "healthy"))
}

/// Whether an HTTP/2 server, as used by gRPC, responds. Connecting is not enough: the engine's proxy accepts
/// connections before the server runs.
fn takes_grpc(address: SocketAddr) -> Result<bool, Failure> {
    // The client's preface with empty settings. The server responds with its own settings, a frame of type 4.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut head = [0; 9];
    let answered = connected(address).and_then(|mut stream| {
        stream.write_all(PREFACE)?;
        stream.read_exact(&mut head)
    });
    Ok(answered.is_ok() && head[3] == 4)
}

fn answers(address: SocketAddr, path: &str) -> Result<bool, Failure> {
    let mut answer = [0; 12];
    let answered = connected(address).and_then(|mut stream| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        stream.read_exact(&mut answer)
    });
    Ok(answered.is_ok() && answer.ends_with(b" 200"))
}

fn connected(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    Ok(stream)
}
