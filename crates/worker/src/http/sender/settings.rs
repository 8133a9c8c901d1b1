//! What can be set of the way requests are sent: the table `[http]` of the configuration.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::proxy::Proxy;

/// Deadlines and limits of requests. The deadline of the whole attempt stands beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// For a connection, the lookup of its address included. Default: 10 s.
    pub connect_timeout: Duration,
    /// For the lookup of an address. Default: 5 s.
    pub dns_timeout: Duration,
    /// For the TLS handshake. Default: 10 s.
    pub tls_timeout: Duration,
    /// From the connection to the head of the response, the request's upload included. Default: as long as the
    /// attempt, so that a job's own `timeout_ms` holds.
    pub headers_timeout: Option<Duration>,
    /// From the head of the response to the end of its body. Default: 10 s.
    pub body_timeout: Duration,
    /// Bytes of a response's body that are read; the rest is left unread and the connection closed. Default:
    /// 65,536.
    pub max_response_body: usize,
    /// How long a connection is kept for a next request. Default: 30 s.
    pub pool_idle_timeout: Duration,
    /// How many are kept for one destination. Default: 256.
    pub max_idle_per_host: usize,
    /// How many are kept over all destinations; with one more, all of them are closed. Default: 512.
    pub max_idle: usize,
    /// The least version of TLS. Default: 1.2.
    pub min_tls: TlsVersion,
    /// PEM files with authorities that are trusted besides the system's.
    pub ca_files: Vec<PathBuf>,
    /// Through which requests go out. Default: none.
    pub proxy: Option<Proxy>,
    /// Hosts that are reached without the proxy, with the hosts below them: `example.org` means
    /// `hooks.example.org`, too.
    pub no_proxy: Vec<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

impl FromStr for TlsVersion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.2" => Ok(Self::V1_2),
            "1.3" => Ok(Self::V1_3),
            _ => Err("the least version of TLS is \"1.2\" or \"1.3\""),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            dns_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(10),
            headers_timeout: None,
            body_timeout: Duration::from_secs(10),
            max_response_body: 64 * 1024,
            pool_idle_timeout: Duration::from_secs(30),
            max_idle_per_host: 256,
            max_idle: 512,
            min_tls: TlsVersion::V1_2,
            ca_files: Vec::new(),
            proxy: None,
            no_proxy: Vec::new(),
        }
    }
}
