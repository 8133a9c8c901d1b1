//! TLS: trusted authorities, versions, and client certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::self_signed::SelfSigned;
use super::settings::{HttpConfig, TlsVersion};
use crate::http::secrets::{BadIdentity, Identity};

/// A certificate or key that cannot be used. The error never contains a part of it.
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
    #[error(transparent)]
    Identity(#[from] BadIdentity),
}

/// What is trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    /// The authorities: the system's and the configured ones.
    roots: Arc<RootCertStore>,
    /// The configured certificates.
    own: Arc<[CertificateDer<'static>]>,
}

/// Reads what is trusted.
pub(super) fn trusted(config: &HttpConfig) -> Result<Trusted, TlsError> {
    let (mut roots, mut own) = (RootCertStore::empty(), Vec::new());
    // Single unreadable certificates are common, and the others may be enough.
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    for path in &config.ca_files {
        add(path, &mut roots, &mut own).map_err(|error| TlsError::CaFile { path: path.clone(), error })?;
    }
    if roots.is_empty() {
        let error = found.errors.first().map(|error| format!(": {error}"));
        return Err(TlsError::NoRoots(error.unwrap_or_default()));
    }
    Ok(Trusted { roots: Arc::new(roots), own: own.into() })
}

fn add(path: &Path, roots: &mut RootCertStore, own: &mut Vec<CertificateDer<'static>>) -> Result<(), String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let before = own.len();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate.clone()).map_err(|error| error.to_string())?;
        own.push(certificate);
    }
    if own.len() == before { Err("it contains no PEM certificate".to_owned()) } else { Ok(()) }
}

pub(super) fn client(
    config: &HttpConfig,
    trusted: &Trusted,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, TlsError> {
    const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let versions = match config.min_tls {
        TlsVersion::V1_2 => BOTH,
        TlsVersion::V1_3 => &BOTH[..1],
    };
    let wrong = |error: rustls::Error| TlsError::Identity(BadIdentity(error.to_string()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(wrong)?;
    let roots = Arc::clone(&trusted.roots);
    let builder = match SelfSigned::new(roots.clone(), Arc::clone(&trusted.own), provider) {
        Some(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        None => builder.with_root_certificates(roots),
    };
    let mut tls = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let Identity { chain, key } = identity.clone();
            builder.with_client_auth_cert(chain, key).map_err(wrong)?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

/// The same without HTTP/2.
pub(super) fn http1_only(tls: &ClientConfig) -> Arc<ClientConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(tls)
}

#[cfg(test)]
impl Trusted {
    /// Trusts nobody.
    pub(super) fn nobody() -> Self {
        Self { roots: Arc::new(RootCertStore::empty()), own: Arc::default() }
    }
}
