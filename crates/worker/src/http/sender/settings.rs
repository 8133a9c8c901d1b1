//! Settings for sending requests: the table `[http]` of the configuration.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;

use super::proxy::{Exempt, Proxy};

/// Deadlines and limits of requests. The deadline of the whole attempt is in `SenderConfig`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Time for a connection, including the lookup. Default: 10 s.
    pub connect_timeout: Duration,
    /// Time for the lookup of an address. Default: 5 s.
    pub dns_timeout: Duration,
    /// Whether the system's resolver (`getaddrinfo`) looks names up. Default: false, the worker asks the name servers of
    /// `/etc/resolv.conf` itself.
    pub system_resolver: bool,
    /// Time for the TLS handshake. Default: 10 s.
    pub tls_timeout: Duration,
    /// Time from the connection to the head of the response, including the request's upload. Default: the
    /// deadline of the attempt, so that a job's own `timeout_ms` applies.
    pub headers_timeout: Option<Duration>,
    /// Time from the head of the response to the end of its body. Default: 10 s.
    pub body_timeout: Duration,
    /// Bytes of a response's body that are read. The connection of a longer body is closed. Default: 65,536.
    pub max_response_body: usize,
    /// How long an idle connection is kept. Default: 30 s.
    pub pool_idle_timeout: Duration,
    /// Idle connections that are kept for one destination. Default: 256, or the worker's concurrency if that is more.
    pub max_idle_per_host: Option<usize>,
    /// Idle connections that are kept over all destinations. One more closes all of them. Default: 512, or twice the worker's
    /// concurrency if that is more.
    pub max_idle: Option<usize>,
    /// The minimum version of TLS. Default: 1.2.
    pub min_tls: TlsVersion,
    /// PEM files of authorities that are trusted in addition to the system's.
    pub ca_files: Vec<PathBuf>,
    /// The proxy that requests go through. Default: none.
    pub proxy: Option<Proxy>,
    /// Hosts that are reached without the proxy: egress rules, where a name also covers its subdomains.
    /// `example.org` also covers `hooks.example.org`.
    pub no_proxy: Vec<Exempt>,
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
            _ => Err("the minimum version of TLS is \"1.2\" or \"1.3\""),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            dns_timeout: Duration::from_secs(5),
            system_resolver: false,
            tls_timeout: Duration::from_secs(10),
            headers_timeout: None,
            body_timeout: Duration::from_secs(10),
            max_response_body: 64 * 1024,
            pool_idle_timeout: Duration::from_secs(30),
            max_idle_per_host: None,
            max_idle: None,
            min_tls: TlsVersion::V1_2,
            ca_files: Vec::new(),
            proxy: None,
            no_proxy: Vec::new(),
        }
    }
}

impl HttpConfig {
    /// The limits of idle connections, for one destination and over all, of a worker with this concurrency. Answers
    /// may arrive together, and each connection is needed again for the next request. A request whose connection is not back yet
    /// makes another one, so there are more than slots.
    pub(crate) fn idle_max(&self, concurrency: usize) -> [usize; 2] {
        let of_host = self.max_idle_per_host.unwrap_or(256.max(concurrency));
        [of_host, self.max_idle.unwrap_or(512.max(2 * concurrency))]
    }
}

/// The part of a response that is kept as a job's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptResults {
    /// Headers that are kept. Default: `content-type`, `content-encoding`, `location`, `x-request-id`.
    pub headers: Vec<HeaderName>,
    /// Bytes of the body that are kept, at most 64 KiB. Default: 16 KiB.
    pub max_body: usize,
}

impl Default for KeptResults {
    fn default() -> Self {
        let names = ["content-type", "content-encoding", "location", "x-request-id"];
        Self { headers: names.map(HeaderName::from_static).to_vec(), max_body: 16 * 1024 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_many_slots_keeps_more_idle_connections() {
        let default = HttpConfig::default();
        assert_eq!(
            [64, 300, 10_000].map(|slots| default.idle_max(slots)),
            [[256, 512], [300, 600], [10_000, 20_000]]
        );
        let set = HttpConfig { max_idle_per_host: Some(2), max_idle: Some(3), ..default };
        assert_eq!(set.idle_max(10_000), [2, 3]);
    }
}
