//! Connections to the receiver. Their first bytes show whether the receiver speaks the configured protocol; the errors
//! of HTTP clients do not distinguish an HTTP server from one with TLS.

use std::error::Error;
use std::io::Result as IoResult;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use super::mistake::Mistake;
use super::observer::{ConnectionState, ResponseObserver};
use super::refusal::with_causes;
use crate::Protocol;

type Stream = TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>;
type BoxError = Box<dyn Error + Send + Sync>;

/// Makes connections, and notes in the observer what is wrong with the last one.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    connector: HttpsConnector<HttpConnector>,
    protocol: Protocol,
    observer: Arc<ResponseObserver>,
}

impl Connector {
    pub(super) fn new(
        connector: HttpsConnector<HttpConnector>,
        protocol: Protocol,
        observer: Arc<ResponseObserver>,
    ) -> Self {
        Self { connector, protocol, observer }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ObservedStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (protocol, observer) = (self.protocol, self.observer.clone());
        let connecting = self.connector.call(uri);
        Box::pin(async move {
            match connecting.await {
                Ok(stream) => {
                    let stream = TokioIo::new(stream);
                    Ok(TokioIo::new(ObservedStream { stream, protocol, observer: Some(observer) }))
                }
                Err(error) => {
                    let mistake = mistake_in_handshake(&*error, protocol);
                    observer.connection(mistake.map_or_else(
                        || ConnectionState::Failed(with_causes(&*error)),
                        ConnectionState::Mistaken,
                    ));
                    Err(error)
                }
            }
        })
    }
}

/// A connection whose first bytes are judged.
pub(super) struct ObservedStream {
    stream: Stream,
    protocol: Protocol,
    /// `None` after the first bytes.
    observer: Option<Arc<ResponseObserver>>,
}

impl Connection for ObservedStream {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl ObservedStream {
    fn judge(&mut self, bytes: &[u8]) {
        let Some(observer) = self.observer.take() else { return };
        // A connection that is closed without a byte shows nothing new.
        if !bytes.is_empty() {
            let mistake = mistake_in_first_bytes(bytes, self.protocol);
            observer.connection(mistake.map_or(ConnectionState::Fine, ConnectionState::Mistaken));
        }
    }

    /// A receiver may answer and close the connection before the request is written. The error waits for the answer then,
    /// since the HTTP client does not read after it: a closed connection is always readable, and its write fails again.
    fn judge_failed_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<IoResult<usize>>,
    ) -> Poll<IoResult<usize>> {
        if self.observer.is_none() || !matches!(written, Poll::Ready(Err(_))) {
            return written;
        }
        let mut bytes = [0; 16];
        let mut buffer = ReadBuf::new(&mut bytes);
        if Pin::new(&mut self.stream).poll_read(context, &mut buffer).is_pending() {
            return Poll::Pending;
        }
        self.judge(buffer.filled());
        written
    }
}

impl AsyncRead for ObservedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<IoResult<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.judge(&buffer.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for ObservedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<IoResult<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge_failed_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<IoResult<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge_failed_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The response of an HTTP/1 server, an alert of TLS, or the first frame of an HTTP/2 server, which gRPC servers send
/// unasked.
fn mistake_in_first_bytes(bytes: &[u8], protocol: Protocol) -> Option<Mistake> {
    const SETTINGS: u8 = 4;
    match (protocol, bytes) {
        (_, [0x15, 0x03, ..]) => Some(Mistake::SpeaksTls),
        (Protocol::Grpc, [b'H', b'T', b'T', b'P', b'/', ..]) => Some(Mistake::SpeaksHttp),
        (Protocol::HttpProtobuf, [0, 0, _, SETTINGS, _, 0, 0, 0, 0, ..]) => Some(Mistake::SpeaksGrpc),
        _ => None,
    }
}

/// The receiver answers the start of TLS with something else, or knows none of the protocols that are offered.
fn mistake_in_handshake(error: &(dyn Error + 'static), protocol: Protocol) -> Option<Mistake> {
    let mut causes = std::iter::successors(Some(error), |error| error_within(*error));
    causes.find_map(|error| match error.downcast_ref()? {
        rustls::Error::InvalidMessage(_) => Some(Mistake::SpeaksNoTls),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => Some(match protocol {
            Protocol::Grpc => Mistake::SpeaksHttp,
            Protocol::HttpProtobuf => Mistake::SpeaksGrpc,
        }),
        _ => None,
    })
}

/// The cause of an error. An I/O error names as its cause the cause of the error that it wraps, so this one is looked at
/// first.
fn error_within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped))
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::InvalidMessage;

    use super::*;

    #[test]
    fn the_first_bytes_show_what_a_receiver_speaks() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5];
        let response = b"HTTP/1.1 400 Bad Request";
        let alert = [0x15, 3, 1, 0, 2, 2, 70];
        let (grpc, http) = (Protocol::Grpc, Protocol::HttpProtobuf);
        assert_eq!(mistake_in_first_bytes(&settings, http), Some(Mistake::SpeaksGrpc));
        assert_eq!(mistake_in_first_bytes(&settings, grpc), None);
        assert_eq!(mistake_in_first_bytes(response, grpc), Some(Mistake::SpeaksHttp));
        assert_eq!(mistake_in_first_bytes(response, http), None);
        assert_eq!(mistake_in_first_bytes(&alert, grpc), Some(Mistake::SpeaksTls));
        assert_eq!(mistake_in_first_bytes(&alert, http), Some(Mistake::SpeaksTls));
        assert_eq!(mistake_in_first_bytes(&[], grpc), None, "it was closed");
    }

    #[test]
    fn a_failed_handshake_shows_it_too() {
        let wrapped =
            |error: rustls::Error| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        let mistake = |error, protocol| mistake_in_handshake(&wrapped(error), protocol);
        let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert_eq!(mistake(plain, Protocol::Grpc), Some(Mistake::SpeaksNoTls));
        let no_protocol = || rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(mistake(no_protocol(), Protocol::Grpc), Some(Mistake::SpeaksHttp));
        assert_eq!(mistake(no_protocol(), Protocol::HttpProtobuf), Some(Mistake::SpeaksGrpc));
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert_eq!(mistake(expired, Protocol::Grpc), None);
    }
}
