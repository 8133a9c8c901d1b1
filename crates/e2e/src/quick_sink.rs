//! A destination that responds with as little work as possible, at once or after a delay.
//!
//! It shares the machine with the measured program, so it only parses where an HTTP request ends. It runs on
//! its own thread until the process ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// A body that starts with this, followed by a number and a space, contains the time when it was sent.
const STAMP: &[u8] = b"sent-at ";

/// The destination, and what it has received.
#[derive(Clone)]
pub struct QuickSink {
    urls: Vec<String>,
    seen: Arc<Seen>,
}

struct Seen {
    /// Stamps count from here.
    start: Instant,
    delay: Duration,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    latencies: Mutex<Vec<Duration>>,
}

impl QuickSink {
    /// Starts it on a free port of the loopback address. It responds after `delay`.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start(delay: Duration) -> QuickSink {
        let socket = bound(Ipv4Addr::LOCALHOST, None);
        let address = socket.local_addr().expect("a bound socket has an address");
        QuickSink::serve(socket, vec![format!("http://{address}/")], delay)
    }

    /// Starts it at that many addresses of the loopback network, on one port, with one listener: each is a host of its
    /// own. Other networks do not reach it, since it is bound to the loopback device.
    ///
    /// # Panics
    ///
    /// If no port is free, or there are more than 60,000 hosts.
    pub fn start_at(hosts: u16, delay: Duration) -> QuickSink {
        assert!(hosts <= 60_000, "{hosts} hosts");
        let socket = bound(Ipv4Addr::UNSPECIFIED, Some(b"lo"));
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let urls = (0..hosts).map(|host| {
            let [third, fourth] = (host + 256).to_be_bytes();
            format!("http://{}/", SocketAddr::from((Ipv4Addr::new(127, 3, third, fourth), port)))
        });
        QuickSink::serve(socket, urls.collect(), delay)
    }

    fn serve(socket: TcpSocket, urls: Vec<String>, delay: Duration) -> QuickSink {
        let seen = Arc::new(Seen {
            start: Instant::now(),
            delay,
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            latencies: Mutex::default(),
        });
        let own = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
            runtime
                .expect("a runtime needs no more than a few file descriptors")
                .block_on(serve(socket, own));
        });
        QuickSink { urls, seen }
    }

    /// Its URL, or the first one.
    pub fn url(&self) -> &str {
        &self.urls[0]
    }

    /// A URL for each host.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// How many requests it has received and not answered.
    pub fn under_way(&self) -> usize {
        self.seen.under_way.load(Ordering::Relaxed)
    }

    /// How many requests it has received.
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// A body of 512 bytes for a job that is enqueued now.
    pub fn stamped_body(&self) -> String {
        let stamp = String::from_utf8_lossy(STAMP);
        format!("{:x<512}", format!("{stamp}{} ", self.seen.start.elapsed().as_nanos()))
    }

    /// The latencies, from enqueue to arrival, of the stamped jobs that arrived since the last call.
    ///
    /// # Panics
    ///
    /// Never, as no thread panics with the lock.
    pub fn take_latencies(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.seen.latencies.lock().expect("no one panics with this lock"))
    }
}

/// A socket on a free port, at one device only if one is given.
pub(crate) fn bound(address: Ipv4Addr, device: Option<&[u8]>) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.bind_device(device).expect("a new socket can be bound to a device");
    socket.bind(SocketAddr::from((address, 0))).expect("a loopback port is free");
    socket
}

async fn serve(socket: TcpSocket, seen: Arc<Seen>) {
    let listener = socket.listen(BACKLOG).expect("the runtime takes the socket");
    loop {
        let (stream, seen) = (accepted(&listener).await, Arc::clone(&seen));
        tokio::spawn(async move {
            // Each run ends by killing the client within a request.
            let _ = answer(stream, &seen).await;
        });
    }
}

/// The next connection. Where descriptors are lacking, it waits until others have ended.
pub(crate) async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Counts a request until it is dropped.
pub(crate) struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    pub(crate) fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(mut stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4096);
    while stream.read_buf(&mut bytes).await? > 0 {
        while let Some((head, length)) = request(&bytes) {
            seen.requests.fetch_add(1, Ordering::Relaxed);
            if let Some(sent) = stamp(&bytes[head..length]) {
                let latency = seen.start.elapsed().saturating_sub(sent);
                seen.latencies.lock().expect("no one panics with this lock").push(latency);
            }
            bytes.drain(..length);
            if !seen.delay.is_zero() {
                let _under_way = UnderWay::begin(&seen.under_way);
                tokio::time::sleep(seen.delay).await;
            }
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}

/// The lengths of the first request's head and of the whole request, if it has arrived. Its body has a
/// `content-length`.
fn request(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let lines = bytes[..head].split(|byte| *byte == b'\n');
    let length = lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
    let length =
        length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).find_map(|(_, value)| {
            let length: usize = value.trim().parse().ok()?;
            Some(length)
        });
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some((head, whole))
}

fn stamp(body: &[u8]) -> Option<Duration> {
    let number = body.strip_prefix(STAMP)?.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(number).ok()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_its_body() {
        let bytes = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiPOST";
        assert_eq!(request(bytes), Some((bytes.len() - 6, bytes.len() - 4)));
        assert_eq!(request(&bytes[..bytes.len() - 5]), None);
    }

    #[test]
    fn a_stamp_is_the_time_it_was_written() {
        let body = QuickSink::start(Duration::ZERO).stamped_body();
        assert_eq!(body.len(), 512);
        assert!(stamp(body.as_bytes()).is_some_and(|sent| sent < Duration::from_secs(60)));
        assert_eq!(stamp(b"xxxx"), None);
    }
}
