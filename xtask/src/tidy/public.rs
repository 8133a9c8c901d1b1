//! Libraries export few modules, and every exported item is used.

use std::collections::HashMap;

use super::{Source, code, without_tests};

/// The public modules in the roots of libraries. The harness of the tests is not listed: all of it is open.
const OPEN: [(&str, &[&str]); 4] = [
    ("crates/queue/src/lib.rs", &["admin", "job", "names", "work"]),
    ("crates/worker/src/lib.rs", &["internals", "settings"]),
    ("crates/cli/src/lib.rs", &["internals"]),
    ("crates/otel-facade/src/lib.rs", &["semconv"]),
];

/// The words between `pub` and the name of an item.
const KINDS: [&str; 10] =
    ["async", "const", "enum", "fn", "mod", "static", "struct", "trait", "type", "unsafe"];

/// Public modules in the root of a library that are not listed above.
pub(super) fn open_modules(source: &Source) -> Vec<String> {
    let is_root = source.path.ends_with("/src/lib.rs") && !source.path.starts_with("crates/e2e/");
    let open = OPEN.iter().find(|(path, _)| *path == source.path).map_or(&[][..], |(_, open)| open);
    let is_closed = |line: &str| {
        let name = line.strip_prefix("pub mod ").and_then(|rest| rest.split([' ', ';']).next());
        name.is_some_and(|name| !open.contains(&name))
    };
    let lines = if is_root { source.lines(is_closed) } else { vec![] };
    let rule = "re-export what is for users with `pub use`, or list the module in xtask/src/tidy/public.rs";
    lines.into_iter().map(|line| source.failure(line, rule)).collect()
}

/// Public items that are named only in their definition, and in the tests of the same file.
pub(super) fn unused(sources: &[Source]) -> Vec<String> {
    let mut uses: HashMap<String, usize> = HashMap::new();
    let rust = || sources.iter().filter(|source| source.rust_in(""));
    for line in rust().flat_map(|source| without_tests(&source.text).lines()).map(code) {
        for word in words(&line) {
            *uses.entry(word.to_owned()).or_default() += 1;
        }
    }
    let mut failures = vec![];
    for source in rust().filter(|source| source.path.contains("/src/")) {
        for (number, line) in (1..).zip(without_tests(&source.text).lines()) {
            if let Some(name) = public_item(&code(line)).filter(|name| uses.get(*name) == Some(&1)) {
                failures.push(source.failure(number, &format!("nobody uses `{name}`: delete it")));
            }
        }
    }
    failures
}

/// The name of the item that a line defines for other crates.
fn public_item(line: &str) -> Option<&str> {
    let mut words = words(line.trim_start().strip_prefix("pub ")?);
    let first = words.next().filter(|word| KINDS.contains(word))?;
    std::iter::once(first).chain(words).find(|word| !KINDS.contains(word))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    line.split(move |character: char| !in_word(character)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn only_listed_modules_are_open() {
        let text = "pub mod admin;\npub mod redis;\nmod trail;\npub mod internals {\n";
        check(open_modules, "crates/queue/src/lib.rs", text, &[2, 4]);
        check(open_modules, "crates/queue/src/admin.rs", text, &[]);
    }

    #[test]
    fn an_item_that_only_its_own_tests_name_is_unused() {
        let text = "pub fn used() {}\npub(crate) fn own() {}\npub async fn unused() {} // unused\n\
                    pub other: u8,\n#[cfg(test)]\nmod tests {\n    unused();\n}\n";
        let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let sources = [source("crates/x/src/a.rs", text), source("crates/x/tests/b.rs", "a::used();")];
        let failures = unused(&sources);
        assert!(failures.len() == 1 && failures[0].starts_with("crates/x/src/a.rs:3: "), "{failures:?}");
    }
}
