//! A server, a cluster of three masters with a replica each, or a master with two replicas and a Sentinel.

use e2e::cluster;
use e2e::redis::RedisServer;
use e2e::sentinel::Watched;

/// Nothing that a server has acknowledged is lost when it is killed.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
/// A master without a replica refuses writes, so the old one after a failover, too, until it is a replica.
const REPLICATED: [&str; 2] = ["--min-replicas-to-write", "1"];
/// The masters of the cluster.
const MASTERS: usize = 3;

/// Running servers. They stop when it is dropped.
pub(crate) enum Installation {
    Single(RedisServer),
    Cluster(Vec<RedisServer>),
    Sentinel(Watched),
}

impl Installation {
    /// # Panics
    ///
    /// If there is no such kind, or its servers do not find each other.
    pub(crate) fn start(kind: &str) -> Self {
        match kind {
            "single" => Self::Single(RedisServer::start_with(&DURABLE)),
            "cluster" => Self::Cluster(with_replicas(cluster::start(MASTERS))),
            "sentinel" => Self::Sentinel(Watched::start(2, &[&DURABLE[..], &REPLICATED[..]].concat())),
            _ => panic!("{kind} is no kind: write single, cluster or sentinel"),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Single(server) => server.url(),
            Self::Cluster(nodes) => format!("redis-cluster://127.0.0.1:{}", nodes[0].port),
            Self::Sentinel(watched) => watched.url(),
        }
    }

    /// Kills a single server, and starts it again.
    pub(crate) fn kill_server(&mut self) {
        if let Self::Single(server) = self {
            server.restart();
        }
    }
}

/// Adds a replica to each master.
fn with_replicas(mut nodes: Vec<RedisServer>) -> Vec<RedisServer> {
    for master in 0..MASTERS {
        let replica = cluster::replica_of(&nodes, master);
        nodes.push(replica);
    }
    nodes
}
