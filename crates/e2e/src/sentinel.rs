//! A server with replicas, and a Sentinel that watches them.

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
    /// Its replicas.
    pub replicas: Vec<RedisServer>,
    _folder: TempDir,
}

impl Watched {
    /// Starts a primary with this many replicas, each with these options, and a Sentinel. Waits until it knows them.
    ///
    /// # Panics
    ///
    /// If they do not find each other.
    pub fn start(replicas: usize, options: &[&str]) -> Watched {
        let primary = RedisServer::start_with(options);
        let of_primary = ["--replicaof", "127.0.0.1", &primary.port.to_string()];
        let options = [options, &of_primary].concat();
        let replicas: Vec<_> = (0..replicas).map(|_| RedisServer::start_with(&options)).collect();
        eventually("replicas in step", DEADLINE, || {
            let info = primary.command(&["INFO", "replication"]).text();
            (info.matches("state=online").count() == replicas.len()).then_some(())
        });
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written");
        let (sentinel, port) = sentinel(folder.path(), primary.port);
        eventually("a sentinel that knows the replicas", DEADLINE, || {
            let known = Connection::open(port).ok()?.command(&["SENTINEL", "REPLICAS", "rig"]).ok()?;
            matches!(known, Reply::Array(known) if known.len() == replicas.len()).then_some(())
        });
        Watched { _sentinel: sentinel, port, primary, replicas, _folder: folder }
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
