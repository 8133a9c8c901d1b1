//! Hosts that accept connections and never respond.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

/// The number of hosts.
const HOSTS: u8 = 50;

/// The hosts: one address each, so that each is its own flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Hanging(Vec<SocketAddr>);

impl Hanging {
    /// Starts them. They run until the process ends.
    pub(super) fn start() -> Hanging {
        let host = |number| {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, number), 0));
            let listener = listener.expect("a port of the loopback network is free");
            let address = listener.local_addr().expect("a listener has an address");
            thread::spawn(move || {
                let mut open = Vec::new();
                while let Ok((connection, _)) = listener.accept() {
                    open.push(connection);
                    // What the worker has closed is not needed any more.
                    if open.len() > 64 {
                        open.remove(0);
                    }
                }
            });
            address
        };
        Hanging((1..=HOSTS).map(host).collect())
    }

    /// The base URL of the host for a job; `None` without hosts.
    pub(super) fn url(&self, number: u64) -> Option<String> {
        let index = usize::try_from(number).ok()?.checked_rem(self.0.len())?;
        Some(format!("http://{}", self.0[index]))
    }
}
