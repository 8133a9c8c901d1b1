//! The rules of the architecture that no lint checks. Each failure names the file and the line.

mod crates;
mod imports;
mod pipeline;
mod public;
mod words;

use std::fs;
use std::path::Path;

use crate::step::{self, Failure};

/// A file of the workspace. The path is relative to the root.
struct Source {
    path: String,
    text: String,
}

type Rule = fn(&Source) -> Vec<String>;

const RULES: [Rule; 12] = [
    crates::gate_in_one_file,
    crates::crate_in_its_place,
    crates::default_features,
    pipeline::parts_in_their_files,
    pipeline::known_packages,
    public::open_modules,
    opens_with_docs,
    short_file,
    named_paths_exist,
    script_states_its_contract,
    words::old_words,
    words::neutral_crates,
];

/// Checks all files and reports all failures together.
pub(crate) fn run() -> Result<(), Failure> {
    let mut sources = Vec::new();
    read("", &mut sources)?;
    let mut failures: Vec<String> = RULES.iter().flat_map(|rule| sources.iter().flat_map(rule)).collect();
    failures.extend(imports::circles(&sources));
    failures.extend(public::unused(&sources));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// Reads all files in the folders that rules check.
fn read(folder: &str, sources: &mut Vec<Source>) -> Result<(), Failure> {
    let failure = |path: &Path, error: &std::io::Error| Failure::from(format!("{}: {error}", path.display()));
    let root = step::root().join(folder);
    let entries = fs::read_dir(&root).map_err(|error| failure(&root, &error))?;
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    for name in names.iter().filter(|name| !name.starts_with('.') && *name != "target") {
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let full = step::root().join(&path);
        if full.is_dir() {
            read(&path, sources)?;
        } else if [".rs", ".lua", ".toml", ".md"].iter().any(|end| name.ends_with(end)) {
            let text = fs::read_to_string(&full).map_err(|error| failure(&full, &error))?;
            sources.push(Source { path, text });
        }
    }
    Ok(())
}

/// A line without its comment and without the contents of its string literals.
fn code(line: &str) -> String {
    let (mut code, mut quoted) = (String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => drop(characters.next()),
            // The character literal, not the start of a string.
            '\'' if !quoted && characters.peek() == Some(&'"') => drop(characters.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => code.push(character),
        }
    }
    code
}

/// The text before the tests, which are last in a file.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn opens_with_docs(source: &Source) -> Vec<String> {
    if !source.rust_in("") || source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![source.failure(1, "open the file with `//!` and a description")]
}

fn short_file(source: &Source) -> Vec<String> {
    const LINES_MAX: usize = 300;
    let length = source.text.lines().count();
    if !source.rust_in("") || length <= LINES_MAX {
        return Vec::new();
    }
    let rule = format!("{length} lines, at most {LINES_MAX}: find the second responsibility");
    vec![source.failure(LINES_MAX + 1, &rule)]
}

fn named_paths_exist(source: &Source) -> Vec<String> {
    if !["crates/README.md", "crates/redis.md", "crates/delivery.md", "crates/telemetry.md"]
        .contains(&source.path.as_str())
    {
        return Vec::new();
    }
    let mut failures = Vec::new();
    for (line, text) in (1..).zip(source.text.lines()) {
        for path in text.split('`').skip(1).step_by(2).filter(|word| looks_like_path(word)) {
            if !step::root().join("crates").join(path).exists() && !step::root().join(path).exists() {
                let rule = format!("`{path}` exists neither in crates/ nor in the root: correct the text");
                failures.push(source.failure(line, &rule));
            }
        }
    }
    failures
}

fn looks_like_path(word: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    let ends = [".rs", ".lua", ".toml"].iter().any(|end| word.ends_with(end));
    // Build output may not exist yet, and a leading slash is an address or a path in a container.
    let elsewhere = word.starts_with('/') || word.starts_with("target/");
    word.chars().all(plain) && (word.contains('/') || ends) && !elsewhere
}

fn script_states_its_contract(source: &Source) -> Vec<String> {
    if !source.path.ends_with(".lua") || source.path.ends_with("/prelude.lua") {
        return Vec::new();
    }
    let header: Vec<_> = source.text.lines().take_while(|line| line.starts_with("--")).collect();
    let parts = ["-- KEYS", "-- ARGV", "-- Returns"];
    let missing = parts.iter().filter(|part| !header.iter().any(|line| line.starts_with(*part)));
    missing
        .map(|part| source.failure(1, &format!("the comment at the top needs a line `{part} …`")))
        .collect()
}

impl Source {
    fn rust_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder) && self.path.ends_with(".rs")
    }

    /// The numbers of the lines for which `is_so` is true.
    fn lines(&self, is_so: impl Fn(&str) -> bool) -> Vec<usize> {
        (1..).zip(self.text.lines()).filter(|(_, line)| is_so(line)).map(|(number, _)| number).collect()
    }

    fn failure(&self, line: usize, rule: &str) -> String {
        format!("{}:{line}: {rule}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule fails in exactly these lines.
    pub(super) fn check(rule: Rule, path: &str, text: &str, lines: &[usize]) {
        let failures = rule(&Source { path: path.to_owned(), text: text.to_owned() });
        let expected: Vec<_> = lines.iter().map(|line| format!("{path}:{line}: ")).collect();
        let fits = failures.iter().zip(&expected).all(|(failure, start)| failure.starts_with(start));
        assert!(fits && failures.len() == lines.len(), "lines {lines:?} should fail, but: {failures:#?}");
    }

    #[test]
    fn a_file_starts_with_its_description() {
        check(opens_with_docs, "xtask/src/main.rs", "use std::fs;", &[1]);
    }

    #[test]
    fn a_file_is_short() {
        check(short_file, "crates/worker/src/job.rs", &"\n".repeat(301), &[301]);
        check(short_file, "crates/worker/src/job.rs", &"\n".repeat(300), &[]);
    }

    #[test]
    fn the_paths_that_the_text_names_exist() {
        let text = "`xtask/src/tidy.rs` and `GET /x` and `/x` and `{Q}/n`\n`worker/src/nowhere.rs`";
        check(named_paths_exist, "crates/README.md", text, &[2]);
    }

    #[test]
    fn a_script_states_keys_arguments_and_result() {
        check(
            script_states_its_contract,
            "crates/queue/src/redis/lua/settle.lua",
            "-- KEYS[1] the stream",
            &[1, 1],
        );
        let whole = "-- KEYS[1] the stream\n-- ARGV[1] an id\n-- Returns 1";
        check(script_states_its_contract, "crates/queue/src/redis/lua/settle.lua", whole, &[]);
    }
}
