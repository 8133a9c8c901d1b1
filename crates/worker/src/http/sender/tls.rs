//! TLS: whom to trust, which versions, and who the worker is to those who ask.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Error, RootCertStore};

use super::settings::{HttpConfig, TlsVersion};

/// A client certificate with its chain and key. Its `Debug` does not show the key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// A certificate or key that cannot be used. It never holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system has no root certificates, and none are configured.
    #[error(
        "no root certificates can be loaded{0}; install the system's CA certificates (Debian: ca-certificates)"
    )]
    NoRoots(String),
    /// A file of root certificates.
    #[error("cannot use the CA file {path}: {error}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// A client certificate or its key.
    #[error("the client certificate cannot be used: {0}")]
    Identity(String),
}

impl Identity {
    /// Reads a certificate with its chain, the leaf first, and its key.
    ///
    /// # Errors
    /// Where one of them is not PEM, holds none or cannot be read, or where the key is another certificate's.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
        let chain = chain.map_err(|_| TlsError::Identity("its certificates are not PEM".to_owned()))?;
        if chain.is_empty() {
            return Err(TlsError::Identity("it holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| TlsError::Identity("its key is not a PEM private key".to_owned()))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| {
            TlsError::Identity(match error {
                Error::InconsistentKeys(_) => "its key is that of another certificate".to_owned(),
                other => other.to_string(),
            })
        })?;
        Ok(Self { chain, key })
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Whom to trust: the system's authorities and the configured ones.
pub(super) fn roots(config: &HttpConfig) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    // Single certificates that cannot be read are common, and others may do.
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    for path in &config.ca_files {
        add(path, &mut roots).map_err(|error| TlsError::CaFile { path: path.clone(), error })?;
    }
    if roots.is_empty() {
        let error = found.errors.first().map(|error| format!(": {error}"));
        return Err(TlsError::NoRoots(error.unwrap_or_default()));
    }
    Ok(Arc::new(roots))
}

fn add(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("it holds no PEM certificate".to_owned()) } else { Ok(()) }
}

pub(super) fn client(
    config: &HttpConfig,
    roots: &Arc<RootCertStore>,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, TlsError> {
    const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let versions = match config.min_tls {
        TlsVersion::V1_2 => BOTH,
        TlsVersion::V1_3 => &BOTH[..1],
    };
    let wrong = |error: rustls::Error| TlsError::Identity(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(wrong)?
        .with_root_certificates(Arc::clone(roots));
    let mut tls = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { chain, key }) => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(wrong)?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told_without_showing_it() {
        let error = Identity::from_pem(b"hunter2", b"hunter2").unwrap_err().to_string();
        assert!(error.contains("no certificate") && !error.contains("hunter2"), "{error}");
    }
}
