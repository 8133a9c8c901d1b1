//! A destination that records the exact bytes of each request.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::paths::Paths;
use crate::background::Background;
use crate::wait;

/// Answers each request with the status of its path, like [`Sink`](super::Sink), without a body, and keeps
/// the connection open.
pub struct RawSink {
    address: SocketAddr,
    record: Arc<Record>,
    _server: Background,
}

#[derive(Default)]
struct Record {
    requests: Mutex<Vec<Vec<u8>>>,
    paths: Paths,
}

impl RawSink {
    /// Starts it on a free port of the loopback address.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start() -> RawSink {
        let (listener, address) = super::listen();
        let record = Arc::new(Record::default());
        let server = Background::start("raw sink", serve(listener, Arc::clone(&record)));
        RawSink { address, record, _server: server }
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, each from the first byte of its head to the last of its body.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.record.requests.lock().expect("no one panics with this lock").clone()
    }

    /// Waits for the first `count` requests and returns all.
    ///
    /// # Panics
    ///
    /// If they do not arrive within `deadline`.
    pub fn wait_for(&self, count: usize, deadline: Duration) -> Vec<Vec<u8>> {
        wait::eventually(&format!("{count} requests at the raw sink"), deadline, || {
            Some(self.requests()).filter(|requests| requests.len() >= count)
        })
    }
}

async fn serve(listener: std::net::TcpListener, record: Arc<Record>) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking listener");
    while let Ok((stream, _)) = listener.accept().await {
        let record = Arc::clone(&record);
        tokio::spawn(async move {
            // A client that disconnects ends only its connection.
            let _ = converse(stream, &record).await;
        });
    }
}

async fn converse(mut stream: TcpStream, record: &Record) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let length = loop {
            if let Some(length) = request_length(&bytes) {
                break length;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let rest = bytes.split_off(length);
        let request = std::mem::replace(&mut bytes, rest);
        let status = record.paths.status(&path(&request));
        record.requests.lock().expect("no one panics with this lock").push(request);
        let answer = format!("HTTP/1.1 {} as asked for\r\ncontent-length: 0\r\n\r\n", status.as_u16());
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The path of a request, without its query.
fn path(request: &[u8]) -> String {
    let target = request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    String::from_utf8_lossy(path).into_owned()
}

/// The length of the first request, once it is complete.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding: chunked") {
        return find(&bytes[head..], b"0\r\n\r\n").map(|end| head + end + 5);
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = head + length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::{path, request_length};

    #[test]
    fn a_path_ends_before_its_query() {
        assert_eq!(path(b"GET /status/503?a=1 HTTP/1.1\r\n\r\n"), "/status/503");
    }

    #[test]
    fn a_request_ends_with_its_body() {
        assert_eq!(request_length(b"GET / HTTP/1.1\r\n\r\n"), Some(18));
        assert_eq!(request_length(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na"), None);
        assert_eq!(request_length(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET"), Some(40));
    }
}
