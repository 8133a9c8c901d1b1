//! Commands that build programs of `crates/e2e` and run them.

use std::ffi::OsString;
use std::process::Command;

use crate::binaries::Build;
use crate::engine::Engine;
use crate::peers;
use crate::step::{self, Result};
use crate::tools;

/// What the user reads before a build that may take minutes.
const FIRST_BUILD: &str =
    "xtask: the demo needs the worker, the demo itself and a receiver of traces. The first build
takes about five minutes on two cores, and 1.9 GB in target/; later ones take seconds.";

/// The test of `chaos`.
const CHAOS: &str = "certify::nothing_is_lost_while_redis_dies_too_and_its_scripts_are_flushed";

/// Builds programs and returns a call of the last one. `--workspace`, like the tests: with another selection of
/// packages Cargo would build their dependencies again.
pub(crate) fn built(profile: &str, programs: &[&str]) -> Result<Command> {
    let last = programs[programs.len() - 1];
    let mut cargo = step::cargo(&["build", "--workspace", "--profile", profile]);
    cargo.args(programs.iter().flat_map(|program| ["--bin", program]));
    step::run(&format!("build {last}"), &mut cargo)?;
    Ok(Command::new(step::target().join(folder_of(profile)).join(last)))
}

/// The folder for a profile of Cargo.
fn folder_of(profile: &str) -> &str {
    if profile == "dev" { "debug" } else { profile }
}

/// Runs the demo with its arguments.
pub(crate) fn demo(arguments: &[&str]) -> Result {
    let redis = tools::redis_server()?;
    let folder = step::target().join("debug");
    if !folder.join("demo").exists() {
        eprintln!("{FIRST_BUILD}");
    }
    let mut command = built("dev", &["postrider", "otlp-receiver", "demo"])?;
    command.env("POSTRIDER_REDIS_SERVER", redis).env("POSTRIDER_OTEL_BIN", folder.join("postrider"));
    step::visibly(command.args(arguments).current_dir(step::root()))
}

/// Runs the bench with its arguments on optimised builds.
pub(crate) fn bench(arguments: &[String]) -> Result {
    // `--rounds 1` is `--rounds=1`.
    let mut words: Vec<String> = vec![];
    for word in arguments {
        match words.last_mut() {
            Some(name) if !word.starts_with("--") => *name = format!("{name}={word}"),
            _ => words.push(word.clone()),
        }
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    let (is_dead_host, only_counts) = (has("--dead-host"), has("--counts"));
    words.retain(|word| word != "--dead-host");
    let redis = tools::redis_server()?;
    // First, since a registry may not answer.
    let mut variables = peers::installed(&words)?;
    variables.push(Build::Lean.release_worker()?);
    // What only counts needs no fast programs around the worker, and takes those that the tests have built.
    let profile = if only_counts { "dev" } else { "release" };
    let mut command = if is_dead_host {
        built("release", &["dead-host"])?
    } else {
        variables.push(Build::Otel.release_worker()?);
        built(profile, &["bare-loop", "bare-post", "otlp-receiver", "bench"])?
    };
    // Every other word is a measurement that counts no allocations. Optimisation does not change their number.
    let counting = ["--rounds=", "--jobs=", "--in-flight=", "--json", "--counts", "--delivery-log"];
    if !is_dead_host && words.iter().all(|word| counting.iter().any(|start| word.starts_with(start))) {
        let ([_, lean], [_, otel]) = (Build::Lean.workers()?, Build::Otel.workers()?);
        variables.extend([lean, otel]);
    }
    let folder = step::target().join(folder_of(profile));
    command.env("POSTRIDER_BARE_LOOP_BIN", folder.join("bare-loop")).env("POSTRIDER_REDIS_SERVER", redis);
    command.env("POSTRIDER_BARE_POST_BIN", folder.join("bare-post"));
    command.env("POSTRIDER_OTLP_RECEIVER_BIN", folder.join("otlp-receiver")).envs(variables);
    step::run("bench", command.args(words))
}

/// Runs faults found in use against an optimised worker, one after another; `--list` only prints them.
pub(crate) fn cases(arguments: &[String]) -> Result {
    let mut command = built("dev", &["cases"])?;
    if !arguments.iter().any(|argument| argument == "--list") {
        // Two cases are about telemetry, and not about time.
        let [otel, _] = Build::Otel.workers()?;
        let workers = [Build::Lean.release_worker()?, otel];
        command.env("POSTRIDER_REDIS_SERVER", tools::redis_server()?).envs(workers);
    }
    step::visibly(command.args(arguments))
}

/// Runs a test for some minutes, with the plan of a seed or a new one.
pub(crate) fn chaos(minutes: u64, seed: Option<u64>) -> Result {
    let mut command =
        step::cargo(&["test", "--workspace", "--test", "worker", "--", "--nocapture", "--exact", CHAOS]);
    command.env("POSTRIDER_REDIS_SERVER", tools::redis_server()?);
    command.envs([Build::Lean.workers()?, Build::Otel.workers()?].concat());
    command.env("CERTIFY_SECONDS", (minutes * 60).to_string());
    command.envs(seed.map(|seed| ("CERTIFY_SEED", seed.to_string())));
    step::run("chaos", &mut command)
}

/// Checks the model of the protocol, or compares it with a server and a worker.
pub(crate) fn model(arguments: &[String]) -> Result {
    let is_replay = arguments.iter().any(|argument| argument == "--replay");
    let workers = if is_replay { Build::Lean.workers()?.to_vec() } else { vec![] };
    let mut command = built("dev", &["model"])?;
    command.envs(workers);
    command.env("POSTRIDER_REDIS_SERVER", tools::redis_server()?);
    step::visibly(command.args(arguments))
}

/// Builds the images, except with `no_build`, and tests them and the stack from outside.
pub(crate) fn test_stack(profile: &str, no_build: bool, traces_file: Option<&str>) -> Result {
    let engine = Engine::find()?;
    let compose = engine.compose()?;
    if !no_build {
        Build::ALL.iter().try_for_each(|build| engine.image(*build, profile))?;
    }
    let mut command = built("dev", &["stack"])?;
    command.current_dir(step::root()).env("POSTRIDER_ENGINE", engine.client());
    command.env("POSTRIDER_COMPOSE", compose.join(&OsString::from(" ")));
    command.envs(traces_file.map(|file| ("POSTRIDER_TRACES_FILE", file)));
    step::run("test the stack", &mut command)
}

/// Fuzzes one target, or all, one after the other. Failing inputs go to `target/fuzz/artifacts`, new corpus inputs to
/// `target/fuzz/corpus`. The committed corpus does not change.
pub(crate) fn fuzz(target: Option<String>, seconds: u32) -> Result {
    let cargo_fuzz = tools::cargo_fuzz()?;
    let nightly = |words: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly"]).arg(&cargo_fuzz).args(words).args(["--fuzz-dir", "fuzz"]);
        command.current_dir(step::root());
        command
    };
    let targets = match target {
        Some(target) => target,
        None => step::output(&mut nightly(&["list"]))?,
    };
    for target in targets.split_whitespace() {
        let folder = step::target().join("fuzz");
        let [learnt, found] = ["corpus", "artifacts"].map(|kind| folder.join(kind).join(target));
        for folder in [&learnt, &found] {
            std::fs::create_dir_all(folder).map_err(|error| step::at(folder, &error))?;
        }
        let mut command = nightly(&["run"]);
        command.arg("--target-dir").arg(folder.join("build")).arg(target);
        command.arg(learnt).arg(format!("fuzz/corpus/{target}")).arg("--");
        command.arg(format!("-artifact_prefix={}/", found.display()));
        command.arg(format!("-max_total_time={seconds}")).args(["-timeout=10", "-print_final_stats=1"]);
        step::run(&format!("fuzz {target}"), &mut command)?;
    }
    Ok(())
}
