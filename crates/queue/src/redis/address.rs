//! The URLs of Redis servers.

use std::sync::Arc;

use fred::error::Error;
use fred::types::RespVersion;
use fred::types::config::{Config, Server, ServerConfig};

use super::connect::ConnectError;
use crate::job::meant;

/// The known schemes. fred takes every other scheme for plain Redis, even `tls://`.
const SCHEMES: [&str; 10] = [
    "redis",
    "rediss",
    "redis-cluster",
    "rediss-cluster",
    "redis-sentinel",
    "rediss-sentinel",
    "redis+unix",
    "valkey",
    "valkeys",
    "unix",
];

/// How clients find their server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// One server at a known address.
    #[default]
    Single,
    /// The nodes of a cluster announce their addresses.
    Cluster,
    /// Sentinels know the address of the master.
    Sentinel,
}

impl Topology {
    pub(crate) fn of(server: &ServerConfig) -> Self {
        match server {
            ServerConfig::Clustered { .. } => Self::Cluster,
            ServerConfig::Sentinel { .. } => Self::Sentinel,
            _ => Self::Single,
        }
    }
}

/// The configuration of a URL.
pub(crate) fn parse(url: &str) -> Result<Config, ConnectError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| SCHEMES.contains(&scheme)) {
        return Err(ConnectError::Url("it has another scheme, or none".to_owned()));
    }
    check_parameters(url)?;
    let mut config = Config::from_url(url).map_err(|error| ConnectError::Url(flaw(&error)))?;
    config.version = resp_version(url)?;
    Ok(config)
}

/// Refuses parameters of a URL that would have no effect. Their values are not repeated: they may be secret.
fn check_parameters(url: &str) -> Result<(), ConnectError> {
    let (scheme, query) =
        (url.split("://").next().unwrap_or_default(), url.split_once('?').map_or("", |(_, query)| query));
    let mut known = vec!["protocol"];
    if scheme.ends_with("-cluster") || scheme.ends_with("-sentinel") {
        known.push("node");
    }
    if scheme.ends_with("-sentinel") {
        known.push("sentinelServiceName");
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or(pair);
        if known.contains(&name) {
            continue;
        }
        let hint = match name {
            "db" | "database" => "; write the database as redis://host/3".to_owned(),
            "tls" | "ssl" => "; write rediss:// for TLS".to_owned(),
            "password" | "user" | "username" => "; write redis://user:password@host".to_owned(),
            _ => meant(name, known.iter().copied())
                .map_or(String::new(), |meant| format!("; did you mean `{meant}`?")),
        };
        return Err(ConnectError::Url(format!("the parameter `{}` is not known{hint}", name.escape_debug())));
    }
    Ok(())
}

/// `?protocol=3` selects RESP3, as in other clients. The default is RESP2.
fn resp_version(url: &str) -> Result<RespVersion, ConnectError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    match query.split('&').find_map(|pair| pair.strip_prefix("protocol=")) {
        None | Some("2") => Ok(RespVersion::RESP2),
        Some("3") => Ok(RespVersion::RESP3),
        Some(_) => Err(ConnectError::Url("`protocol` must be 2 or 3".to_owned())),
    }
}

/// What is wrong with a URL. fred shows some flaws by its internal names.
fn flaw(error: &Error) -> String {
    match error.details() {
        "InvalidPort" => "the port must be 1 to 65535",
        "Invalid integer string." => "the database must be a number",
        other => other.trim_end_matches('.'),
    }
    .to_owned()
}

/// Host and port of a URL, without user and password; the path of a socket.
pub(crate) fn server(url: &str) -> String {
    let hosts = Config::from_url(url).map(|config| config.server.hosts()).unwrap_or_default();
    let shown = |host: &Server| match host.port {
        0 => host.host.to_string(),
        port => format!("{}:{port}", host.host),
    };
    hosts.first().map(shown).unwrap_or_default()
}

/// Host and port of the first server of a URL; none for a socket.
pub(crate) fn address(url: &str) -> Option<(Arc<str>, u16)> {
    let config = Config::from_url(url).ok()?;
    let host = config.server.hosts().into_iter().next()?;
    Some((Arc::from(&*host.host), host.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_its_password() {
        assert_eq!(server("redis://me:hunter2@redis.internal/3"), "redis.internal:6379");
        assert_eq!(server("redis+unix:///run/redis.sock"), "/run/redis.sock");
    }

    #[test]
    fn a_flaw_of_a_url_is_readable() {
        for (url, flaw) in [
            ("localhost:6379", "it has another scheme, or none"),
            ("redis://h:99999", "the port must be 1 to 65535"),
            ("redis://h/jobs", "the database must be a number"),
            ("redis://h?protocol=9", "`protocol` must be 2 or 3"),
            ("redis://h?db=3", "the parameter `db` is not known; write the database as redis://host/3"),
            ("redis://h?tls=true", "the parameter `tls` is not known; write rediss:// for TLS"),
            ("redis://h?protokol=3", "the parameter `protokol` is not known; did you mean `protocol`?"),
            ("redis://h?protocol=3&node=a:1", "the parameter `node` is not known"),
        ] {
            let Err(ConnectError::Url(found)) = parse(url) else { panic!("{url} was accepted") };
            assert_eq!(found, flaw, "{url}");
        }
    }
}
