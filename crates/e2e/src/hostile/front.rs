//! TLS in front of a server that has none.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::Certificate;
use crate::background::Background;
use crate::sink;

/// Terminates TLS on a free port of the loopback address and forwards the bytes. Its port closes when
/// dropped.
pub struct TlsFront {
    /// Where it listens.
    pub port: u16,
    _server: Background,
}

impl TlsFront {
    /// In front of a server on that port.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start(server: u16, certificate: &Certificate) -> TlsFront {
        let (listener, address) = sink::listen();
        let acceptor = certificate.acceptor();
        let serve = async move {
            let listener = TcpListener::from_std(listener).expect("the runtime takes the listener");
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust the certificate closes the connection.
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        };
        TlsFront { port: address.port(), _server: Background::start("tls", serve) }
    }
}
