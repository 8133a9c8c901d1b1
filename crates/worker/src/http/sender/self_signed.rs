//! Servers that present a certificate of `ca_files` itself. Tools that make a self-signed certificate often make it one
//! of an authority, which webpki accepts only as an issuer. OpenSSL and curl accept it as the server's, too.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

/// Verifies as rustls does, and accepts the trusted certificates themselves.
#[derive(Debug)]
pub(super) struct SelfSigned {
    verifier: Arc<WebPkiServerVerifier>,
    trusted: Arc<[CertificateDer<'static>]>,
}

impl SelfSigned {
    /// `None` where no certificate is configured.
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        trusted: Arc<[CertificateDer<'static>]>,
        provider: Arc<CryptoProvider>,
    ) -> Option<Self> {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build().ok()?;
        (!trusted.is_empty()).then_some(Self { verifier, trusted })
    }
}

/// webpki looks at this after the time of validity.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(error))) = error else { return false };
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for SelfSigned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verified {
            Err(error) if is_authority(&error) && self.trusted.contains(certificate) => {
                // The handshake's signature proves that the server has its key.
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn authority(name: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verified(
        trusted: &CertificateDer<'static>,
        by: &CertificateDer<'static>,
        name: &str,
        year: u64,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = SelfSigned::new(Arc::new(roots), Arc::from([trusted.clone()]), provider).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
        verifier
            .verify_server_cert(by, &[], &ServerName::try_from(name.to_owned()).unwrap(), &[], now)
            .map(|_| ())
    }

    #[test]
    fn a_trusted_authority_may_be_the_server_by_its_name_and_in_its_time() {
        let (own, other) = (authority("a.test"), authority("a.test"));
        assert_eq!(verified(&own, &own, "a.test", 2026), Ok(()));
        let wrong = [
            verified(&own, &other, "a.test", 2026),
            verified(&own, &own, "b.test", 2026),
            verified(&own, &own, "a.test", 2031),
            verified(&own, &own, "a.test", 2019),
        ];
        assert!(wrong.iter().all(Result::is_err), "{wrong:?}");
    }
}
