//! The clients of a cluster's nodes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::config::{Config, Server, ServerConfig};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::connect::{build, keep_connected};
use super::reason::error_text;
use super::refusals::log_refusals;

/// How long after an error of its connection a client counts as disconnected. fred notices it itself only before its next
/// try, at least 100 ms later; until then it would take commands, and leave them without an answer.
const DOUBT: Duration = Duration::from_millis(250);
/// How long a client may take to leave its node.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The clients of the nodes that were used. Each is connected on its first use, and stays so.
pub(super) struct Nodes {
    config: Config,
    is_blocking: bool,
    nodes: Mutex<HashMap<Server, Node>>,
}

/// The client of one node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) server: Server,
    pub(super) client: Client,
    /// Readers leave the log to the other client of their node.
    is_blocking: bool,
    health: Arc<Mutex<Health>>,
    keeper: Arc<JoinHandle<()>>,
}

#[derive(Default)]
struct Health {
    /// The last error of the connection.
    failed: Option<Instant>,
    /// The first error since the node was connected.
    away_since: Option<Instant>,
    /// Whether the log has it.
    is_reported: bool,
}

impl Nodes {
    /// With blocking reads, there is one client at a time, for one slot.
    pub(super) fn new(config: Config, is_blocking: bool) -> Self {
        Self { config, is_blocking, nodes: Mutex::default() }
    }

    /// For blocking reads on the same nodes.
    pub(super) fn blocking(&self) -> Self {
        Self::new(self.config.clone(), true)
    }

    pub(super) fn get(&self, server: &Server) -> Result<Node, Error> {
        let mut nodes = self.lock();
        if let Some(node) = nodes.get(server) {
            return Ok(node.clone());
        }
        let node = self.start(server)?;
        if self.is_blocking {
            nodes.drain().for_each(|(_, old)| drop(tokio::spawn(old.quit())));
        }
        nodes.insert(server.clone(), node.clone());
        Ok(node)
    }

    fn start(&self, server: &Server) -> Result<Node, Error> {
        let server_config = ServerConfig::Centralized { server: server.clone() };
        let client = build(Config { server: server_config, ..self.config.clone() }, self.is_blocking)?;
        if !self.is_blocking {
            log_refusals(&client);
        }
        let health = Arc::new(Mutex::new(Health::default()));
        let failing = health.clone();
        client.on_error(move |_| {
            let (mut health, now) = (lock(&failing), Instant::now());
            health.failed = Some(now);
            health.away_since.get_or_insert(now);
            std::future::ready(Ok(()))
        });
        let connection = client.connect();
        let keeper = Arc::new(tokio::spawn(keep_connected(client.clone(), connection)));
        Ok(Node { server: server.clone(), client, is_blocking: self.is_blocking, health, keeper })
    }

    /// Leaves all other nodes.
    pub(super) fn keep(&self, servers: &[Server]) {
        let gone: Vec<_> = self.lock().extract_if(|server, _| !servers.contains(server)).collect();
        gone.into_iter().for_each(|(_, node)| drop(tokio::spawn(node.quit())));
    }

    /// Leaves all nodes.
    pub(super) async fn quit(&self) {
        let nodes: Vec<Node> = self.lock().drain().map(|(_, node)| node).collect();
        futures_util::future::join_all(nodes.into_iter().map(Node::quit)).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Server, Node>> {
        lock(&self.nodes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this lock")
}

impl Health {
    /// How long the client counts as disconnected from now.
    fn doubt(&self) -> Duration {
        self.failed.map_or(Duration::ZERO, |failed| DOUBT.saturating_sub(failed.elapsed()))
    }
}

impl Node {
    /// Whether a command would be sent now.
    pub(super) fn is_connected(&self) -> bool {
        let mut health = lock(&self.health);
        let is_connected = self.client.is_connected() && health.doubt().is_zero();
        if is_connected && health.away_since.take().is_some() && std::mem::take(&mut health.is_reported) {
            info!(redis = %self.server, "a node of the cluster answers again");
        }
        is_connected
    }

    /// How long it has not been connected, as far as it is known.
    pub(super) fn away_for(&self) -> Duration {
        lock(&self.health).away_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Logs once that calls fail, until the node answers again.
    pub(super) fn report(&self, error: &Error) {
        let mut health = lock(&self.health);
        if !health.is_reported && !self.is_blocking {
            health.is_reported = true;
            warn!(redis = %self.server, error = error_text(error), "a node of the cluster does not answer; calls for its keys fail");
        }
    }

    /// Waits until the client is connected, or has failed once.
    pub(super) async fn connected(&self) -> Result<(), Error> {
        let doubt = lock(&self.health).doubt();
        tokio::time::sleep(doubt).await;
        self.client.wait_for_connect().await
    }

    async fn quit(self) {
        let _ = tokio::time::timeout(QUIT_TIMEOUT, self.client.quit()).await;
        self.keeper.abort();
    }
}
