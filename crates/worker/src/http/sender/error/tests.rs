//! Tests of the errors and of their sentences.

use super::*;

#[test]
fn a_failed_handshake_reports_what_to_do() {
    let described = |error: rustls::Error| description(&std::io::Error::other(error));
    let plain = described(rustls::InvalidMessage::InvalidContentType.into());
    assert!(plain.ends_with("; it speaks no TLS here; is it http?"), "{plain}");
    let unknown = described(CertificateError::UnknownIssuer.into());
    assert!(unknown.contains("UnknownIssuer") && unknown.contains("`ca_files`"), "{unknown}");
    let expired = described(CertificateError::Expired.into());
    assert!(expired.contains("Expired") && !expired.contains("ca_files"), "{expired}");
}
