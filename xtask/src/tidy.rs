//! The rules of the architecture that no lint checks. Each failure names the file and the line.

mod imports;
mod pipeline;
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

const RULES: [Rule; 13] = [
    gate_in_one_file,
    crate_in_its_place,
    opentelemetry_in_manifests,
    pipeline::parts_in_their_files,
    pipeline::known_packages,
    default_features,
    opens_with_docs,
    short_file,
    no_mod_rs,
    named_paths_exist,
    script_states_its_contract,
    words::old_words,
    words::neutral_crates,
];

/// Where code may name a crate. A `*` at the end of a name matches any rest.
struct Place {
    names: &'static [&'static str],
    within: &'static str,
    only: &'static [&'static str],
}

const PLACES: [Place; 8] = [
    Place {
        names: &["opentelemetry*", "tracing_opentelemetry"],
        within: "crates/",
        only: &["crates/otel-facade/src/otel", "crates/e2e/"],
    },
    // Every signal leaves through the official exporters, which are built in one place.
    Place {
        names: &["opentelemetry_otlp", "opentelemetry_http"],
        within: "crates/",
        only: &["crates/otel-facade/src/otel/exporter"],
    },
    Place { names: &["opentelemetry_proto"], within: "crates/", only: &["crates/e2e/"] },
    Place {
        names: &["hyper", "hyper_util", "hyper_rustls", "prost", "reqwest", "tonic"],
        within: "crates/otel-facade/src/",
        only: &["crates/otel-facade/src/otel/exporter"],
    },
    Place {
        names: &["fred"],
        within: "crates/",
        only: &["crates/fred-otel/", "crates/queue/", "crates/e2e/"],
    },
    Place {
        names: &["hyper", "hyper_util"],
        within: "crates/worker/",
        only: &["crates/worker/src/http/sender", "crates/worker/src/process/listen"],
    },
    // The machine's clock decides nothing: Redis provides the time. The tools may show both clocks and
    // compare them.
    Place { names: &["SystemTime"], within: "crates/worker/src/", only: &["crates/cli/src/"] },
    Place { names: &["SystemTime"], within: "crates/queue/src/", only: &["crates/queue/src/admin/"] },
];

/// Checks all files and reports all failures together.
pub(crate) fn run() -> Result<(), Failure> {
    let mut sources = Vec::new();
    read("", &mut sources)?;
    let mut failures: Vec<String> = RULES.iter().flat_map(|rule| sources.iter().flat_map(rule)).collect();
    failures.extend(imports::circles(&sources));
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

fn gate_in_one_file(source: &Source) -> Vec<String> {
    const HOME: &str = "crates/otel-facade/src/lib.rs";
    if !source.rust_in("crates/") {
        return Vec::new();
    }
    let gates = source.lines(|line| {
        let line: String = line.split_whitespace().collect();
        !line.starts_with("//") && line.contains("feature=\"otel\"")
    });
    let allowed = if source.path == HOME { 4 } else { 0 };
    let rule = format!("the feature `otel` may appear only in the four lines of {HOME}");
    gates.into_iter().skip(allowed).map(|line| source.failure(line, &rule)).collect()
}

fn crate_in_its_place(source: &Source) -> Vec<String> {
    let mut failures = Vec::new();
    for place in PLACES.iter().filter(|place| source.rust_in(place.within)) {
        if place.only.iter().any(|allowed| source.path.starts_with(allowed)) {
            continue;
        }
        for name in place.names {
            let rule = format!("`{name}` may be named only in {}", place.only.join("*, "));
            failures.extend(
                source.lines(|line| names_crate(line, name)).iter().map(|line| source.failure(*line, &rule)),
            );
        }
    }
    failures
}

/// Whether a line of code uses a crate: `name::…`, `use name` or `extern crate name`.
fn names_crate(line: &str, name: &str) -> bool {
    let line = code(line);
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    let starts = line.char_indices().filter(|(at, _)| !line[..*at].ends_with(in_word)).map(|(at, _)| at);
    starts.into_iter().any(|at| {
        let rest = line[at..].trim_start_matches(in_word);
        let word = &line[at..line.len() - rest.len()];
        let same = name.strip_suffix('*').map_or(word == name, |start| word.starts_with(start));
        same && (rest.starts_with("::")
            || ["use ", "crate "].iter().any(|before| line[..at].ends_with(before)))
    })
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

fn opentelemetry_in_manifests(source: &Source) -> Vec<String> {
    if !source.path.ends_with("Cargo.toml") {
        return Vec::new();
    }
    let home =
        ["Cargo.toml", "crates/otel-facade/Cargo.toml", "crates/e2e/Cargo.toml"].contains(&&*source.path);
    let (mut section, mut failures) = ("", Vec::new());
    for (line, text) in (1..).zip(source.text.lines().map(str::trim)) {
        if text.starts_with('[') {
            section = text;
        }
        let named = text.trim_start_matches("tracing-").starts_with("opentelemetry")
            || (text == section && text.contains("opentelemetry"));
        if named && !home {
            failures.push(source.failure(line, "only `telemetry` and `e2e` depend on OpenTelemetry"));
        }
        if named && section.contains("dev-dependencies") {
            let rule = "no OpenTelemetry in [dev-dependencies], where no feature can leave it out: make it an \
                        optional dependency behind `otel`";
            failures.push(source.failure(line, rule));
        }
    }
    failures
}

fn default_features(source: &Source) -> Vec<String> {
    let Some(name) = source.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/Cargo.toml"))
    else {
        return Vec::new();
    };
    let defaults = source.lines(|line| line.split('=').next().is_some_and(|key| key.trim() == "default"));
    let otel = source.lines(|line| line.split_whitespace().collect::<String>() == "default=[\"otel\"]");
    match name {
        "otel-facade" => {
            let rule =
                "`otel-facade` has no default: it would switch OpenTelemetry on for the whole workspace";
            defaults.into_iter().map(|line| source.failure(line, rule)).collect()
        }
        _ if otel.is_empty() => vec![source.failure(1, "needs `default = [\"otel\"]` in [features]")],
        _ => Vec::new(),
    }
}

fn opens_with_docs(source: &Source) -> Vec<String> {
    if !source.rust_in("") || source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![source.failure(1, "open the file with `//!` and a description")]
}

fn short_file(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.text.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
    let length = tests.unwrap_or(lines.len());
    if !source.rust_in("") || length <= 400 {
        return Vec::new();
    }
    let rule = format!("{length} lines without the tests, at most 400: find the second responsibility");
    vec![source.failure(401, &rule)]
}

fn no_mod_rs(source: &Source) -> Vec<String> {
    let found = source.path.ends_with("/mod.rs");
    found
        .then(|| source.failure(1, "a module `foo` is `foo.rs`, beside the folder `foo/`"))
        .into_iter()
        .collect()
}

fn named_paths_exist(source: &Source) -> Vec<String> {
    if !["crates/README.md", "crates/telemetry.md"].contains(&source.path.as_str()) {
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
    fn the_gate_is_in_four_lines_of_one_file() {
        let gate = "#[cfg(feature = \"otel\")]\n";
        check(gate_in_one_file, "crates/worker/src/main.rs", gate, &[1]);
        check(gate_in_one_file, "crates/otel-facade/src/lib.rs", &gate.repeat(5), &[5]);
        check(gate_in_one_file, "crates/worker/src/main.rs", "// feature = \"otel\"", &[]);
    }

    #[test]
    fn a_crate_is_named_only_in_its_place() {
        let text = "use opentelemetry::Key;\n// opentelemetry::Key\nlet text = \"opentelemetry::Key\";\n";
        check(crate_in_its_place, "crates/worker/src/main.rs", text, &[1]);
        check(crate_in_its_place, "crates/otel-facade/src/otel/export.rs", text, &[]);
        check(crate_in_its_place, "crates/otel-facade/src/log.rs", "(opentelemetry_sdk::X)", &[1]);
        check(
            crate_in_its_place,
            "crates/worker/src/reader.rs",
            "use fred as f;\nlet c = fred::new();",
            &[1, 2],
        );
        check(crate_in_its_place, "crates/queue/src/work/settle.rs", "use fred::prelude::*;", &[]);
        check(
            crate_in_its_place,
            "crates/worker/src/job.rs",
            "use hyper_util::rt;\nself.hyper.x(alfred::y)",
            &[1],
        );
        check(crate_in_its_place, "crates/hyper-otel/src/lib.rs", "use hyper::body::Body;", &[]);
    }

    #[test]
    fn crates_that_send_telemetry_are_named_only_with_the_exporters() {
        let text =
            "use opentelemetry_otlp::SpanExporter;\nuse opentelemetry_proto::tonic;\nhyper_util::rt::x()";
        check(crate_in_its_place, "crates/otel-facade/src/otel/queue.rs", text, &[1, 2, 3]);
        check(crate_in_its_place, "crates/otel-facade/src/otel/exporter.rs", text, &[2]);
        check(crate_in_its_place, "crates/e2e/src/otlp.rs", text, &[1]);
    }

    #[test]
    fn manifests_keep_opentelemetry_where_a_feature_can_leave_it_out() {
        let optional = "[dependencies]\nopentelemetry = { optional = true }";
        check(opentelemetry_in_manifests, "crates/worker/Cargo.toml", optional, &[2]);
        check(opentelemetry_in_manifests, "crates/otel-facade/Cargo.toml", optional, &[]);
        let for_tests = "[dev-dependencies]\ntracing-opentelemetry.workspace = true\n[dev-dependencies.opentelemetry_sdk]";
        check(opentelemetry_in_manifests, "crates/e2e/Cargo.toml", for_tests, &[2, 3]);
    }

    #[test]
    fn all_crates_except_telemetry_have_otel_as_their_default() {
        check(default_features, "crates/otel-facade/Cargo.toml", "[features]\ndefault = []", &[2]);
        check(default_features, "crates/worker/Cargo.toml", "[features]\ndefault = []", &[1]);
        check(default_features, "crates/worker/Cargo.toml", "[features]\ndefault = [\"otel\"]", &[]);
    }

    #[test]
    fn a_file_starts_with_its_description() {
        check(opens_with_docs, "xtask/src/main.rs", "use std::fs;", &[1]);
    }

    #[test]
    fn a_file_is_short_except_for_its_tests() {
        check(short_file, "crates/worker/src/job.rs", &"\n".repeat(401), &[401]);
        let tested = format!("//! Job.\n#[cfg(test)]\nmod tests {{\n{}}}", "\n".repeat(500));
        check(short_file, "crates/worker/src/job.rs", &tested, &[]);
    }

    #[test]
    fn no_module_is_called_mod_rs() {
        check(no_mod_rs, "crates/queue/src/redis/mod.rs", "", &[1]);
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
