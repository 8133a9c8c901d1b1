//! `postrider health`

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

/// Check the health of a running worker
///
/// Calls the worker's --listen address and prints one sentence. Exit codes: 0 healthy, 1 not. A health check for
/// containers without a shell.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Address of the worker: its --listen
    #[arg(long, env = "POSTRIDER_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Check only that the process runs (/livez), not that it fetches jobs (/readyz)
    #[arg(long)]
    live: bool,
    /// Longest time to wait for the response
    #[arg(long, default_value = "3s", value_parser = crate::units::some_time, value_name = "DURATION")]
    timeout: Duration,
}

/// Bytes of a response that are read: the status line and a sentence fit.
const RESPONSE_BYTES_MAX: u64 = 4096;

impl HealthArgs {
    /// Blocks its thread: this command starts nothing else, no telemetry either, since it runs every few seconds.
    pub(super) fn run(&self) -> ExitCode {
        match self.request() {
            Ok(sentence) => {
                print_line!("{sentence}");
                ExitCode::SUCCESS
            }
            Err(sentence) => {
                eprintln!("error: {sentence}");
                ExitCode::FAILURE
            }
        }
    }

    fn request(&self) -> Result<String, String> {
        let address = reachable(address(self.listen.as_deref().unwrap_or_default())?);
        let (path, word) = if self.live { ("/livez", "alive") } else { ("/readyz", "ready") };
        let answer = get(address, path, self.timeout).map_err(|error| {
            format!(
                "no response from http://{address}{path}: {error}; does a worker run with --listen there?"
            )
        })?;
        let (status, body) =
            parse(&answer).ok_or_else(|| format!("the response from http://{address}{path} is not HTTP"))?;
        match status {
            200 => Ok(format!("{word}: http://{address}{path} answered 200")),
            _ => Err(format!("not {word}: http://{address}{path} answered {status}{}", reason(body))),
        }
    }
}

/// An empty variable counts as unset.
fn address(text: &str) -> Result<SocketAddr, String> {
    if text.is_empty() {
        return Err("the worker's address is missing; give --listen ADDR:PORT, or set POSTRIDER_LISTEN, \
                    as for the worker"
            .to_owned());
    }
    text.parse().map_err(|_| format!("--listen {text}: write ADDR:PORT, as in 127.0.0.1:9464 or [::1]:9464"))
}

/// A worker that listens on all addresses is reached on the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn get(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while (answer.len() as u64) < RESPONSE_BYTES_MAX {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&part[..length]),
            // Some systems report a timeout as `WouldBlock`.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// A timeout of zero would mean none.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(late()),
        left => Ok(left),
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "timed out")
}

/// The status and the body of a response.
fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    Some((status, body.to_owned()))
}

/// The first line of the body, without control characters, which could confuse a terminal.
fn reason(body: String) -> String {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|character| !character.is_control()).take(300).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn args(listen: &str, live: bool) -> HealthArgs {
        HealthArgs { listen: Some(listen.to_owned()), live, timeout: Duration::from_secs(10) }
    }

    /// The command's result for a worker that sends this response, and the request line that the worker got.
    fn check(live: bool, answer: &'static str) -> (Result<String, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned()
        });
        let result = args(&address, live).request();
        (result.map_err(|error| error.replace(&address, "HOST")), server.join().unwrap())
    }

    #[test]
    fn a_worker_that_takes_jobs_is_ready() {
        let (result, request) = check(false, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
        assert!(result.unwrap().starts_with("ready: "));
        assert_eq!(request, "GET /readyz HTTP/1.1");
    }

    #[test]
    fn with_live_only_the_process_is_checked() {
        let (result, request) = check(true, "HTTP/1.1 200 OK\r\n\r\n");
        assert!(result.unwrap().starts_with("alive: "));
        assert_eq!(request, "GET /livez HTTP/1.1");
    }

    #[test]
    fn the_reason_of_a_worker_that_is_not_ready_is_passed_on() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\n\r\nRedis is\u{1b}[31m not connected\nmore";
        let expected = "not ready: http://HOST/readyz answered 503: Redis is[31m not connected";
        assert_eq!(check(false, answer).0, Err(expected.to_owned()));
    }

    #[test]
    fn a_response_that_is_not_http_is_not_healthy() {
        let expected = "the response from http://HOST/readyz is not HTTP";
        assert_eq!(check(false, "-ERR unknown command\r\n").0, Err(expected.to_owned()));
    }

    #[test]
    fn without_a_listener_the_worker_is_not_healthy() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let error = args(&address, false).request().unwrap_err();
        assert!(error.contains("does a worker run with --listen there?"), "{error}");
    }

    #[test]
    fn a_worker_that_does_not_respond_in_time_is_not_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut args = args(&listener.local_addr().unwrap().to_string(), false);
        args.timeout = Duration::from_millis(50);
        assert!(args.request().unwrap_err().contains("timed out"));
    }

    #[test]
    fn an_address_is_needed_and_all_addresses_are_reached_on_the_loopback() {
        assert!(args("", false).request().unwrap_err().contains("POSTRIDER_LISTEN"));
        assert!(args("localhost", false).request().unwrap_err().contains("write ADDR:PORT"));
        let reached = |text: &str| reachable(address(text).unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(reached("[::]:9464"), "[::1]:9464");
        assert_eq!(reached("10.1.2.3:80"), "10.1.2.3:80");
    }
}
