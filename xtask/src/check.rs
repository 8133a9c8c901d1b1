//! `cargo xtask check`: everything except the tests. The cheap steps run first.

use clap::builder::PossibleValuesParser;

use crate::links;
use crate::plots;
use crate::step::{self, Result, cargo};
use crate::tidy;
use crate::tools;

type Step = fn() -> Result;

const STEPS: [(&str, Step); 14] = [
    ("tidy", tidy::run),
    ("links", links::check),
    ("plots", plots::check),
    ("fmt", || step::visibly(&mut cargo(&["fmt", "--all", "--check"]))),
    ("lean-tree", || absent("opentelemetry", &["--no-default-features"], LEAN)),
    ("one-tls", || absent("aws-lc", &[], ONE_TLS)),
    ("one-version", || absent("opentelemetry", &["--duplicates", "--depth=0"], ONE_VERSION)),
    ("deny", deny),
    ("deployment", tools::validate),
    ("workflows", tools::workflows),
    ("clippy", || clippy(&["--workspace"])),
    ("doc", || doc(&["--workspace"])),
    ("clippy-lean", || clippy(&STUBS)),
    ("doc-lean", || doc(&STUBS)),
];

const LEAN: &str = "look for an unwanted `default = [\"otel\"]`, a missing `default-features = false` in the root's \
                    [workspace.dependencies], or a dev-dependency";
const ONE_TLS: &str = "`ring` must be the only TLS provider; a dependency has its default features on";
const ONE_VERSION: &str = "two versions do not share their global state, so one would be silent: bring the versions \
                           in the root's Cargo.toml in line";

/// What only the lean build compiles. The other crates are the same in both (`crates/README.md`, invariant 1), and the tests of the
/// lean build compile them.
const STUBS: [&str; 3] = ["--package", "otel-facade", "--no-default-features"];

/// The values of `--only`.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(STEPS.map(|(name, _)| name))
}

/// Runs the steps until one fails, or only one.
pub(crate) fn run(only: Option<&str>) -> Result {
    for (name, step) in STEPS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        step::timed(&format!("check {name}"), step).map_err(|failure| {
            format!("{failure}\n`cargo xtask check --only {name}` repeats only this step")
        })?;
    }
    Ok(())
}

fn clippy(packages: &[&str]) -> Result {
    let mut command = cargo(&["clippy", "--all-targets"]);
    step::visibly(command.args(packages).args(["--", "-D", "warnings"]))
}

fn doc(packages: &[&str]) -> Result {
    let mut command = cargo(&["doc", "--no-deps", "--lib"]);
    step::visibly(command.args(packages).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences, sources, forbidden crates and second versions, by deny.toml. Installing cargo-deny takes minutes.
fn deny() -> Result {
    if !step::works(&mut cargo(&["deny", "--version"])) {
        eprintln!("xtask: check deny: skipped, because `cargo deny` is not installed");
        return Ok(());
    }
    step::visibly(&mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))
}

/// `cargo tree -i NAME` exits with 101 if the crate is absent, but also on any other error.
fn absent(word: &str, options: &[&str], advice: &str) -> Result {
    let tree = step::output(cargo(&["tree", "--workspace", "--prefix", "none"]).args(options))?;
    let found = tree.lines().find(|line| line.contains(word));
    let failure =
        |line| Err(format!("`cargo tree --workspace {}` lists `{line}`; {advice}", options.join(" ")));
    found.map_or(Ok(()), failure)
}
