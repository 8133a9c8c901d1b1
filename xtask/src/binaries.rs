//! The worker's binary in both builds, each at its own path.

use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{self, Result};

/// Which of the two builds.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
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

    /// Cargo's flags for the packages whose tests are run, and for this build.
    pub(crate) fn tested(self) -> &'static [&'static str] {
        match self {
            Self::Otel => &["--workspace"],
            // These commands have no builds.
            Self::Lean => &["--workspace", "--exclude", "xtask", "--no-default-features"],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Otel => "otel",
            Self::Lean => "lean",
        }
    }

    /// Builds the worker, and the one that counts its allocations, and copies them to `target/e2e/{otel,lean}`.
    pub(crate) fn workers(self) -> Result<[Variable; 2]> {
        // The same selection of packages as for the tests, so that Cargo builds nothing twice: `--bin` alone would leave
        // out the features that tests and examples add.
        let programs = ["--bin", "postrider", "--example", "allocations"];
        self.build("workers", &[self.tested(), &programs].concat())?;
        let (worker, counting) = ("debug/postrider", "debug/examples/allocations");
        Ok([self.copied("BIN", worker, self.name())?, self.copied("ALLOCATIONS_BIN", counting, self.name())?])
    }

    /// Builds the optimised worker as released, and copies it to `target/e2e/release-{otel,lean}/postrider`.
    pub(crate) fn release_worker(self) -> Result<Variable> {
        // Not `--workspace`: other selected packages would add their features.
        self.build("optimised worker", &[&["-p", "postrider", "--release"], self.flags()].concat())?;
        self.copied("BIN", "release/postrider", &format!("release-{}", self.name()))
    }

    fn build(self, what: &str, selection: &[&str]) -> Result {
        let mut cargo = step::cargo(&["build"]);
        step::run(&format!("build the {what} ({})", self.name()), cargo.args(selection))
    }

    /// Both builds write the same path, so each program is copied before the other build runs.
    fn copied(self, kind: &str, program: &str, folder: &str) -> Result<Variable> {
        let program = step::target().join(program);
        let copy = step::target().join("e2e").join(folder).join(program.file_name().unwrap_or_default());
        replace(&program, &copy).map_err(|error| step::at(&copy, &error))?;
        Ok((format!("POSTRIDER_{}_{kind}", self.name().to_uppercase()), copy))
    }
}

/// Copies to a temporary name first: the old file may be running, and no test may see an incomplete file.
fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let temporary = to.with_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(to.parent().expect("the copy is in a folder"))?;
    fs::copy(from, &temporary)?;
    fs::rename(&temporary, to)
}
