//! A tunnel through an HTTP proxy (RFC 9110 §9.3.6).

use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::BoxError;

/// Bytes of the proxy's responses. Honest ones have fewer.
const BYTES_MAX: usize = 64 * 1024;
/// Headers of a response. Honest ones have fewer.
const HEADERS_MAX: usize = 256;

/// The proxy does not connect to the destination.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTunnel {
    #[error("it answered CONNECT with {0}; it must allow CONNECT to this port")]
    Status(StatusCode),
    #[error("it answered CONNECT with {0}: it requires a user and a password that it accepts")]
    Credentials(StatusCode),
    #[error("its answer to CONNECT is not HTTP")]
    Malformed(#[from] httparse::Error),
    #[error("its answer to CONNECT is longer than {BYTES_MAX} bytes")]
    TooLong,
    #[error("it closed the connection instead of answering CONNECT")]
    Closed,
    #[error("it sent bytes after its answer to CONNECT that are not the destination's")]
    Bytes,
}

/// Asks a proxy for a tunnel to `place`, `HOST:PORT`. Every 2xx opens it. The caller sets a deadline.
pub(super) async fn tunnel(
    mut stream: TcpStream,
    place: &str,
    authorization: Option<&HeaderValue>,
) -> Result<TcpStream, BoxError> {
    let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        request.extend([b"Proxy-Authorization: ", authorization.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    stream.write_all(&request).await?;
    let mut answer = Vec::with_capacity(1024);
    let (end, status) = loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(NoTunnel::Closed.into());
        }
        match final_status(&answer)? {
            Some(found) => break found,
            None if answer.len() > BYTES_MAX => return Err(NoTunnel::TooLong.into()),
            None => {}
        }
    };
    match StatusCode::from_u16(status)? {
        // TLS begins with the client.
        status if status.is_success() && end < answer.len() => Err(NoTunnel::Bytes.into()),
        status if status.is_success() => Ok(stream),
        status @ StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(NoTunnel::Credentials(status).into()),
        status => Err(NoTunnel::Status(status).into()),
    }
}

/// The end of the first head that is not interim, and its status. `None` if it is not there yet.
fn final_status(answer: &[u8]) -> Result<Option<(usize, u16)>, NoTunnel> {
    let mut begin = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(&answer[begin..])? else { return Ok(None) };
        begin += length;
        match response.code {
            Some(100..=199) => {}
            code => return Ok(code.map(|code| (begin, code))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The head that a proxy got, and the tunnel that its answer opens, or the error.
    async fn asked(answer: &'static str) -> (String, Result<TcpStream, BoxError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut head).await.unwrap() > 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            (String::from_utf8(head).unwrap(), stream)
        };
        let authorization = HeaderValue::from_static("Basic eA==");
        let client = async {
            let stream = TcpStream::connect(address).await.unwrap();
            tunnel(stream, "example.org:443", Some(&authorization)).await
        };
        let ((head, mut stream), client) = tokio::join!(proxy, client);
        if client.is_ok() {
            stream.write_all(b"beyond").await.unwrap();
        }
        (head, client)
    }

    #[tokio::test]
    async fn every_2xx_opens_a_tunnel() {
        for answer in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 299 x\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        ] {
            let (head, stream) = asked(answer).await;
            assert!(head.starts_with("CONNECT example.org:443 HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("\r\nHost: example.org:443\r\n"), "{head}");
            assert!(head.contains("\r\nProxy-Authorization: Basic eA==\r\n"), "{head}");
            let mut beyond = [0; 6];
            stream.expect(answer).read_exact(&mut beyond).await.unwrap();
            assert_eq!(&beyond, b"beyond", "{answer}");
        }
    }

    #[tokio::test]
    async fn another_status_is_in_the_error() {
        for (answer, reason) in [
            ("HTTP/1.1 407 x\r\ncontent-length: 0\r\n\r\n", "407 Proxy Authentication Required: it requires"),
            ("HTTP/1.1 502 x\r\ncontent-length: 3\r\n\r\nno!", "CONNECT with 502 Bad Gateway"),
            ("HTTP/1.1 301 x\r\n\r\n", "CONNECT with 301 Moved Permanently"),
        ] {
            let error = asked(answer).await.1.expect_err(answer).to_string();
            assert!(error.contains(reason), "{error}");
        }
        let error = asked("HTTP/1.1 200 OK\r\n\r\n220 mail").await.1.expect_err("bytes").to_string();
        assert!(error.contains("sent bytes"), "{error}");
        let error = asked("SSH-2.0-OpenSSH\r\n\r\n").await.1.expect_err("no HTTP").to_string();
        assert!(error.contains("is not HTTP"), "{error}");
    }
}
