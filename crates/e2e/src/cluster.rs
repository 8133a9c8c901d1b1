//! A cluster of servers, each with an equal part of the slots.

use crate::redis::RedisServer;
use crate::resp::Reply;
use crate::wait::{DEADLINE, eventually, eventually_or};

const SLOTS: usize = 16384;

/// Starts `nodes` nodes and waits until each knows all others.
///
/// # Panics
///
/// If they do not form a cluster.
pub fn start(nodes: usize) -> Vec<RedisServer> {
    let servers: Vec<RedisServer> = (0..nodes).map(|_| RedisServer::start_cluster_node()).collect();
    for (index, node) in servers.iter().enumerate() {
        // Not ADDSLOTSRANGE: servers before Redis 7 do not have it.
        let slots = SLOTS * index / nodes..SLOTS * (index + 1) / nodes;
        let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
        let command = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
        node.command(&command.collect::<Vec<_>>());
    }
    for node in &servers[1..] {
        servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string()]);
    }
    complete(&servers, nodes);
    servers
}

/// Starts a replica of one of these nodes, which are all of the cluster, and waits until each of them knows it.
///
/// # Panics
///
/// If it does not replicate.
pub fn replica_of(nodes: &[RedisServer], home: usize) -> RedisServer {
    let replica = RedisServer::start_cluster_node();
    nodes[home].command(&["CLUSTER", "MEET", "127.0.0.1", &replica.port.to_string()]);
    let id = nodes[home].command(&["CLUSTER", "MYID"]).text();
    // Logged once: some servers restart their iteration each time.
    eventually_or("the replica knows the node", DEADLINE, || {
        match replica.command(&["CLUSTER", "REPLICATE", &id]) {
            Reply::Error(error) => Err(error),
            _ => Ok(()),
        }
    });
    eventually("the replica replicates", DEADLINE, || {
        let info = replica.command(&["INFO", "replication"]).text();
        (info.contains("role:slave") && info.contains("master_link_status:up")).then_some(())
    });
    // A node that does not know the replica would not follow it.
    complete(nodes.iter().chain([&replica]), nodes.len() + 1);
    replica
}

/// Waits until each of these nodes knows this number of them.
fn complete<'a>(nodes: impl IntoIterator<Item = &'a RedisServer>, number: usize) {
    let known = format!("cluster_known_nodes:{number}");
    for node in nodes {
        eventually("a complete cluster", DEADLINE, || {
            let info = node.command(&["CLUSTER", "INFO"]).text();
            (info.contains("cluster_state:ok") && info.contains(&known)).then_some(())
        });
    }
}

/// The index of the node that has the key.
///
/// # Panics
///
/// If no node has it.
pub fn index_of(nodes: &[RedisServer], key: &str) -> usize {
    let has = |node: &RedisServer| !matches!(node.command(&["TYPE", key]), Reply::Error(_));
    nodes.iter().position(has).expect("each slot has a node")
}
