//! Checks that every relative link of the documents leads to a file, and every anchor to a heading.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::step::{self, Failure};

/// A document; the path counts from the root.
struct Page {
    path: String,
    text: String,
}

/// What `cargo xtask docs` builds: it is in no checkout.
const BUILT: &str = "docs/api/";

/// Checks all documents and reports all failures together.
pub(crate) fn check() -> Result<(), Failure> {
    let failures: Vec<String> = pages()?.iter().flat_map(failures).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// `README.md`, `docs/` and the README of each crate.
fn pages() -> Result<Vec<Page>, Failure> {
    let mut pages = vec![read("README.md")?, read("crates/README.md")?];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names(&folder)? {
            let path = format!("{folder}/{name}");
            if step::root().join(&path).is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") {
                pages.push(read(&path)?);
            }
        }
    }
    for name in names("crates")? {
        let path = format!("crates/{name}/README.md");
        if step::root().join(&path).is_file() {
            pages.push(read(&path)?);
        }
    }
    Ok(pages)
}

fn names(folder: &str) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(step::root().join(folder)).map_err(|error| at(folder, &error))?;
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

fn read(path: &str) -> Result<Page, Failure> {
    let text = fs::read_to_string(step::root().join(path)).map_err(|error| at(path, &error))?;
    Ok(Page { path: path.to_owned(), text })
}

fn at(path: &str, error: &std::io::Error) -> Failure {
    Failure::from(format!("{path}: {error}"))
}

fn failures(page: &Page) -> Vec<String> {
    let mut failures = Vec::new();
    for (number, line) in prose(&page.text) {
        for target in targets(line).filter(|target| is_relative(target)) {
            if let Some(problem) = problem(page, target) {
                failures.push(format!("{}:{number}: link `{target}`: {problem}", page.path));
            }
        }
    }
    failures
}

fn problem(page: &Page, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { page.path.clone() } else { resolve(&page.path, path)? };
    let file = step::root().join(&path);
    let text = match path == page.path {
        true => page.text.clone(),
        false if path.starts_with(BUILT) => return None,
        false if !file.exists() => return Some(format!("there is no {path}")),
        false if Path::new(&path).extension().is_none_or(|end| end != "md") => return None,
        false => fs::read_to_string(file).ok()?,
    };
    if anchor.is_empty() {
        return None;
    }
    (!anchors(&text).iter().any(|own| own == anchor)).then(|| format!("{path} has no heading `#{anchor}`"))
}

pub(crate) fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

/// Where a relative link of a page leads, from the root. A link that leaves the root leads to a file outside of it.
pub(crate) fn resolve(page: &str, target: &str) -> Option<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.is_empty() => return Some(format!("../{target}")),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The numbered lines that are not code.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence && !line.starts_with("    ")
    })
}

/// The targets of a line's links and images, `](TARGET)`, `[name]: TARGET` and `src="TARGET"`, outside of code spans.
pub(crate) fn targets(line: &str) -> impl Iterator<Item = &str> {
    let plain = line.split('`').step_by(2);
    let inline = plain.clone().flat_map(|text| after(text, "](", ')'));
    let images = plain.flat_map(|text| after(text, "src=\"", '"'));
    let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline.chain(images).chain(definition)
}

fn after<'a>(text: &'a str, before: &'static str, end: char) -> impl Iterator<Item = &'a str> {
    text.split(before)
        .skip(1)
        .filter_map(move |rest| rest.split(end).next())
        .filter(|target| !target.is_empty())
}

/// The anchors of a page's headings, as GitHub and mdBook derive them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    let anchors = headings.map(|(_, line)| {
        let base = anchor(line.trim_start_matches('#').trim());
        let count = seen.entry(base.clone()).or_default();
        *count += 1;
        if *count == 1 { base } else { format!("{base}-{}", *count - 1) }
    });
    anchors.collect()
}

fn anchor(heading: &str) -> String {
    let kept = |character: char| character.is_alphanumeric() || "-_ ".contains(character);
    heading.to_lowercase().chars().filter(|character| kept(*character)).collect::<String>().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        failures(&Page { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_link_to_a_missing_file_is_named_with_its_line() {
        let failures = found("docs/x.md", "# X\n\nSee [a](missing.md) and [b](../Cargo.toml).\n");
        assert_eq!(failures, ["docs/x.md:3: link `missing.md`: there is no docs/missing.md"]);
    }

    #[test]
    fn a_link_to_a_missing_heading_is_named() {
        let failures = found("docs/x.md", "# The `x`, again\n[a](#the-x-again) [b](#y)");
        assert_eq!(failures, ["docs/x.md:2: link `#y`: docs/x.md has no heading `#y`"]);
    }

    #[test]
    fn a_link_may_not_leave_the_project() {
        assert_eq!(found("README.md", "[a](../secret)").len(), 1);
    }

    #[test]
    fn code_addresses_and_what_is_built_are_not_checked() {
        let text = "    [a](b)\n```\n[a](b)\n```\n`[a](b)` [a](https://example.org/x) [a](api/index.html)";
        assert!(found("docs/x.md", text).is_empty());
    }

    #[test]
    fn images_and_definitions_are_links() {
        let text = "![a](a.svg)\n<img src=\"b.svg\">\n[c]: c.md";
        assert_eq!(found("docs/x.md", text).len(), 3);
    }

    #[test]
    fn headings_that_repeat_are_numbered() {
        assert_eq!(anchors("# A b\n## A b\n```\n# no\n```\n## Ä-c: `d_e`"), ["a-b", "a-b-1", "ä-c-d_e"]);
    }
}
