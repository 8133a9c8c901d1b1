//! `cargo xtask model`: long runs of the model.

use std::process::ExitCode;
use std::time::Duration;

/// `--minutes N` explores the protocol, `--short` as far as the test does, `--mutations` plants faults in it (`--only TEXT`: worlds
/// or faults whose name contains it), `--differential N` compares N replies with a server, `--replay N` N runs with a worker;
/// `--seed S` chooses the random ones.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let text = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let seed = number("--seed").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let result = if let Some(steps) = number("--differential") {
        model::compare(seed, usize::try_from(steps).unwrap_or(usize::MAX))
            .map(|(compared, server)| format!("{compared} replies of the model and of {server} are the same"))
    } else if let Some(runs) = number("--replay") {
        model::replay(seed, runs)
            .map(|compared| format!("after {compared} events, the model and a worker are at the same place"))
    } else if arguments.iter().any(|argument| argument == "--mutations") {
        model::mutate(Duration::from_secs(600), text("--only").as_deref())
            .map(|all| format!("all {all} planted faults are found"))
    } else if arguments.iter().any(|argument| argument == "--short") {
        model::explore_shortly().map(|()| "every invariant holds".to_owned())
    } else {
        let time = Duration::from_secs(60 * number("--minutes").unwrap_or(5));
        model::explore(time, seed, text("--only").as_deref()).map(|()| "every invariant holds".to_owned())
    };
    match result {
        Ok(text) => {
            println!("seed {seed}: {text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("seed {seed}\n{text}");
            ExitCode::FAILURE
        }
    }
}
