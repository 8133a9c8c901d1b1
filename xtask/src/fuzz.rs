//! `cargo xtask fuzz`: tests properties of all inputs with a fuzzer's inputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};

/// A version of cargo-fuzz that is known to work.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which target to run: the name of a file in fuzz/fuzz_targets [default: all, one after the other]
    target: Option<String>,
    /// Seconds to run each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs the targets. Failing inputs go to `target/fuzz/artifacts`, new corpus inputs to `target/fuzz/corpus`.
/// The committed corpus does not change.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let targets = targets()?;
    let chosen: Vec<&String> = match &options.target {
        None => targets.iter().collect(),
        Some(name) => targets.iter().filter(|target| *target == name).collect(),
    };
    if chosen.is_empty() {
        return Err(format!("unknown target; known are: {}", targets.join(", ")).into());
    }
    if !step::works(Command::new("rustup").args(["run", "nightly", "cargo", "--version"])) {
        let advice =
            "fuzzing needs the nightly compiler: `rustup toolchain install nightly --profile minimal`";
        return Err(advice.to_owned().into());
    }
    let cargo_fuzz = cargo_fuzz()?;
    for target in chosen {
        let learnt = made(&step::target().join("fuzz/corpus").join(target))?;
        let found = made(&step::target().join("fuzz/artifacts").join(target))?;
        let mut command = Command::new("rustup");
        command.args(["run", "nightly"]).arg(&cargo_fuzz).args(["run", "--fuzz-dir", "fuzz", "--target-dir"]);
        command.arg(step::target().join("fuzz/build")).arg(target);
        command.arg(learnt).arg(step::root().join("fuzz/corpus").join(target)).arg("--");
        command.arg(format!("-artifact_prefix={}/", found.display()));
        command
            .arg(format!("-max_total_time={}", options.seconds))
            .args(["-timeout=10", "-print_final_stats=1"]);
        step::run(&format!("fuzz {target}"), command.current_dir(step::root()))?;
    }
    Ok(())
}

/// The names of the targets.
fn targets() -> Result<Vec<String>, Failure> {
    let folder = step::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| at(&folder, &error))?;
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = files.filter_map(|file| Some(file.strip_suffix(".rs")?.to_owned())).collect();
    names.sort_unstable();
    Ok(names)
}

/// The path of cargo-fuzz, which is installed into `target/tools` once.
fn cargo_fuzz() -> Result<PathBuf, Failure> {
    let tools = step::target().join("tools");
    let program = tools.join("bin/cargo-fuzz");
    if !step::works(Command::new(&program).arg("--version")) {
        let mut install = step::cargo(&["install", CARGO_FUZZ, "--locked", "--quiet", "--root"]);
        // Uses its own target folder: Cargo has locked the workspace's.
        step::run("install cargo-fuzz", install.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")))?;
    }
    Ok(program)
}

fn made(folder: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
    Ok(folder.to_owned())
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::from(format!("{}: {error}", path.display()))
}
