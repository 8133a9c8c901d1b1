//! Finds the worker at the other end of a connection, from the kernel's tables in `/proc`.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The candidates: every worker started so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes(Arc<Mutex<Vec<u32>>>);

impl Processes {
    pub(super) fn add(&self, pid: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    /// The process that has the client's end open, or `None` if it is already gone.
    pub(super) fn at(&self, client: SocketAddr, server: SocketAddr) -> Option<u32> {
        // A table that changes while it is read may lack a row.
        let inode = (0..3).find_map(|_| inode(client, server))?;
        let socket = format!("socket:[{inode}]");
        let pids = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The latest first: most others are dead.
        pids.into_iter().rev().find(|pid| holds(*pid, &socket))
    }
}

fn inode(client: SocketAddr, server: SocketAddr) -> Option<String> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let (client, server) = (format!(":{:04X}", client.port()), format!(":{:04X}", server.port()));
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|row| {
        row.get(1).is_some_and(|local| local.ends_with(&client))
            && row.get(2).is_some_and(|remote| remote.ends_with(&server))
    })?;
    row.get(9).filter(|inode| **inode != "0").map(|inode| (*inode).to_owned())
}

fn holds(pid: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.filter_map(Result::ok).filter_map(|file| fs::read_link(file.path()).ok()).any(|link| {
        // A file closed during the search is no reason to stop.
        link.as_os_str() == socket
    })
}
