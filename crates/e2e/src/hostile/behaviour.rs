//! How hostile servers behave.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Seen;
use super::h2::{self, Http2, Stream};

/// What the server does with each connection or each request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Nothing listens on the port.
    Refuse,
    /// Accepts and never reads.
    Deaf,
    /// Resets the connection before it reads anything.
    ResetAtOnce,
    /// Resets the connection after it has read the request.
    ResetAfterRequest,
    /// Reads the request and never answers.
    Silent,
    /// Answers each request with these bytes, and keeps the connection open.
    Answer(Vec<u8>),
    /// Answers with these bytes and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Sends these bytes before it receives a request.
    SpeakFirst(Vec<u8>),
    /// Sends the first bytes once, then the second again and again, with a pause.
    Drip(Vec<u8>, Vec<u8>, Duration),
    /// Answers the first request on a connection, and closes it at the first byte of the second.
    CloseAtReuse,
    /// Answers this number of requests on a connection, and closes it after the last one without notice.
    CloseAfter(usize),
    /// HTTP/2.
    Http2(Http2),
    /// A proxy that opens tunnels to the target of CONNECT, with this status.
    Tunnel(&'static str),
}

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(super) async fn serve(
    listener: std::net::TcpListener,
    behaviour: Behaviour,
    acceptor: Option<TlsAcceptor>,
    seen: Arc<Seen>,
) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking listener");
    for number in 0.. {
        let Ok((tcp, _)) = listener.accept().await else { return };
        let (behaviour, acceptor, seen) = (behaviour.clone(), acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            // Many tests make the client close the connection.
            let _ = connection(tcp, behaviour, acceptor, &seen, number == 0).await;
        });
    }
}

async fn connection(
    tcp: TcpStream,
    behaviour: Behaviour,
    acceptor: Option<TlsAcceptor>,
    seen: &Seen,
    first: bool,
) -> io::Result<()> {
    match behaviour {
        Behaviour::Deaf => std::future::pending().await,
        Behaviour::ResetAtOnce => reset(tcp),
        Behaviour::ResetAfterRequest => {
            let mut tcp = tcp;
            request(&mut tcp, seen).await?;
            reset(tcp)
        }
        behaviour => match acceptor {
            None => talk(Box::new(tcp), behaviour, seen, first).await,
            Some(acceptor) => {
                let stream = handshake(&acceptor, tcp, seen).await?;
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let behaviour = match behaviour {
                    Behaviour::Http2(_) if !is_h2 => Behaviour::Answer(OK.into()),
                    behaviour => behaviour,
                };
                talk(Box::new(stream), behaviour, seen, first).await
            }
        },
    }
}

/// On an error it reads to the end of the stream, so that a reset does not overtake the alert.
async fn handshake(acceptor: &TlsAcceptor, tcp: TcpStream, seen: &Seen) -> io::Result<TlsStream<TcpStream>> {
    let stream = match acceptor.accept(tcp).into_fallible().await {
        Ok(stream) => stream,
        Err((error, mut tcp)) => {
            tcp.shutdown().await?;
            tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await?;
            return Err(error);
        }
    };
    if let Some([certificate, ..]) = stream.get_ref().1.peer_certificates() {
        let mut certificates = seen.certificates.lock().expect("no one panics with this lock");
        certificates.push(certificate.to_vec());
    }
    Ok(stream)
}

/// Closing discards unsent bytes, so the peer receives a reset.
fn reset(tcp: TcpStream) -> io::Result<()> {
    tcp.set_zero_linger()
}

async fn talk(mut stream: Box<dyn Stream>, behaviour: Behaviour, seen: &Seen, first: bool) -> io::Result<()> {
    if let Behaviour::Http2(plays) = behaviour {
        return h2::speak(&mut stream, plays, first).await;
    }
    if let Behaviour::SpeakFirst(bytes) = &behaviour {
        stream.write_all(bytes).await?;
        stream.flush().await?;
    }
    for number in 0.. {
        if number == 1 && matches!(behaviour, Behaviour::CloseAtReuse) {
            stream.read_u8().await?;
            return stream.shutdown().await;
        }
        let head = request(&mut stream, seen).await?;
        match &behaviour {
            Behaviour::Answer(bytes) => stream.write_all(bytes).await?,
            Behaviour::AnswerAndClose(bytes) => {
                stream.write_all(bytes).await?;
                return stream.shutdown().await;
            }
            Behaviour::Drip(head, piece, pause) => {
                stream.write_all(head).await?;
                loop {
                    stream.write_all(piece).await?;
                    stream.flush().await?;
                    tokio::time::sleep(*pause).await;
                }
            }
            Behaviour::Tunnel(status) => return tunnel(stream, &head, status).await,
            Behaviour::CloseAtReuse => stream.write_all(OK).await?,
            Behaviour::CloseAfter(requests) => {
                stream.write_all(OK).await?;
                if number + 1 == *requests {
                    return stream.shutdown().await;
                }
            }
            _ => std::future::pending().await,
        }
        stream.flush().await?;
    }
    Ok(())
}

async fn tunnel(mut stream: Box<dyn Stream>, head: &str, status: &str) -> io::Result<()> {
    let place = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let mut beyond = TcpStream::connect(place.unwrap_or_default()).await?;
    stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut beyond).await?;
    Ok(())
}

/// Reads a request to the end of its body, and returns its head.
async fn request(stream: &mut (impl AsyncRead + Unpin), seen: &Seen) -> io::Result<String> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    seen.heads.lock().expect("no one panics with this lock").push(head.clone());
    Ok(head)
}
