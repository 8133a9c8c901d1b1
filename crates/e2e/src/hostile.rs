//! Destinations and proxies that misbehave. They write raw bytes where a library would send only valid HTTP.

mod behaviour;
mod front;
mod h2;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::TcpSocket;

use crate::background::Background;
use crate::quick_sink::bound;
use crate::sink;

pub use behaviour::Behaviour;
pub use front::TlsFront;
pub use h2::Http2;
pub use tls::{Certificate, Flaw, Identity};

/// What a hostile server has received.
#[derive(Default)]
pub(crate) struct Seen {
    heads: Mutex<Vec<String>>,
    /// The client certificate of each handshake that has one, in DER.
    certificates: Mutex<Vec<Vec<u8>>>,
}

/// A running hostile server on a free port of the loopback address.
pub struct Hostile {
    address: SocketAddr,
    seen: Arc<Seen>,
    _server: Server,
}

/// What has the port.
enum Server {
    Runs(#[expect(dead_code, reason = "it runs until it is dropped")] Background),
    Refuses(#[expect(dead_code, reason = "nobody else gets its port")] TcpSocket),
}

impl Hostile {
    /// Starts one. With a certificate it uses TLS.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start(behaviour: Behaviour, certificate: Option<&Certificate>) -> Hostile {
        let seen = Arc::<Seen>::default();
        if matches!(behaviour, Behaviour::Refuse) {
            // It does not listen. A listener that is dropped would leave the port to another test.
            let socket = bound(Ipv4Addr::LOCALHOST, None);
            let address = socket.local_addr().expect("a bound socket has an address");
            return Hostile { address, seen, _server: Server::Refuses(socket) };
        }
        let (listener, address) = sink::listen();
        let acceptor = certificate.map(Certificate::acceptor);
        let serve = behaviour::serve(listener, behaviour, acceptor, seen.clone());
        Hostile { address, seen, _server: Server::Runs(Background::start("hostile", serve)) }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of the requests so far.
    ///
    /// # Panics
    ///
    /// If a thread panicked while it held the lock.
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("no one panics with this lock").clone()
    }

    /// The client certificates so far, in DER: one for each handshake that has one.
    ///
    /// # Panics
    ///
    /// If a thread panicked while it held the lock.
    pub fn client_certificates(&self) -> Vec<Vec<u8>> {
        self.seen.certificates.lock().expect("no one panics with this lock").clone()
    }
}
