//! A private PostgreSQL on a free port, with the programs of Debian's package.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::child::OwnedChild;
use crate::wait::eventually_or;

const START_DEADLINE: Duration = Duration::from_secs(60);
/// PostgreSQL refuses to run as root.
const USER: &str = "postgres";

/// A running server with one database. It stops and its folder is removed when this is dropped.
pub struct PostgresServer {
    port: u16,
    programs: PathBuf,
    // Before the folder: the server must stop before the folder is removed.
    child: OwnedChild,
    folder: TempDir,
}

impl PostgresServer {
    /// Starts a server and waits until it answers; `None`, with a line about it, on a machine without PostgreSQL.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start() -> Option<PostgresServer> {
        let Some(programs) = programs() else {
            eprintln!("skipped: this machine has no PostgreSQL (Debian: postgresql)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("postrider-postgres-").tempdir();
        let folder = folder.expect("the folder for temporary files can be written");
        if Uid::effective().is_root() {
            let owner = uid();
            std::os::unix::fs::chown(folder.path(), Some(owner), Some(owner))
                .expect("root can give a folder away");
        }
        let mut initdb = as_user(&programs.join("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--pgdata"]);
        let made = initdb.arg(folder.path().join("data")).output().expect("initdb can be started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("a listener has an address").port();
        drop(listener);
        let child = spawn(&programs, folder.path(), port);
        let mut server = PostgresServer { port, programs, child, folder };
        server.wait();
        Some(server)
    }

    /// `postgresql://…`
    pub fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs statements with psql, each in its own transaction unless they begin one, and returns the rows: a line each, columns
    /// divided by `|`.
    ///
    /// # Panics
    ///
    /// If one of them fails.
    pub fn sql(&self, statements: &str) -> String {
        self.try_sql(statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// The same, for statements that may fail.
    ///
    /// # Errors
    /// What psql prints.
    pub fn try_sql(&self, statements: &str) -> Result<String, String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", statements]);
        let output = psql.env("PGCONNECT_TIMEOUT", "20").output().expect("psql can be started");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Sends a signal to all of its processes, for example `SIGSTOP`.
    pub fn signal(&mut self, signal: Signal) {
        let parent = self.child.pid().to_string();
        let children = Command::new("pgrep").args(["-P", &parent]).output().expect("pgrep can be started");
        for pid in String::from_utf8_lossy(&children.stdout).lines().filter_map(|pid| pid.parse().ok()) {
            // It may have ended.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
        self.child.signal(signal);
    }

    /// Kills the server like a power failure, and starts it again with what it had committed.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn kill_and_restart(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.kill();
        self.child = spawn(&self.programs, self.folder.path(), self.port);
        self.wait();
    }

    fn wait(&mut self) {
        eventually_or("PostgreSQL", START_DEADLINE, || {
            if self.child.try_wait().is_some() {
                // The processes of the one that was killed may hold its memory for a moment.
                self.child = spawn(&self.programs, self.folder.path(), self.port);
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(|error| error.to_string())?;
            self.try_sql("select 1").map(drop)
        });
    }
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists()).max()
}

fn uid() -> u32 {
    let output = Command::new("id").args(["-u", USER]).output().expect("id can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("the package of PostgreSQL has made its user")
}

/// The program as a user that may run PostgreSQL.
fn as_user(program: &Path) -> Command {
    if !Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program).current_dir("/");
    command
}

fn spawn(programs: &Path, folder: &Path, port: u16) -> OwnedChild {
    let mut command = as_user(&programs.join("postgres"));
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string(), "-k", ""]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "logging_collector=off"]);
    OwnedChild::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
}
