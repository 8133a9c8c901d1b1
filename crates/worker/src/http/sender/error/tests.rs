//! Tests of the errors and of their sentences.

use super::*;

#[test]
fn a_failed_handshake_says_what_to_do() {
    let told = |error: rustls::Error| description(&std::io::Error::other(error));
    let plain = told(rustls::InvalidMessage::InvalidContentType.into());
    assert!(plain.ends_with("; it speaks no TLS here; is it http?"), "{plain}");
    let unknown = told(CertificateError::UnknownIssuer.into());
    assert!(unknown.contains("UnknownIssuer") && unknown.contains("`ca_files`"), "{unknown}");
    let expired = told(CertificateError::Expired.into());
    assert!(expired.contains("Expired") && !expired.contains("ca_files"), "{expired}");
}
