//! A private Redis-compatible server on a free port. It keeps nothing on disk unless a test asks for it.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::child::OwnedChild;
use crate::resp::{Connection, Reply};
use crate::wait;

const START_DEADLINE: Duration = Duration::from_secs(20);
const START_TRIES: usize = 5;
/// The port of a node's cluster bus is this much above the node's own port.
const BUS_ABOVE: u16 = 10_000;

/// A running server. It stops and its folder is removed when this is dropped.
pub struct RedisServer {
    /// On the loopback address.
    pub port: u16,
    arguments: Vec<String>,
    // Before the folder: the server must stop before the folder is removed.
    child: OwnedChild,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk and waits until it answers.
    ///
    /// # Panics
    ///
    /// If there is no server program or it does not start.
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// Starts a server with more arguments, for example `["--appendonly", "yes"]`. They override the
    /// defaults.
    ///
    /// # Panics
    ///
    /// If there is no server program or it does not start.
    pub fn start_with(arguments: &[&str]) -> RedisServer {
        RedisServer::start_on(free_port, arguments)
    }

    /// Starts a node of a cluster, without slots. The port of its bus is its own plus 10,000, which servers
    /// before 7 cannot change.
    ///
    /// # Panics
    ///
    /// If there is no server program or it does not start.
    pub fn start_cluster_node() -> RedisServer {
        let low_port = || {
            wait::eventually("a port with one 10,000 above it", START_DEADLINE, || {
                Some(free_port()).filter(|port| *port < u16::MAX - BUS_ABOVE)
            })
        };
        // A node that has met no other does not know its own address.
        let address = ["--cluster-announce-ip", "127.0.0.1"];
        RedisServer::start_on(low_port, &[&["--cluster-enabled", "yes"], &address[..]].concat())
    }

    fn start_on(port: impl Fn() -> u16, arguments: &[&str]) -> RedisServer {
        let folder = tempfile::Builder::new().prefix("postrider-redis-").tempdir();
        let folder = folder.expect("the folder for temporary files can be written");
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for _ in 0..START_TRIES {
            // Another process can take the port before the server does; it exits then.
            let port = port();
            let mut child = spawn(port, &folder, &arguments);
            if answers(port, &mut child) {
                return RedisServer { port, arguments, child, folder };
            }
        }
        panic!("the Redis server does not start; its log:\n{}", log_of(&folder));
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Opens a new connection, for many commands in a row.
    ///
    /// # Panics
    ///
    /// If the server does not accept it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.port).expect("the Redis server of the test accepts connections")
    }

    /// Sends one command with the bytes that `redis-cli` sends, on a new connection.
    ///
    /// # Panics
    ///
    /// If the server does not run. An error reply is returned.
    pub fn command(&self, arguments: &[impl AsRef<[u8]>]) -> Reply {
        self.connect().command(arguments).expect("the Redis server of the test answers")
    }

    /// How many reads of workers wait for a job.
    pub fn blocked_reads(&self) -> usize {
        let clients = self.command(&["CLIENT", "LIST", "TYPE", "normal"]).text();
        clients.lines().filter(|line| line.contains("cmd=xreadgroup") && line.contains("flags=b")).count()
    }

    /// Sends a signal, for example `SIGSTOP`.
    pub fn signal(&mut self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Kills the server like a power failure, and leaves its folder.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Kills the server if it runs, and starts it again on the same port and folder.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&mut self) {
        self.child.kill();
        for _ in 0..START_TRIES {
            self.child = spawn(self.port, &self.folder, &self.arguments);
            if answers(self.port, &mut self.child) {
                return;
            }
        }
        panic!("the Redis server does not start again; its log:\n{}", log_of(&self.folder));
    }
}

fn spawn(port: u16, folder: &TempDir, arguments: &[String]) -> OwnedChild {
    let mut command = Command::new(server_program());
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]);
    // The folder first: servers before 7 open the log at once, in the current folder.
    command.arg("--dir").arg(folder.path());
    command.args(["--save", "", "--appendonly", "no", "--logfile", "server.log"]).args(arguments);
    OwnedChild::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
}

/// Waits until this server replies. Returns false if it exits first, for example because another server has the port.
fn answers(port: u16, child: &mut OwnedChild) -> bool {
    let own = format!("process_id:{}", child.pid());
    wait::eventually("the Redis server answers PING", START_DEADLINE, || {
        if child.try_wait().is_some() {
            return Some(false);
        }
        let mut connection = Connection::open(port).ok()?;
        // While it loads its files it replies LOADING.
        let reply = connection.command(&["PING"]).ok()?;
        if !matches!(reply, Reply::Simple(pong) if pong == "PONG") {
            return None;
        }
        let info = connection.command(&["INFO", "server"]).ok()?.text();
        info.lines().any(|line| line == own).then_some(true)
    })
}

fn log_of(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_else(|error| error.to_string())
}

/// A port that was free a moment ago, on the loopback address.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("a listener has an address").port()
}

pub(crate) fn server_program() -> PathBuf {
    std::env::var_os("POSTRIDER_REDIS_SERVER")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| on_path("redis-server"))
        .or_else(|| on_path("valkey-server"))
        .expect(
            "no Redis server: install redis-server or valkey-server, name one in POSTRIDER_REDIS_SERVER, \
             or run `cargo xtask test`, which fetches one",
        )
}

/// The program of that name on the PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(OsStr::new(program))).find(|file| file.is_file())
}
