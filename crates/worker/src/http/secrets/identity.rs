//! Client certificates.

use rustls::Error;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A client certificate with its chain and key. Its `Debug` does not show the key.
#[derive(Debug)]
pub struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A client certificate or key that cannot be used. The error never contains a part of it.
#[derive(Debug, thiserror::Error)]
#[error("the client certificate cannot be used: {0}")]
pub struct BadIdentity(pub(crate) String);

impl Identity {
    /// Reads a certificate with its chain, the leaf first, and its key.
    ///
    /// # Errors
    /// If one of them is not PEM, is missing or cannot be read, or if the key belongs to another certificate.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, BadIdentity> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
        let chain = chain.map_err(|_| BadIdentity("its certificates are not PEM".to_owned()))?;
        if chain.is_empty() {
            return Err(BadIdentity("it contains no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| BadIdentity("its key is not a PEM private key".to_owned()))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| {
            BadIdentity(match error {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_a_certificate_is_refused_without_showing_it() {
        let error = Identity::from_pem(b"hunter2", b"hunter2").unwrap_err().to_string();
        assert!(error.contains("no certificate") && !error.contains("hunter2"), "{error}");
    }
}
