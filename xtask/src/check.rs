//! `cargo xtask check`: everything except the tests. The cheap steps run first.

use std::fs;

use clap::builder::PossibleValuesParser;

use crate::binaries::{self, Build};
use crate::deployment;
use crate::links;
use crate::step::{self, Failure, cargo};
use crate::tidy;

type Step = fn() -> Result<(), Failure>;

const STEPS: [(&str, Step); 12] = [
    ("tidy", tidy::run),
    ("links", links::check),
    ("fmt", || step::visibly(&mut cargo(&["fmt", "--all", "--check"]))),
    ("lean-tree", lean_tree),
    ("one-tls", one_tls),
    ("one-version", one_version),
    ("deployment", deployment::check),
    ("clippy", || clippy(Build::Otel)),
    ("doc", || doc(Build::Otel)),
    ("clippy-lean", || clippy(Build::Lean)),
    ("doc-lean", || doc(Build::Lean)),
    ("lean-binary", lean_binary),
];

/// The values of `--only`.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(STEPS.map(|(name, _)| name))
}

/// Runs the steps until one fails, or only one.
pub(crate) fn run(only: Option<&str>) -> Result<(), Failure> {
    for (name, step) in STEPS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        step::timed(&format!("check {name}"), step).map_err(|failure| {
            let hint = format!("`cargo xtask check --only {name}` repeats only this step");
            Failure { message: format!("{}\n{hint}", failure.message), ..failure }
        })?;
    }
    Ok(())
}

fn clippy(build: Build) -> Result<(), Failure> {
    let mut command = cargo(&["clippy", "--workspace", "--all-targets"]);
    command.args(build.flags()).args(["--", "-D", "warnings"]);
    step::visibly(&mut command)
}

fn doc(build: Build) -> Result<(), Failure> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
    command.args(build.flags()).env("RUSTDOCFLAGS", "-D warnings");
    step::visibly(&mut command)
}

/// `cargo tree -i opentelemetry` exits with 101 if the crate is absent, but also on any other error.
fn lean_tree() -> Result<(), Failure> {
    let tree = step::output(&mut cargo(&["tree", "--workspace", "--no-default-features"]))?;
    absent(
        &tree,
        "opentelemetry",
        "cargo tree --workspace --no-default-features",
        "look for an unwanted `default = [\"otel\"]`, a missing `default-features = false` in the root's \
         [workspace.dependencies], or a dev-dependency",
    )
}

fn one_tls() -> Result<(), Failure> {
    let tree = step::output(&mut cargo(&["tree", "--workspace"]))?;
    let advice = "`ring` must be the only TLS provider; a dependency has its default features on";
    absent(&tree, "aws-lc", "cargo tree --workspace", advice)
}

fn absent(tree: &str, word: &str, command: &str, advice: &str) -> Result<(), Failure> {
    match tree.lines().find(|line| line.contains(word)) {
        None => Ok(()),
        Some(line) => Err(format!(
            "`{command}` lists `{}`; {advice}",
            line.trim_start_matches([' ', '│', '├', '└', '─'])
        )
        .into()),
    }
}

fn one_version() -> Result<(), Failure> {
    let lock = fs::read_to_string(step::root().join("Cargo.lock"))
        .map_err(|error| Failure::from(format!("Cargo.lock: {error}")))?;
    match twice(&lock, "opentelemetry").as_slice() {
        [] => Ok(()),
        names => Err(format!(
            "Cargo.lock has more than one version of {}; two of them do not share their global state, so one \
             would be silent: bring the versions in the root's Cargo.toml in line",
            names.join(", ")
        )
        .into()),
    }
}

/// The packages whose name contains `word` and that a lock file contains more than once.
fn twice<'a>(lock: &'a str, word: &str) -> Vec<&'a str> {
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let mut names: Vec<_> = names.filter(|name| name.contains(word)).collect();
    names.sort_unstable();
    let mut twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    twice.dedup();
    twice
}

/// A debug build contains the paths of its crates' source files, so a leaked crate is found.
fn lean_binary() -> Result<(), Failure> {
    let path = binaries::worker(Build::Lean)?;
    let bytes = fs::read(&path).map_err(|error| Failure::from(format!("{}: {error}", path.display())))?;
    let word = b"opentelemetry";
    let Some(at) = bytes.windows(word.len()).position(|window| window == word) else {
        return Ok(());
    };
    let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 60)];
    let around = String::from_utf8_lossy(around).replace(|character: char| character.is_control(), " ");
    Err(format!(
        "{} contains the word `opentelemetry` at byte {at}, in “{around}”; a crate leaked into the lean build, or \
         a text of ours (or the path of this checkout) has the word in lower case",
        path.display()
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_is_locked_twice_is_found() {
        let lock = "name = \"opentelemetry\"\nname = \"opentelemetry\"\nname = \"opentelemetry_sdk\"\nname = \"a\"\nname = \"a\"";
        assert_eq!(twice(lock, "opentelemetry"), ["opentelemetry"]);
    }

    #[test]
    fn a_crate_in_the_tree_is_named_without_the_lines_of_the_tree() {
        let failure = absent("a v1\n│   └── aws-lc-rs v1.2", "aws-lc", "cargo tree", "advice").unwrap_err();
        assert_eq!(failure.message, "`cargo tree` lists `aws-lc-rs v1.2`; advice");
    }
}
