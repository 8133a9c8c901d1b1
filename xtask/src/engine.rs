//! The container engine and its compose: Docker or Podman, `docker compose` or `docker-compose`.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::step::{self, Failure};

/// The client of an engine that responds.
pub(crate) struct Engine {
    client: OsString,
}

impl Engine {
    /// The client in `DOCKER`, or `docker`. This is the only error without an engine.
    pub(crate) fn find() -> Result<Self, Failure> {
        let named = env::var_os("DOCKER").filter(|client| !client.is_empty());
        let engine = Self { client: named.unwrap_or_else(|| "docker".into()) };
        if step::works(engine.command().arg("info")) {
            return Ok(engine);
        }
        let client = engine.client.to_string_lossy();
        Err(format!(
            "no container engine answers to `{client} info`: start Docker, or name another client in DOCKER, as in \
             DOCKER=podman"
        )
        .into())
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
    pub(crate) fn compose(&self) -> Result<Vec<OsString>, Failure> {
        if step::works(self.command().args(["compose", "version"])) {
            return Ok(vec![self.client.clone(), "compose".into()]);
        }
        let mut beside = self.client.clone();
        beside.push("-compose");
        // It uses Docker's socket, so with another client it would start the stack in the wrong engine.
        let is_docker = Path::new(&self.client).file_name().is_some_and(|name| name == "docker");
        let elsewhere = is_docker.then(|| "docker-compose".into());
        for program in std::iter::once(beside).chain(elsewhere) {
            if step::works(Command::new(&program).arg("version")) {
                return Ok(vec![program]);
            }
        }
        let client = self.client.to_string_lossy();
        Err(format!(
            "neither `{client} compose` nor `{client}-compose` runs: install one of them, or leave DOCKER unset and \
             name the engine's socket in DOCKER_HOST"
        )
        .into())
    }
}
