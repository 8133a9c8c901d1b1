//! Runs other programs: prints one line when a step starts, and one with its result and duration.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Instant;

/// Why xtask fails, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, code: 1 }
    }
}

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
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Runs one named step whose output the user sees.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<(), Failure> {
    timed(name, || visibly(command))
}

/// Runs a command whose output the user sees.
pub(crate) fn visibly(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    success(command, status)
}

/// Runs one named step whose output the user sees, and reads its lines too.
pub(crate) fn run_reading(
    name: &str,
    command: &mut Command,
    mut read: impl FnMut(&str),
) -> Result<(), Failure> {
    timed(name, || {
        let not_started = |error| not_started(command, &error);
        let (lines, writer) = std::io::pipe().map_err(not_started)?;
        let second = writer.try_clone().map_err(not_started)?;
        let mut child = command
            .stdout(writer)
            .stderr(second)
            .spawn()
            .map_err(|error| self::not_started(command, &error))?;
        // The command holds the ends of the pipe that this process writes to.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            eprintln!("{line}");
            read(&line);
        }
        let status = child.wait().map_err(|error| self::not_started(command, &error))?;
        success(command, status)
    })
}

/// Runs one named step and prints how long it took.
pub(crate) fn timed(name: &str, step: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    eprintln!("xtask: {name} …");
    let start = Instant::now();
    let result = step();
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    eprintln!("xtask: {name}: {verdict} ({:.1} s)", start.elapsed().as_secs_f64());
    result
}

/// Runs one named step and returns its standard output.
pub(crate) fn timed_output(name: &str, command: &mut Command) -> Result<String, Failure> {
    let mut printed = String::new();
    timed(name, || output(command).map(|text| printed = text))?;
    Ok(printed)
}

/// The standard output of a command. Its standard error goes to the user.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    success(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a command runs and succeeds. Shows no output.
pub(crate) fn works(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The exit code that a shell would report.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

pub(crate) fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    Failure::from(format!("could not start `{}`: {error}", line(command)))
}

fn success(command: &Command, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let message = format!("`{}` ended with {status}; see its output above", line(command));
    Err(Failure { message, code: exit_code(status) })
}

/// The command as typed in a shell.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
