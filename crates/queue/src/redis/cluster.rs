//! A cluster: a client for each of its nodes. fred's own client of a cluster connects to all masters or to none, so
//! that a dead one holds up the commands to all others.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::{Config, Server};
use fred::types::{CustomCommand, Value};
use futures_util::future::{join, select_ok};
use tokio::time::{sleep, timeout};

use super::announced;
use super::connect::COMMAND_TIMEOUT;
use super::nodes::{Node, Nodes};
use super::reason::{self, error_text};
use super::reply::unexpected;
use super::slots::{Redirection, Slots};

/// How many redirections a command follows.
const REDIRECTIONS_MAX: usize = 5;
/// How long the nodes may take to report the owners of the slots.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause between two lookups.
const LOOKUP_PAUSE: Duration = Duration::from_millis(500);
/// How long a command waits for the node of its slot before it looks for another owner.
const NODE_PATIENCE: Duration = Duration::from_millis(500);
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A cluster, for all connections of a process.
pub(super) struct Cluster {
    seeds: Vec<Server>,
    slots: RwLock<Slots>,
    pub(super) nodes: Nodes,
    /// When the owners were looked up last. Held during a lookup, which is bounded by [`LOOKUP_TIMEOUT`].
    looked_up: tokio::sync::Mutex<Instant>,
}

impl Cluster {
    /// Connects to at least one node, and starts to connect to all others.
    ///
    /// # Errors
    /// A readable reason.
    pub(super) async fn connect(config: Config) -> Result<Self, String> {
        let is_tls = config.tls.is_some();
        let (seeds, nodes) = (config.server.hosts(), Nodes::new(config, false));
        let connected = async {
            let slots = lookup(&nodes, &seeds).await.map_err(|error| reason::of_first(&error, is_tls))?;
            nodes.keep(slots.nodes());
            let reached = first_connected(&nodes, slots.nodes()).await;
            reached.map_err(|error| announced::with(&error_text(&error), slots.nodes(), &seeds))?;
            Ok(slots)
        };
        let in_time = timeout(COMMAND_TIMEOUT, connected).await;
        match in_time.unwrap_or_else(|_| Err(reason::of_silence("no node answers in time", is_tls))) {
            Ok(slots) => {
                let (slots, looked_up) = (RwLock::new(slots), tokio::sync::Mutex::new(Instant::now()));
                Ok(Self { seeds, slots, nodes, looked_up })
            }
            Err(reason) => {
                nodes.quit().await;
                Err(reason)
            }
        }
    }

    /// Runs a command on the node that has the slot. Follows redirections and changes of the owner.
    ///
    /// # Errors
    /// fred's. A node that does not answer costs only the commands of its slots.
    pub(super) async fn run<T, F>(
        &self,
        nodes: &Nodes,
        slot: u16,
        call: &(impl Fn(Client) -> F + Sync),
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut asked: Option<Node> = None;
        for redirection in 0.. {
            let (node, reply) = match asked.take() {
                Some(node) => {
                    // Both are written one directly after the other.
                    let (_, reply) = join(asking(&node.client), call(node.client.clone())).await;
                    (node, reply)
                }
                None => {
                    let node = self.owner(nodes, slot).await?;
                    let reply = call(node.client.clone()).await;
                    (node, reply)
                }
            };
            let Err(error) = reply else { return reply };
            match Redirection::of(&error, &node.server) {
                Some(_) if redirection >= REDIRECTIONS_MAX => return Err(error),
                Some(Redirection::Moved(to)) => self.moved(slot, &node.server, to).await,
                Some(Redirection::Ask(to)) => asked = Some(nodes.get(&to)?),
                None => {
                    if matches!(error.kind(), ErrorKind::IO | ErrorKind::Timeout) {
                        self.look_up().await;
                    }
                    return Err(error);
                }
            }
        }
        Err(unexpected())
    }

    /// Any node that is connected.
    ///
    /// # Errors
    /// fred's, if none is.
    pub(super) async fn any(&self) -> Result<Node, Error> {
        let servers = self.servers();
        for server in &servers {
            let node = self.nodes.get(server)?;
            if node.is_connected() {
                return Ok(node);
            }
        }
        timeout(COMMAND_TIMEOUT, first_connected(&self.nodes, &servers))
            .await
            .unwrap_or_else(|_| Err(no_node()))
    }

    /// All nodes that own slots, connected.
    ///
    /// # Errors
    /// fred's, if one of them is not connected within 5 s; the error names it.
    pub(super) async fn all(&self) -> Result<Vec<Node>, Error> {
        let mut nodes = vec![];
        for server in self.servers() {
            let node = self.nodes.get(&server)?;
            match timeout(COMMAND_TIMEOUT, node.connected()).await {
                Ok(Ok(())) => nodes.push(node),
                Ok(Err(error)) => return Err(unreachable(&server, &error_text(&error))),
                Err(_) => return Err(unreachable(&server, "it does not answer")),
            }
        }
        Ok(nodes)
    }

    /// The node that has the slot, connected. A node that has just gone away is waited for; one that has been away for
    /// as long as a command may take is not.
    async fn owner(&self, nodes: &Nodes, slot: u16) -> Result<Node, Error> {
        let end = Instant::now() + COMMAND_TIMEOUT;
        loop {
            let owner = self.read(|slots| slots.owner(slot).cloned());
            let node = owner.as_ref().map(|server| nodes.get(server)).transpose()?;
            let failure = match &node {
                None => no_owner(slot),
                Some(node) if node.is_connected() => return Ok(node.clone()),
                Some(node) => match timeout(NODE_PATIENCE, node.connected()).await {
                    Ok(Ok(())) if Instant::now() < end => continue,
                    Ok(Err(error)) => unreachable(&node.server, &error_text(&error)),
                    _ => unreachable(&node.server, "it does not answer"),
                },
            };
            self.look_up().await;
            let is_long_away = node.as_ref().is_some_and(|node| node.away_for() > COMMAND_TIMEOUT);
            if self.read(|slots| slots.owner(slot).cloned()) != owner {
                continue;
            }
            if is_long_away || Instant::now() >= end {
                node.iter().for_each(|node| node.report(&failure));
                return Err(failure);
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// A node has replied that the slot has another owner.
    async fn moved(&self, slot: u16, from: &Server, to: Server) {
        self.look_up().await;
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        // Other nodes may not know of it yet.
        if slots.owner(slot).is_none_or(|owner| owner == from) {
            slots.set(slot, to);
        }
    }

    /// Looks up the owners of all slots, at most every 500 ms.
    async fn look_up(&self) {
        let mut looked_up = self.looked_up.lock().await;
        if looked_up.elapsed() < LOOKUP_PAUSE {
            return;
        }
        let mut servers = self.servers();
        servers.extend(self.seeds.iter().filter(|seed| !servers.contains(seed)).cloned().collect::<Vec<_>>());
        if let Ok(Ok(slots)) = timeout(LOOKUP_TIMEOUT, lookup(&self.nodes, &servers)).await {
            self.nodes.keep(slots.nodes());
            *self.slots.write().unwrap_or_else(PoisonError::into_inner) = slots;
        }
        *looked_up = Instant::now();
    }

    fn servers(&self) -> Vec<Server> {
        self.read(|slots| slots.nodes().to_vec())
    }

    fn read<T>(&self, read: impl FnOnce(&Slots) -> T) -> T {
        read(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The owners as the first node reports them that answers.
async fn lookup(nodes: &Nodes, servers: &[Server]) -> Result<Slots, Error> {
    let lookups = servers.iter().map(|server| {
        Box::pin(async {
            let node = nodes.get(server)?;
            node.connected().await?;
            let command = CustomCommand::new_static("CLUSTER", None, false);
            let reply: Value = node.client.custom(command, vec!["SLOTS"]).await?;
            Slots::parse(reply, server).ok_or_else(no_node)
        })
    });
    first(lookups).await
}

/// The first node that is connected.
async fn first_connected(nodes: &Nodes, servers: &[Server]) -> Result<Node, Error> {
    let connections = servers.iter().map(|server| {
        Box::pin(async {
            let node = nodes.get(server)?;
            node.connected().await?;
            Ok(node)
        })
    });
    first(connections).await
}

/// The first success, or the last error.
async fn first<T, F>(futures: impl Iterator<Item = F>) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>> + Unpin,
{
    let futures: Vec<F> = futures.collect();
    if futures.is_empty() {
        return Err(no_node());
    }
    select_ok(futures).await.map(|(value, _)| value)
}

/// Makes the node run the next command though the slot is still being moved to it.
async fn asking(client: &Client) -> Result<Value, Error> {
    client.custom(CustomCommand::new_static("ASKING", None, false), Vec::<Value>::new()).await
}

fn no_node() -> Error {
    Error::new(ErrorKind::IO, "no node of the cluster reports which node has which slot")
}

fn no_owner(slot: u16) -> Error {
    Error::new(ErrorKind::IO, format!("no node of the cluster has the slot {slot}"))
}

fn unreachable(server: &Server, reason: &str) -> Error {
    Error::new(
        ErrorKind::IO,
        format!("no connection to {server}, the node of the cluster that has the keys: {reason}"),
    )
}
