//! The worker's binary in both builds, each at its own path.

use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{self, Result};

/// Which of the two builds.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Build {
    /// With OpenTelemetry
    Otel,
    /// Without OpenTelemetry
    Lean,
}

/// A variable in which tests, bench and demo look for a program, and the program.
pub(crate) type Variable = (String, PathBuf);

impl Build {
    pub(crate) const ALL: [Self; 2] = [Self::Otel, Self::Lean];

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

    /// Builds the worker and copies it to `target/e2e/{otel,lean}/postrider`.
    pub(crate) fn worker(self) -> Result<Variable> {
        self.built("worker", &["-p", "postrider"], "debug/postrider", self.name())
    }

    /// The same with optimisation, to `target/e2e/release-{otel,lean}/postrider`.
    pub(crate) fn release_worker(self) -> Result<Variable> {
        let folder = format!("release-{}", self.name());
        self.built("optimised worker", &["-p", "postrider", "--release"], "release/postrider", &folder)
    }

    /// Builds the worker that counts its allocations, to `target/e2e/{otel,lean}/allocations`.
    pub(crate) fn counting_worker(self) -> Result<Variable> {
        // The same selection of packages as for the tests, so that Cargo builds no dependency again.
        let example = ["--workspace", "--example", "allocations"];
        let (variable, program) =
            self.built("counting worker", &example, "debug/examples/allocations", self.name())?;
        Ok((variable.replace("_BIN", "_ALLOCATIONS_BIN"), program))
    }

    /// `-p postrider` and not `--workspace` builds a worker as released: other selected packages would add their features.
    fn built(self, what: &str, selection: &[&str], program: &str, folder: &str) -> Result<Variable> {
        let mut cargo = step::cargo(&["build"]);
        step::run(&format!("build the {what} ({})", self.name()), cargo.args(selection).args(self.flags()))?;
        // Both builds write this path, so copy the binary before the other build runs.
        let program = step::target().join(program);
        let copy = step::target().join("e2e").join(folder).join(program.file_name().unwrap_or_default());
        replace(&program, &copy).map_err(|error| step::at(&copy, &error))?;
        Ok((format!("POSTRIDER_{}_BIN", self.name().to_uppercase()), copy))
    }
}

/// Copies to a temporary name first: the old file may be running, and no test may see an incomplete file.
fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let temporary = to.with_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(to.parent().expect("the copy is in a folder"))?;
    fs::copy(from, &temporary)?;
    fs::rename(&temporary, to)
}
