//! Certificates with flaws.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// What is wrong with a certificate or its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It has expired.
    Expired,
    /// It is for another host.
    WrongHost,
    /// Its server supports no TLS newer than 1.2.
    OldVersion,
    /// Its server does not use TLS.
    Plain,
    /// Nothing, but it is that of an authority, as many tools make self-signed ones.
    Authority,
}

/// A self-signed certificate for `localhost` and 127.0.0.1.
pub struct Certificate {
    /// For clients that must trust it.
    pub pem: String,
    server: Arc<ServerConfig>,
}

impl Certificate {
    /// Creates one for a server that offers these protocols (ALPN).
    ///
    /// # Panics
    ///
    /// If the machine has no random numbers.
    pub fn new(flaw: Flaw, protocols: &[&str]) -> Certificate {
        Certificate::make(flaw, protocols, None)
    }

    /// Creates one for an HTTP/1.1 server that rejects each client without this client certificate.
    ///
    /// # Panics
    ///
    /// If the machine has no random numbers.
    pub fn demanding(client: &Identity) -> Certificate {
        Certificate::make(Flaw::None, &["http/1.1"], Some(client))
    }

    fn make(flaw: Flaw, protocols: &[&str], client: Option<&Identity>) -> Certificate {
        let names: &[&str] = match flaw {
            Flaw::WrongHost => &["other.test"],
            _ => &["localhost", "127.0.0.1"],
        };
        let mut params = params(names);
        if flaw == Flaw::Expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        if flaw == Flaw::Authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions =
            if flaw == Flaw::OldVersion { &[&rustls::version::TLS12][..] } else { rustls::ALL_VERSIONS };
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("ring has all versions");
        let server = match client {
            None => server.with_no_client_auth(),
            Some(client) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from(client.der.clone())).expect("it is a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                server.with_client_cert_verifier(verifier.build().expect("it has an authority"))
            }
        };
        let mut server = server
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is that of the certificate");
        server.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Certificate { pem: certificate.pem(), server: Arc::new(server) }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }
}

/// A client's self-signed certificate with its key.
pub struct Identity {
    /// The certificate in PEM.
    pub cert: String,
    /// The key in PEM.
    pub key: String,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Identity {
    /// Creates one for this name.
    ///
    /// # Panics
    ///
    /// If the machine has no random numbers.
    pub fn new(name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params(&[name]).self_signed(&key).expect("a certificate can be signed");
        Identity { cert: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("these are names")
}
