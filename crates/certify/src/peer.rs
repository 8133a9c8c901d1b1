//! The connections of a process, from the kernel's tables in `/proc`.

use std::fs;
use std::net::Ipv4Addr;

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
    fn a_connection_of_a_process_is_found() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let address = client.local_addr().unwrap().to_string();
        assert!(addresses_of(std::process::id()).contains(&address));
    }
}
