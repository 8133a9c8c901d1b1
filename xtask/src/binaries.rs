//! The worker's binary in both builds, each at its own path.

use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{self, Failure};

/// Which of the two builds.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Build {
    /// With OpenTelemetry
    Otel,
    /// Without OpenTelemetry
    Lean,
}

impl Build {
    /// Cargo's flags for this build, without the package.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Otel => &[],
            Self::Lean => &["--no-default-features"],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Otel => "otel",
            Self::Lean => "lean",
        }
    }

    /// The variable in which the tests and the bench look for [`counting_worker`].
    pub(crate) fn counting_variable(self) -> &'static str {
        match self {
            Self::Otel => "POSTRIDER_OTEL_ALLOCATIONS_BIN",
            Self::Lean => "POSTRIDER_LEAN_ALLOCATIONS_BIN",
        }
    }
}

/// Builds the worker as released and copies it to `target/e2e/{otel,lean}/postrider`.
pub(crate) fn worker(build: Build) -> Result<PathBuf, Failure> {
    copied(build, "debug", build.name())
}

/// The same with optimisation, to `target/e2e/release-{otel,lean}/postrider`.
pub(crate) fn release_worker(build: Build) -> Result<PathBuf, Failure> {
    copied(build, "release", &format!("release-{}", build.name()))
}

/// Builds the worker that counts its allocations, to `target/e2e/{otel,lean}/allocations`.
pub(crate) fn counting_worker(build: Build) -> Result<PathBuf, Failure> {
    // The same selection of packages as for the tests, so that Cargo builds no dependency again.
    let mut cargo = step::cargo(&["build", "--workspace", "--example", "allocations"]);
    step::run(&format!("build the counting worker ({})", build.name()), cargo.args(build.flags()))?;
    let built = step::target().join("debug").join("examples").join("allocations");
    kept(&built, &step::target().join("e2e").join(build.name()).join("allocations"))
}

fn copied(build: Build, profile: &str, folder: &str) -> Result<PathBuf, Failure> {
    // `-p postrider` and not `--workspace`: other selected packages would add their features.
    let mut cargo = step::cargo(&["build", "-p", "postrider"]);
    cargo.args(build.flags());
    if profile == "release" {
        cargo.arg("--release");
    }
    step::run(&format!("build the worker ({}, {profile})", build.name()), &mut cargo)?;
    // Both builds write this path, so copy the binary before the other build runs.
    let built = step::target().join(profile).join("postrider");
    kept(&built, &step::target().join("e2e").join(folder).join("postrider"))
}

fn kept(built: &Path, copy: &Path) -> Result<PathBuf, Failure> {
    replace(built, copy).map_err(|error| {
        Failure::from(format!("could not copy {} to {}: {error}", built.display(), copy.display()))
    })?;
    Ok(copy.to_owned())
}

/// Copies to a temporary name first: the old file may be running, and no test may see an incomplete file.
fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let temporary = to.with_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(to.parent().expect("the copy is in a folder"))?;
    fs::copy(from, &temporary)?;
    fs::rename(&temporary, to)
}
