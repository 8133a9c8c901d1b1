//! A connection of a process: to one server, or to the nodes of a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::Key;
use fred_otel::{Command, Options, Pending, TracedClient};
use telemetry::Telemetry;

use super::address::{self, Topology, server};
use super::cluster::Cluster;
use super::connect::{self, ConnectError};
use super::demotion::Demotion;
use super::nodes::Nodes;
use super::reason::{self, error_text};

/// How long a server may take to answer QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection whose commands are measured. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connection {
    /// The client of one server. In a cluster it is never connected, and only measures.
    client: TracedClient,
    url: Arc<str>,
    topology: Topology,
    demotion: Demotion,
    cluster: Option<Clustered>,
}

/// The clients for the commands of this connection; those for blocking reads are their own.
#[derive(Clone)]
struct Clustered {
    cluster: Arc<Cluster>,
    readers: Option<Arc<Nodes>>,
}

impl Clustered {
    fn nodes(&self) -> &Nodes {
        self.readers.as_deref().unwrap_or(&self.cluster.nodes)
    }
}

impl Connection {
    /// Connects. `spans` makes a span of each command.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(crate) async fn connect(url: &str, telemetry: &Telemetry, spans: bool) -> Result<Self, ConnectError> {
        let config = address::parse(url)?;
        let (topology, is_tls) = (Topology::of(&config.server), config.tls.is_some());
        let unreachable = |reason| ConnectError::Unreachable { server: server(url), reason };
        let failed = |error: Error| unreachable(reason::of_first(&error, is_tls));
        let (client, cluster) = if topology == Topology::Cluster {
            let client = connect::build(config.clone(), false).map_err(failed)?;
            let cluster = Arc::new(Cluster::connect(config).await.map_err(unreachable)?);
            (client, Some(Clustered { cluster, readers: None }))
        } else {
            let client = connect::connect(config, false).await.map_err(failed)?;
            if connect::owns_a_part(&client).await {
                let _ = client.quit().await;
                return Err(ConnectError::Part { server: server(url) });
            }
            (client, None)
        };
        let client = TracedClient::with_options(client, telemetry, Options::default().spans(spans));
        Ok(Self { client, url: url.into(), topology, demotion: Demotion::default(), cluster })
    }

    /// A connection for the blocking reads of one shard.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(crate) async fn reader(&self, telemetry: &Telemetry, spans: bool) -> Result<Self, ConnectError> {
        let config = address::parse(&self.url)?;
        let failed = |error: Error| ConnectError::Unreachable {
            server: server(&self.url),
            reason: error_text(&error),
        };
        let client = match &self.cluster {
            Some(_) => connect::build(config, true),
            None => connect::connect(config, true).await,
        };
        let client = client.map_err(failed)?;
        let client = TracedClient::with_options(client, telemetry, Options::default().spans(spans));
        let cluster = self.cluster.as_ref().map(|Clustered { cluster, .. }| Clustered {
            cluster: cluster.clone(),
            readers: Some(Arc::new(cluster.nodes.blocking())),
        });
        Ok(Self { client, demotion: Demotion::default(), cluster, ..self.clone() })
    }

    /// Host and port of the first server of the URL.
    pub(crate) fn address(&self) -> String {
        server(&self.url)
    }

    pub(crate) fn topology(&self) -> Topology {
        self.topology
    }

    /// Runs a command. The key selects the node of a cluster, and the call is repeated if another node has it.
    pub(crate) async fn defer<'a, T, F>(
        &'a self,
        key: &Key,
        command: Command<'a>,
        call: impl Fn(Client) -> F + Sync,
    ) -> (Result<T, Error>, Pending<'a>)
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Some(clustered) = &self.cluster else {
            return self.client.defer(command, |client| self.watched(client, &call)).await;
        };
        let slot = key.cluster_hash();
        self.client.defer(command, |_| clustered.cluster.run(clustered.nodes(), slot, &call)).await
    }

    /// As [`Connection::defer`], under a span. Without a key, any node of a cluster runs the command.
    pub(crate) async fn run<T, F>(
        &self,
        key: Option<&Key>,
        command: Command<'_>,
        call: impl Fn(Client) -> F + Sync,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Some(clustered) = &self.cluster else {
            return self.client.run(command, |client| self.watched(client, &call)).await;
        };
        let run = |_| async {
            match key {
                Some(key) => clustered.cluster.run(clustered.nodes(), key.cluster_hash(), &call).await,
                None => call(clustered.cluster.any().await?.client).await,
            }
        };
        self.client.run(command, run).await
    }

    /// Calls a single server, and leaves it if it is the primary no longer.
    async fn watched<T, F>(&self, client: Client, call: &impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let result = call(client.clone()).await;
        if let Err(error) = &result {
            self.demotion.look(self.topology, &client, error);
        }
        result
    }

    /// Runs a command on each node, one after another.
    pub(crate) async fn on_each_node<T, F>(
        &self,
        command: Command<'_>,
        call: impl Fn(Client) -> F + Sync,
    ) -> Result<Vec<T>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let run = |client: Client| async {
            let clients = match &self.cluster {
                None => vec![client],
                Some(own) => own.cluster.all().await?.into_iter().map(|node| node.client).collect(),
            };
            let mut replies = Vec::with_capacity(clients.len());
            for client in clients {
                replies.push(call(client).await?);
            }
            Ok(replies)
        };
        self.client.run(command, run).await
    }

    /// Closes the connection. A server that does not answer within 1 s is left without a word.
    pub(crate) async fn quit(&self) {
        match &self.cluster {
            Some(clustered) => clustered.nodes().quit().await,
            None => {
                let quit = self
                    .client
                    .defer(Command::new("QUIT"), |client: Client| async move { client.quit().await });
                if let Ok((_, pending)) = tokio::time::timeout(QUIT_TIMEOUT, quit).await {
                    pending.discard();
                }
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("server", &self.address()).finish_non_exhaustive()
    }
}
