//! Certificates with flaws.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Its time has passed.
    Expired,
    /// It is another host's.
    WrongHost,
}

/// A certificate, its own authority, for `localhost` and 127.0.0.1.
pub struct Certificate {
    /// For those who are to trust it.
    pub pem: String,
    server: Arc<ServerConfig>,
}

impl Certificate {
    /// Makes one, offered for these protocols (ALPN).
    ///
    /// # Panics
    ///
    /// When the machine has no random numbers.
    pub fn new(flaw: Flaw, protocols: &[&str]) -> Certificate {
        let names: &[&str] = match flaw {
            Flaw::WrongHost => &["other.test"],
            _ => &["localhost", "127.0.0.1"],
        };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("these are names");
        if flaw == Flaw::Expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has all versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is that of the certificate");
        server.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Certificate { pem: certificate.pem(), server: Arc::new(server) }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }
}
