//! The container engine: Docker or Podman, with `docker compose` or `docker-compose`, and the images that it builds.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::binaries::Build;
use crate::step::{self, Result};

/// The client of an engine that responds.
pub(crate) struct Engine {
    client: OsString,
}

impl Engine {
    /// The client in `DOCKER`, or `docker`. This is the only error without an engine.
    pub(crate) fn find() -> Result<Self> {
        let named = env::var_os("DOCKER").filter(|client| !client.is_empty());
        let engine = Self { client: named.unwrap_or_else(|| "docker".into()) };
        let advice = "start Docker, or name another client in DOCKER, as in DOCKER=podman";
        let failure = format!("no container engine answers to `{} info`: {advice}", engine.client.display());
        step::works(engine.command().arg("info")).then_some(engine).ok_or(failure)
    }

    /// The name or the path of the client.
    pub(crate) fn client(&self) -> &OsString {
        &self.client
    }

    /// A call of the client, in the root of the workspace.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.client);
        // Older clients use the old builder otherwise, and keep every layer.
        command.current_dir(step::root()).env("DOCKER_BUILDKIT", "1");
        command
    }

    /// The command line of compose: a subcommand of the client, or a separate program.
    pub(crate) fn compose(&self) -> Result<Vec<OsString>> {
        if step::works(self.command().args(["compose", "version"])) {
            return Ok(vec![self.client.clone(), "compose".into()]);
        }
        let mut beside = self.client.clone();
        beside.push("-compose");
        // It uses Docker's socket, so with another client it would start the stack in the wrong engine.
        let is_docker = Path::new(&self.client).file_name().is_some_and(|name| name == "docker");
        let programs = std::iter::once(beside).chain(is_docker.then(|| "docker-compose".into()));
        let found = programs.into_iter().find(|program| step::works(Command::new(program).arg("version")));
        let client = self.client.display();
        let advice = "install one of them, or leave DOCKER unset and name the engine's socket in DOCKER_HOST";
        let failure = format!("neither `{client} compose` nor `{client}-compose` runs: {advice}");
        found.map(|program| vec![program]).ok_or(failure)
    }

    /// Builds the worker's image with a profile of Cargo, and prints its size.
    pub(crate) fn image(&self, build: Build, profile: &str) -> Result {
        let (features, tag) = (build.name(), tag(build));
        let mut command = self.command();
        command.args(["build", "--file", "docker/worker.Dockerfile", "--tag", &tag]);
        for argument in [
            format!("FEATURES={features}"),
            format!("PROFILE={profile}"),
            format!("VERSION={}", env!("CARGO_PKG_VERSION")),
            format!("REVISION={}", revision()),
        ] {
            command.args(["--build-arg", &argument]);
        }
        step::run(&format!("build the image {tag} ({profile})"), command.arg("."))?;
        let size = ["image", "inspect", "--format", "{{.Size}}", &tag];
        let bytes: f64 = step::output(self.command().args(size))?.trim().parse().unwrap_or(f64::NAN);
        eprintln!("xtask: {tag} has {:.1} MB", bytes / 1e6);
        Ok(())
    }
}

pub(crate) fn tag(build: Build) -> String {
    format!("postrider:{}", build.name())
}

/// The checked-out commit, with a suffix if files differ from it, or `unknown` without Git.
fn revision() -> String {
    let git = Command::new("git")
        .args(["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-modified"])
        .current_dir(step::root())
        .output();
    let revision = git.ok().filter(|output| output.status.success());
    revision.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
