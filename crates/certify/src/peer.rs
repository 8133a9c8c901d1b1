//! Finds the worker at the other end of a connection, from the kernel's tables in `/proc`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// The candidates: the workers that may still run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Arc<Mutex<Vec<u32>>>);

impl Processes {
    pub(crate) fn add(&self, pid: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    /// The process has ended.
    pub(crate) fn remove(&self, pid: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| *own != pid);
    }

    /// The process that has the client's end open, or `None` if it is already gone.
    pub(crate) fn at(&self, client: SocketAddr, server: SocketAddr) -> Option<u32> {
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

/// The addresses of a process's own ends of its IPv4 connections.
pub(crate) fn addresses_of(pid: u32) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|file| Some(fs::read_link(file.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let own =
        |row: &Vec<&str>| row.get(9).is_some_and(|inode| sockets.contains(&format!("socket:[{inode}]")));
    rows.filter(own).filter_map(|row| address(row.get(1)?)).collect()
}

/// An address as the kernel's table has it: `0100007F:1F90` is `127.0.0.1:8080`.
fn address(text: &str) -> Option<String> {
    let (host, port) = text.split_once(':')?;
    let host = Ipv4Addr::from(u32::from_str_radix(host, 16).ok()?.to_le_bytes());
    Some(format!("{host}:{}", u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_process_is_found_by_its_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        let client = TcpStream::connect(server).unwrap();
        let address = client.local_addr().unwrap();
        let processes = Processes::default();
        assert_eq!(processes.at(address, server), None);
        processes.add(std::process::id());
        assert_eq!(processes.at(address, server), Some(std::process::id()));
        assert!(addresses_of(std::process::id()).contains(&address.to_string()));
    }
}
