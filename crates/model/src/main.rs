//! `cargo xtask model`: long runs of the model.

use std::process::ExitCode;

/// `--differential N` compares N steps with a server; `--seed S` chooses them.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let seed = number("--seed").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let result = match number("--differential") {
        Some(steps) => model::compare(seed, usize::try_from(steps).unwrap_or(usize::MAX))
            .map(|compared| format!("{compared} replies of the model and of the server are the same")),
        None => Err("--differential N [--seed S]".to_owned()),
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
