//! Destinations and proxies that misbehave. They write raw bytes where a library would send only valid HTTP.

mod behaviour;
mod front;
mod h2;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::background::Background;
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
    _server: Option<Background>,
}

impl Hostile {
    /// Starts one. With a certificate it uses TLS.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub fn start(behaviour: Behaviour, certificate: Option<&Certificate>) -> Hostile {
        let (listener, address) = sink::listen();
        let seen = Arc::<Seen>::default();
        let server = match behaviour {
            // The listener is dropped, so nothing listens there.
            Behaviour::Refuse => None,
            behaviour => {
                let serve = behaviour::serve(
                    listener,
                    behaviour,
                    certificate.map(Certificate::acceptor),
                    seen.clone(),
                );
                Some(Background::start("hostile", serve))
            }
        };
        Hostile { address, seen, _server: server }
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
