//! Destinations and proxies that misbehave, in raw bytes where a library would be too polite.

mod front;
mod h2;
mod play;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::background::Background;
use crate::sink;

pub use front::TlsFront;
pub use h2::Http2;
pub use play::Play;
pub use tls::{Certificate, Flaw, Identity};

/// What a hostile server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    heads: Mutex<Vec<String>>,
    /// In DER: the client's own certificate of each handshake in which it showed one.
    certificates: Mutex<Vec<Vec<u8>>>,
}

/// A running hostile server on a free port of the loopback address.
pub struct Hostile {
    address: SocketAddr,
    seen: Arc<Seen>,
    _server: Option<Background>,
}

impl Hostile {
    /// Starts one; with a certificate it speaks TLS.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn start(play: Play, certificate: Option<&Certificate>) -> Hostile {
        let (listener, address) = sink::listen();
        let seen = Arc::<Seen>::default();
        let server = match play {
            // Nobody listens there any more.
            Play::Refuse => None,
            play => {
                let serve = play::serve(listener, play, certificate.map(Certificate::acceptor), seen.clone());
                Some(Background::start("hostile", serve))
            }
        };
        Hostile { address, seen, _server: server }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of the requests until now.
    ///
    /// # Panics
    ///
    /// When a thread has panicked with the lock.
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("no one panics with this lock").clone()
    }

    /// The certificates, in DER, that clients have shown until now: one for each handshake with one.
    ///
    /// # Panics
    ///
    /// When a thread has panicked with the lock.
    pub fn client_certificates(&self) -> Vec<Vec<u8>> {
        self.seen.certificates.lock().expect("no one panics with this lock").clone()
    }
}
