//! A destination that answers each request at once, with as little work as can be.
//!
//! It shares the machine with what is measured, so it does not parse more of HTTP than where a request ends. It
//! runs on a thread of its own, as long as the process.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Starts it on a free port of the loopback address and returns its URL.
pub(crate) fn start() -> String {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    let address = listener.local_addr().expect("a listener has an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        runtime.expect("a runtime needs no more than a few file descriptors").block_on(serve(listener));
    });
    format!("http://{address}/")
}

async fn serve(listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking listener");
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // A client that is killed in the middle is the end of each run.
            let _ = answer(stream).await;
        });
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4096);
    while stream.read_buf(&mut bytes).await? > 0 {
        while let Some(length) = request_length(&bytes) {
            bytes.drain(..length);
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}

/// The length of the first request in `bytes`, if all of it has come. Its body has a `content-length`.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let lines = bytes[..head].split(|byte| *byte == b'\n');
    let length = lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
    let length =
        length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).find_map(|(_, value)| {
            let length: usize = value.trim().parse().ok()?;
            Some(length)
        });
    let request = head + length.unwrap_or(0);
    (bytes.len() >= request).then_some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_its_body() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiPOST";
        assert_eq!(request_length(request), Some(request.len() - 4));
        assert_eq!(request_length(&request[..request.len() - 5]), None);
    }
}
