//! The server of a client, by its configuration.

use std::net::IpAddr;
use std::sync::Arc;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::ServerConfig;
use otel_facade::{Attributes, semconv};

/// Redis' default port, which the conventions leave out.
const DEFAULT_PORT: u16 = 6379;

/// The first server of the configuration: fred does not report the node that replied.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: Arc<str>,
    port: u16,
    database: Arc<str>,
    /// Whether the address is the socket's: it is an IP address, and there is no other node.
    is_peer: bool,
}

impl Server {
    pub(crate) fn of(client: &Client) -> Self {
        let config = client.client_config();
        let (address, port) = match &config.server {
            ServerConfig::Unix { path } => (path.to_string_lossy().into_owned(), 0),
            server => server
                .hosts()
                .first()
                .map_or_else(|| (String::new(), DEFAULT_PORT), |host| (host.host.to_string(), host.port)),
        };
        let is_alone = matches!(config.server, ServerConfig::Centralized { .. });
        let is_peer = is_alone && address.parse::<IpAddr>().is_ok();
        let database = config.database.unwrap_or(0).to_string();
        Self { address: address.into(), port, database: database.into(), is_peer }
    }

    /// The attributes that spans and measurements share.
    pub(crate) fn describe(&self, attributes: &mut Attributes) {
        attributes.set(semconv::DB_NAMESPACE, Arc::clone(&self.database));
        attributes.set(semconv::SERVER_ADDRESS, Arc::clone(&self.address));
        if self.port != DEFAULT_PORT && self.port != 0 {
            attributes.set(semconv::SERVER_PORT, self.port);
        }
    }

    pub(crate) fn describe_peer(&self, attributes: &mut Attributes) {
        if self.is_peer {
            attributes.set(semconv::NETWORK_PEER_ADDRESS, Arc::clone(&self.address));
            attributes.set(semconv::NETWORK_PEER_PORT, self.port);
        }
    }
}
