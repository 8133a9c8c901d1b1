//! `cargo xtask certificates` and `cargo xtask many-kills`: reports of `postrider certify` for `docs/certificates`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries::{Build, Variable};
use crate::programs;
use crate::step::{self, Result};
use crate::tools;

/// Where they are written.
const FOLDER: &str = "docs/certificates";

/// Runs on each server, and on a cluster and behind Sentinel of the last one.
pub(crate) fn all(only: Option<&str>, minutes: u64, seed: u64) -> Result {
    let servers = tools::servers()?;
    let last = servers.last().ok_or("there is no server")?.1.clone();
    let mut runs: Vec<_> = servers.into_iter().map(|(name, server)| ("single", name, server)).collect();
    runs.push(("cluster", "cluster", last.clone()));
    runs.push(("sentinel", "sentinel", last));
    runs.retain(|(_, name, _)| only.is_none_or(|only| name.contains(only)));
    let options =
        [format!("--minutes={minutes}"), format!("--seed={seed}"), "--may-disturb-server".to_owned()];
    let program = Program::build()?;
    let mut failed = vec![];
    for (kind, name, server) in runs {
        // A single server is killed, and the others fail over.
        let kills = (kind == "single").then(|| "--kill-redis=20".to_owned());
        if let Err(error) = program.run(kind, name, &server, options.iter().cloned().chain(kills)) {
            failed.push(format!("{name}: {error}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// One long run of at least 10,000 kills of workers and 100 of Redis, with some to spare: a restart takes time, and a worker may
/// be about to end when it is to be killed.
pub(crate) fn many_kills(minutes: u64, seed: u64) -> Result {
    let every = (minutes * 60 / 112).max(1);
    let kills = 10_800.0 / (minutes as f64 * 60.0);
    let options = [
        format!("--minutes={minutes}"),
        format!("--seed={seed}"),
        "--workers=12".to_owned(),
        format!("--kills-per-second={kills:.2}"),
        format!("--kill-redis={every}"),
    ];
    Program::build()?.run("single", "many-kills", &tools::redis_server()?, options.into_iter())
}

/// The program that makes a certificate, and the builds of the worker that it runs.
struct Program {
    workers: [Variable; 2],
    path: PathBuf,
}

impl Program {
    fn build() -> Result<Self> {
        let workers = [Build::Lean.release_worker()?, Build::Otel.release_worker()?];
        Ok(Self { workers, path: programs::built("dev", &["certificates"])?.get_program().into() })
    }

    fn run(&self, kind: &str, name: &str, server: &Path, options: impl Iterator<Item = String>) -> Result {
        let folder = step::root().join(FOLDER);
        fs::create_dir_all(&folder).map_err(|error| step::at(&folder, &error))?;
        let mut command = Command::new(&self.path);
        command.arg(kind).arg(&folder).arg(name).args(options);
        command.envs(self.workers.clone()).env("POSTRIDER_REDIS_SERVER", server);
        step::visibly(&mut command)
    }
}
