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
pub use play::Play;
pub use tls::{Certificate, Flaw};

/// What a hostile server has seen.
pub(crate) type Heads = Arc<Mutex<Vec<String>>>;

/// A running hostile server on a free port of the loopback address.
pub struct Hostile {
    address: SocketAddr,
    heads: Heads,
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
        let heads = Heads::default();
        let server = match play {
            // Nobody listens there any more.
            Play::Refuse => None,
            play => {
                let serve =
                    play::serve(listener, play, certificate.map(Certificate::acceptor), heads.clone());
                Some(Background::start("hostile", serve))
            }
        };
        Hostile { address, heads, _server: server }
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
        self.heads.lock().expect("no one panics with this lock").clone()
    }
}
