//! A server, a cluster of three masters with a replica each, or a master with a replica and a Sentinel.

use std::process::{Child, Command, Stdio};

use e2e::cluster;
use e2e::redis::{RedisServer, free_port};
use e2e::resp::{Connection, Reply};
use e2e::wait::{DEADLINE, eventually};
use tempfile::TempDir;

/// Nothing that a server has acknowledged is lost when it is killed.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
/// The masters of the cluster.
const MASTERS: usize = 3;

/// Running servers. They stop when it is dropped.
pub(crate) enum Installation {
    Single(RedisServer),
    Cluster(Vec<RedisServer>),
    Sentinel { _servers: [RedisServer; 2], _sentinel: Killed, port: u16, _folder: TempDir },
}

/// A process that is killed when it is dropped.
pub(crate) struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Installation {
    /// # Panics
    ///
    /// If there is no such kind, or its servers do not find each other.
    pub(crate) fn start(kind: &str) -> Self {
        match kind {
            "single" => Self::Single(RedisServer::start_with(&DURABLE)),
            "cluster" => Self::Cluster(with_replicas(cluster::start(MASTERS))),
            "sentinel" => sentinel(),
            _ => panic!("{kind} is no kind: write single, cluster or sentinel"),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Single(server) => server.url(),
            Self::Cluster(nodes) => format!("redis-cluster://127.0.0.1:{}", nodes[0].port),
            Self::Sentinel { port, .. } => {
                format!("redis-sentinel://127.0.0.1:{port}/0?sentinelServiceName=rig")
            }
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
        let id = nodes[master].command(&["CLUSTER", "MYID"]).text();
        let replica = RedisServer::start_cluster_node();
        replica.command(&["CLUSTER", "MEET", "127.0.0.1", &nodes[0].port.to_string()]);
        eventually("a replica of the cluster", DEADLINE, || {
            let reply = replica.command(&["CLUSTER", "REPLICATE", &id]);
            matches!(reply, Reply::Simple(_)).then_some(())
        });
        eventually("a replica in step", DEADLINE, || {
            nodes[master].command(&["INFO", "replication"]).text().contains("state=online").then_some(())
        });
        nodes.push(replica);
    }
    nodes
}

fn sentinel() -> Installation {
    let primary = RedisServer::start_with(&DURABLE);
    let replica = RedisServer::start_with(
        &[&DURABLE[..], &["--replicaof", "127.0.0.1", &primary.port.to_string()]].concat(),
    );
    eventually("a replica in step", DEADLINE, || {
        primary.command(&["INFO", "replication"]).text().contains("state=online").then_some(())
    });
    let folder = tempfile::tempdir().expect("the folder for temporary files can be written");
    let port = free_port();
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor rig 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds rig 1000\nsentinel failover-timeout rig 3000\n",
        primary.port
    );
    let file = folder.path().join("sentinel.conf");
    std::fs::write(&file, text).expect("the folder can be written");
    let program = std::env::var("POSTRIDER_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let mut command = Command::new(program);
    command.arg(&file).arg("--sentinel").current_dir(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let sentinel = Killed(command.spawn().expect("the program starts"));
    eventually("a sentinel that knows the replica", DEADLINE, || {
        let replicas = Connection::open(port).ok()?.command(&["SENTINEL", "REPLICAS", "rig"]).ok()?;
        matches!(replicas, Reply::Array(known) if known.len() == 1).then_some(())
    });
    Installation::Sentinel { _servers: [primary, replica], _sentinel: sentinel, port, _folder: folder }
}
