//! A client that sends the same request again and again over some connections, as fast as it is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::measure::Latency;

/// What the client saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) per_second: f64,
    pub(crate) latency: Latency,
}

/// A POST of a body.
pub(crate) fn post(path: &str, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends the request over `connections` for `time`. The first fifth of the time is the warm-up.
///
/// # Panics
///
/// If a connection fails, or an answer is not 201.
pub(crate) fn load(address: SocketAddr, request: &[u8], connections: usize, time: Duration) -> Answered {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs no more than a few file descriptors");
    let (begin, end) = (Instant::now() + time / 5, Instant::now() + time);
    let all = runtime.block_on(async {
        let clients = (0..connections).map(|_| client(address, request, begin, end));
        futures_util::future::join_all(clients).await.concat()
    });
    assert!(!all.is_empty(), "{address} has answered nothing");
    Answered { per_second: all.len() as f64 / (time * 4 / 5).as_secs_f64(), latency: Latency::of(all) }
}

/// How long each answer took that arrived in that time.
async fn client(address: SocketAddr, request: &[u8], begin: Instant, end: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("the program listens");
    stream.set_nodelay(true).expect("a TCP stream can send at once");
    let (mut took, mut bytes) = (vec![], Vec::with_capacity(64 * 1024));
    while Instant::now() < end {
        let sent = Instant::now();
        stream.write_all(request).await.expect("the program reads requests");
        answer(&mut stream, &mut bytes).await;
        let now = Instant::now();
        if now >= begin && now < end {
            took.push(now - sent);
        }
    }
    took
}

/// Reads one answer to its end.
async fn answer(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    bytes.clear();
    loop {
        assert!(stream.read_buf(bytes).await.expect("the program answers") > 0, "the connection was closed");
        let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let length: usize = length.expect("an answer has a length");
        if bytes.len() >= end + 4 + length {
            assert!(head.starts_with("http/1.1 201"), "{}", String::from_utf8_lossy(bytes));
            return;
        }
    }
}
