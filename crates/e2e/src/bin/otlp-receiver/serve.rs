//! Connections to the ports of both protocols, with or without TLS.

use std::convert::Infallible;
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Serves HTTP/1.1 or HTTP/2 on that listener until it fails.
pub(crate) async fn serve<S, F, B>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S,
) -> std::io::Result<()>
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let (tls, service) = (tls.clone(), service.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(stream, service).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, service).await;
                    }
                }
            }
        });
    }
}

async fn connection<I, S, F, B>(stream: I, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // A connection error only concerns its client.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(service))
        .await;
}

/// Configures TLS from `CERTIFICATE KEY [AUTHORITY OF CLIENTS]`, files in PEM. With the third file, a client
/// must show a certificate.
pub(crate) fn acceptor(files: &[String]) -> Option<TlsAcceptor> {
    let (certificate, key) = (files.first()?, files.get(1)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring has all versions");
    let builder = match files.get(2) {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(authority));
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().expect("it has an authority"))
        }
    };
    let key = PrivateKeyDer::from_pem_file(key).expect("the test has written a key");
    let mut config = builder.with_single_cert(certificates(certificate), key).expect("they belong together");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &str) -> Vec<CertificateDer<'static>> {
    let file = File::open(path).expect("the test has written a certificate");
    let read = CertificateDer::pem_reader_iter(BufReader::new(file)).collect::<Result<_, _>>();
    read.expect("the test has written a certificate")
}
