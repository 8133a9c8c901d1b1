//! `cargo xtask images`: the worker's image in both builds, `postrider:otel` and `postrider:lean`.

use std::process::Command;

use clap::Args;

use crate::binaries::Build;
use crate::engine::Engine;
use crate::step::{self, Failure};

/// What to build.
#[derive(Args)]
pub(crate) struct Options {
    /// Only this build
    #[arg(long, value_enum)]
    features: Option<Build>,
    /// The profile of Cargo: `dev` builds fast, for tests
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
}

/// Builds the selected images and prints their sizes.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let engine = Engine::find()?;
    let builds = options.features.map_or(vec![Build::Otel, Build::Lean], |build| vec![build]);
    for build in builds {
        image(&engine, build, &options.profile)?;
    }
    Ok(())
}

/// Builds one image.
pub(crate) fn image(engine: &Engine, build: Build, profile: &str) -> Result<(), Failure> {
    let tag = tag(build);
    let arguments = [
        format!("FEATURES={}", build.name()),
        format!("PROFILE={profile}"),
        format!("VERSION={}", env!("CARGO_PKG_VERSION")),
        format!("REVISION={}", revision()),
    ];
    let mut command = engine.command();
    command.args(["build", "--file", "docker/worker.Dockerfile", "--tag", &tag]);
    for argument in &arguments {
        command.args(["--build-arg", argument]);
    }
    step::run(&format!("build the image {tag} ({profile})"), command.arg("."))?;
    let size = ["image", "inspect", "--format", "{{.Size}}", &tag];
    let size = step::output(engine.command().args(size))?;
    let bytes: f64 = size.trim().parse().unwrap_or(f64::NAN);
    eprintln!("xtask: {tag} has {:.1} MB", bytes / 1e6);
    Ok(())
}

pub(crate) fn tag(build: Build) -> String {
    format!("postrider:{}", build.name())
}

/// The checked-out commit, with a suffix if files differ from it, or `unknown` without Git.
fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(step::root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(revision) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    if changed { format!("{revision}-modified") } else { revision }
}
