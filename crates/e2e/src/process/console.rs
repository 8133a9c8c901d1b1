//! `postrider console` as a process.

use std::net::SocketAddr;

use super::{Build, Postrider, READY_DEADLINE};

impl Postrider {
    /// Starts `postrider console` on a free port, and waits until it listens. Returns its address, too.
    ///
    /// # Panics
    ///
    /// With its log if it does not.
    pub fn console(build: Build, arguments: &[&str], variables: &[(&str, &str)]) -> (Postrider, SocketAddr) {
        let arguments = [&["console", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut console = Postrider::spawn(build.command(&arguments, variables));
        let line = console.wait_for_log("serves the console", READY_DEADLINE);
        let line = serde_json::from_str::<serde_json::Value>(&line).ok();
        let address = line.and_then(|line| line["address"].as_str()?.parse().ok());
        (console, address.expect("the line names the address"))
    }
}
