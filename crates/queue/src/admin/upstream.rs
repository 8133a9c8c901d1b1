//! What is behind a proxy before Redis: where it connects to, and the URL of those who connect to the proxy.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use fred::types::config::{ServerConfig, TlsConnector};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector as Rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::redis::{ConnectError, Topology, config};

/// The server of a Redis URL, for a proxy.
#[derive(Clone)]
pub struct Upstream {
    url: Url,
    topology: Topology,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Tcp(String, u16, Option<Rustls>),
    Unix(PathBuf),
}

/// A connection to the server.
pub trait UpstreamStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> UpstreamStream for T {}

impl Upstream {
    /// Reads a Redis URL.
    ///
    /// # Errors
    /// [`ConnectError::Url`].
    pub fn of(url: &str) -> Result<Self, ConnectError> {
        let config = config(url)?;
        let topology = Topology::of(&config.server);
        let tls = config.tls.map(|tls| match tls.connector {
            TlsConnector::Rustls(connector) => connector,
        });
        let first = config.server.hosts().into_iter().next();
        let place = match (config.server, first) {
            (ServerConfig::Unix { path }, _) => Place::Unix(path),
            (_, Some(first)) => Place::Tcp(first.host.to_string(), first.port, tls),
            (_, None) => return Err(ConnectError::Url("it has no host".to_owned())),
        };
        let url = Url::parse(url).map_err(|error| ConnectError::Url(error.to_string()))?;
        Ok(Self { url, topology, place })
    }

    /// How clients find the server. A proxy can be put only before a single one: clients of the others follow the addresses
    /// that are announced to them.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// The URL for clients of a proxy at this address, which speak plain TCP to it: with the same user, password,
    /// database and parameters.
    pub fn through(&self, proxy: SocketAddr) -> String {
        let mut url = Url::parse(&format!("redis://{proxy}")).expect("an address makes a URL");
        let _ = (url.set_username(self.url.username()), url.set_password(self.url.password()));
        if matches!(self.place, Place::Tcp(..)) {
            url.set_path(self.url.path());
        }
        url.set_query(self.url.query());
        url.into()
    }

    /// Connects, with TLS where the URL wants it.
    ///
    /// # Errors
    /// The system's, or those of TLS.
    pub async fn connect(&self) -> io::Result<Box<dyn UpstreamStream>> {
        let (host, port, tls) = match &self.place {
            Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Place::Tcp(host, port, tls) => (host, *port, tls),
        };
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("topology", &self.topology).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_a_proxy_keep_user_password_database_and_parameters() {
        let through = |url: &str| Upstream::of(url).unwrap().through("127.0.0.1:7000".parse().unwrap());
        assert_eq!(through("redis://localhost"), "redis://127.0.0.1:7000");
        assert_eq!(
            through("redis://me:hunter%402@redis.internal:6380/3?protocol=3"),
            "redis://me:hunter%402@127.0.0.1:7000/3?protocol=3"
        );
        assert_eq!(through("redis+unix:///run/redis.sock"), "redis://127.0.0.1:7000");
    }

    #[test]
    fn the_url_shows_how_the_server_is_found() {
        let topology = |url: &str| Upstream::of(url).unwrap().topology();
        assert_eq!(topology("redis://localhost"), Topology::Single);
        assert_eq!(topology("redis-cluster://localhost:7000"), Topology::Cluster);
        assert_eq!(topology("redis-sentinel://localhost:26379?sentinelServiceName=main"), Topology::Sentinel);
    }
}
