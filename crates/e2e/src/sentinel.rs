//! A server with a replica, and a Sentinel that watches them.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::child::OwnedChild;
use crate::redis::{RedisServer, free_port, server_program};
use crate::resp::{Connection, Reply};
use crate::wait::{DEADLINE, eventually};

/// Running servers. They stop when it is dropped.
pub struct Watched {
    _sentinel: OwnedChild,
    port: u16,
    /// The primary, until it fails.
    pub primary: RedisServer,
    /// Its replica.
    pub replica: RedisServer,
    _folder: TempDir,
}

impl Watched {
    /// Starts all three, the two servers with these options, and waits until the Sentinel knows the replica.
    ///
    /// # Panics
    ///
    /// If they do not find each other.
    pub fn start(options: &[&str]) -> Watched {
        let primary = RedisServer::start_with(options);
        let of_primary = ["--replicaof", "127.0.0.1", &primary.port.to_string()];
        let replica = RedisServer::start_with(&[options, &of_primary].concat());
        eventually("a replica in step", DEADLINE, || {
            primary.command(&["INFO", "replication"]).text().contains("state=online").then_some(())
        });
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written");
        let (sentinel, port) = sentinel(folder.path(), primary.port);
        eventually("a sentinel that knows the replica", DEADLINE, || {
            let replicas = Connection::open(port).ok()?.command(&["SENTINEL", "REPLICAS", "rig"]).ok()?;
            matches!(replicas, Reply::Array(known) if known.len() == 1).then_some(())
        });
        Watched { _sentinel: sentinel, port, primary, replica, _folder: folder }
    }

    /// The URL for clients that ask the Sentinel for the primary.
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}/0?sentinelServiceName=rig", self.port)
    }
}

/// A Sentinel that notices after a second that this server has failed, and its port.
fn sentinel(folder: &Path, primary: u16) -> (OwnedChild, u16) {
    let port = free_port();
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor rig 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds rig 1000\nsentinel failover-timeout rig 3000\n"
    );
    let file = folder.join("sentinel.conf");
    std::fs::write(&file, text).expect("the folder can be written");
    let mut command = Command::new(server_program());
    command.arg(&file).arg("--sentinel").current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    (OwnedChild::spawn(&mut command), port)
}
