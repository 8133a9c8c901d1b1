//! TLS from files: the authorities to trust and the client's certificate, for gRPC and HTTP alike. The provider is `ring`.

use std::path::Path;
use std::sync::Arc;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::{Protocol, Signal, Tls};

pub(super) fn connector(signal: &Signal, uri: &Uri) -> Result<HttpsConnector<HttpConnector>, String> {
    let secure = uri.scheme_str() == Some("https");
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(signal.timeout));
    let builder = HttpsConnectorBuilder::new().with_tls_config(config(&signal.tls, secure)?).https_or_http();
    Ok(match signal.protocol {
        Protocol::Grpc => builder.enable_http2().wrap_connector(http),
        Protocol::HttpProtobuf => builder.enable_http1().wrap_connector(http),
    })
}

fn config(tls: &Tls, secure: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(tls, secure)?);
    let Some((certificate, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    builder.with_client_auth_cert(certificates(certificate)?, key_der).map_err(|error| {
        format!("{} and {} do not go together: {error}", certificate.display(), key.display())
    })
}

/// The system's authorities are read only where they are needed: reading them takes some milliseconds.
fn roots(tls: &Tls, secure: bool) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &tls.authorities {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| unusable(path, &error))?;
        }
    } else if secure {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("the system has no certificate authorities; \
                        OTEL_EXPORTER_OTLP_CERTIFICATE names a file of them"
                .to_owned());
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unusable(path, &error))?;
    if read.is_empty() { Err(format!("{}: no certificate in it", path.display())) } else { Ok(read) }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
