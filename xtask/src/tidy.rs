//! The rules of the architecture and the language that no lint checks. Each failure names the file and the line.

mod imports;
mod rules;
mod words;

use std::collections::HashMap;

use crate::sources::{self, Source, expression};
use crate::step::{self, Result};

/// Checks all files and reports all failures together.
pub(crate) fn run() -> Result {
    let sources = sources::all()?;
    let mut failures = rules::failures(&sources);
    failures.extend(sources.iter().flat_map(words::old_words));
    failures.extend(missing_paths(&sources));
    failures.extend(unused_items(&sources));
    failures.extend(imports::circles(&sources));
    sources::none(&failures)
}

/// The paths in the documents of the architecture that do not exist. A leading slash is an address, and build output may
/// not exist yet.
fn missing_paths(sources: &[Source]) -> Vec<String> {
    let named = expression(r"`([\w.-]+(?:/[\w.-]*)+|[\w-]+\.(?:rs|lua|toml))`");
    let is_missing = |path: &str| {
        !path.starts_with("target/")
            && !step::root().join("crates").join(path).exists()
            && !step::root().join(path).exists()
    };
    let mut failures = vec![];
    for page in sources.iter().filter(|page| page.path.starts_with("crates/") && page.path.ends_with(".md")) {
        // The README of a crate is for its users.
        if page.path.matches('/').count() == 1 {
            let found = named.captures_iter(&page.text).filter_map(|found| found.get(1));
            failures.extend(found.filter(|path| is_missing(path.as_str())).map(|path| {
                let reason = format!("`{}` exists neither in crates/ nor in the root", path.as_str());
                page.fault(&page.text, path.start(), &reason)
            }));
        }
    }
    failures
}

/// The public items that no code names except their definition and the tests of the same file.
fn unused_items(sources: &[Source]) -> Vec<String> {
    let word = expression(r"\w+");
    let item = r"(?m)^ *pub (?:(?:async|const|unsafe) )*(?:const|enum|fn|mod|static|struct|trait|type) (\w+)";
    let item = expression(item);
    let rust = || sources.iter().filter(|source| source.path.ends_with(".rs"));
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for found in rust().flat_map(|source| word.find_iter(source.untested())) {
        *uses.entry(found.as_str()).or_default() += 1;
    }
    let mut failures = vec![];
    for source in rust().filter(|source| source.path.contains("/src/")) {
        let names = item.captures_iter(source.untested()).filter_map(|found| found.get(1));
        failures.extend(names.filter(|name| uses[name.as_str()] == 1).map(|name| {
            let reason = format!("nobody uses `{}`: delete it", name.as_str());
            source.fault(&source.code, name.start(), &reason)
        }));
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_that_the_text_names_exist() {
        let text =
            "`xtask/src/tidy.rs` and `GET /x` and `/x` and `{Q}/n`\n`worker/src/nowhere.rs` `nowhere.lua`";
        let failures = missing_paths(&[Source::of("crates/README.md", text)]);
        assert!(failures.len() == 2 && failures[0].starts_with("crates/README.md:2: "), "{failures:?}");
    }

    #[test]
    fn an_item_that_only_its_own_tests_name_is_unused() {
        let text = "pub fn used() {}\npub(crate) fn own() {}\npub async fn unused() {} // unused\n\
                    pub other: u8,\n#[cfg(test)]\nmod tests {\n    unused();\n}\n";
        let sources =
            [Source::of("crates/x/src/a.rs", text), Source::of("crates/x/tests/b.rs", "a::used();")];
        let failures = unused_items(&sources);
        assert!(failures.len() == 1 && failures[0].starts_with("crates/x/src/a.rs:3: "), "{failures:?}");
    }
}
