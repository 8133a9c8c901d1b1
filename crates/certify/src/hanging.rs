//! Hosts that accept connections and never respond.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::places::HOSTS;

/// Connections that a host keeps open: a worker that has waited half a second closes its own.
const OPEN_MAX: usize = 8;

/// The hosts: one address each, so that each is its own destination. They stop when it is dropped.
pub(crate) struct Hanging {
    /// Their base URLs.
    pub(crate) urls: Vec<String>,
    _servers: JoinSet<()>,
}

impl Hanging {
    pub(crate) async fn start() -> io::Result<Hanging> {
        let (mut urls, mut servers) = (Vec::new(), JoinSet::new());
        for number in 1..=HOSTS {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, number), 0)).await?;
            urls.push(format!("http://{}", listener.local_addr()?));
            servers.spawn(hang(listener));
        }
        Ok(Hanging { urls, _servers: servers })
    }
}

async fn hang(listener: TcpListener) {
    let mut open = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((connection, _)) => open.push_back(connection),
            // Most likely there are no file descriptors left.
            Err(_) => {
                open.pop_front();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        if open.len() > OPEN_MAX {
            open.pop_front();
        }
    }
}
