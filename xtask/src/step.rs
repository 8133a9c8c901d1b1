//! Runs other programs: prints one line when a step starts, and one with its result and duration.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

/// A result, or the sentence with which xtask fails.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// The root of the workspace: the location of xtask from `cargo run`, or else where it was compiled. They
/// differ if a target folder was copied from another checkout, because Cargo reuses what it finds there.
pub(crate) fn root() -> &'static Path {
    static XTASK: LazyLock<PathBuf> = LazyLock::new(|| {
        let is_ours = env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"));
        let found = env::var_os("CARGO_MANIFEST_DIR").filter(|_| is_ours);
        found.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    XTASK.parent().expect("xtask is in the root of the workspace")
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, or `target` in the root.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()) {
        // A relative path starts at the caller's folder, but Cargo runs in the root.
        Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
        None => root().join("target"),
    }
}

/// A call of Cargo, in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()).env("CARGO_TARGET_DIR", target());
    // `cargo run` sets these variables for xtask. Build scripts watch some of them and would run again
    // whenever Cargo is called first from here and then by hand.
    let is_own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_own)) {
        command.env_remove(name);
    }
    command
}

/// Runs one named step and prints how long it took.
pub(crate) fn timed<T>(name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("xtask: {name} …");
    let start = Instant::now();
    let result = step();
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    eprintln!("xtask: {name}: {verdict} ({:.1} s)", start.elapsed().as_secs_f64());
    result
}

/// Runs one named step whose output the user sees.
pub(crate) fn run(name: &str, command: &mut Command) -> Result {
    timed(name, || visibly(command))
}

/// Runs a command whose output the user sees.
pub(crate) fn visibly(command: &mut Command) -> Result {
    let status = command.status();
    success(command, status)
}

/// Runs one named step whose output the user sees, and reads its lines, too.
pub(crate) fn run_reading(name: &str, mut command: Command, mut read: impl FnMut(&str)) -> Result {
    let mut read_all = |command: &mut Command| {
        let (lines, writer) = std::io::pipe()?;
        let mut child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        // The command holds the ends of the pipe that this process writes to.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        for line in BufReader::new(lines).lines().map_while(std::result::Result::ok) {
            eprintln!("{line}");
            read(&line);
        }
        child.wait()
    };
    timed(name, || {
        let status = read_all(&mut command);
        success(&command, status)
    })
}

/// The standard output of a command. Its standard error goes to the user.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let text = output.as_ref().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    success(command, output.map(|output| output.status)).map(|()| text)
}

/// Whether a command runs and succeeds. Shows no output.
pub(crate) fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The sentence about an error at a path.
pub(crate) fn at(path: &Path, error: &impl Display) -> String {
    format!("{}: {error}", path.display())
}

fn success(command: &Command, status: std::io::Result<ExitStatus>) -> Result {
    let program = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    let words = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy);
    let line = words.collect::<Vec<_>>().join(" ");
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}; see its output above")),
        Err(error) => Err(format!("could not start `{line}`: {error}")),
    }
}
