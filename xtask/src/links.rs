//! Checks that every relative link of the documents leads to a file, and every anchor to a heading.

use std::collections::HashMap;
use std::fs;
use std::sync::LazyLock;

use regex_lite::Regex;

use crate::sources::{self, Source, blanked, expression};
use crate::step::{self, Result};

/// Blocks of code.
static BLOCK: LazyLock<Regex> = LazyLock::new(|| expression(r"(?m)^ *```(?s:.*?)\n *```|^    .*"));
static SPAN: LazyLock<Regex> = LazyLock::new(|| expression(r"`[^`\n]*`"));
/// `](TARGET)`, `[name]: TARGET` and `src="TARGET"`.
static LINK: LazyLock<Regex> =
    LazyLock::new(|| expression(r#"(?m)\]\(([^)\s]+)\)|^\[[^\]]*\]: *(\S+)|\bsrc="([^"]+)""#));
static HEADING: LazyLock<Regex> = LazyLock::new(|| expression(r"(?m)^#+ *(.*)$"));
/// What an anchor leaves out of a heading.
static MARK: LazyLock<Regex> = LazyLock::new(|| expression(r"[!-,./:-@\[-^`{-~]"));

/// What `cargo xtask docs` builds: it is in no checkout.
const BUILT: &str = "docs/api/";

/// Checks all documents and reports all failures together.
pub(crate) fn check() -> Result {
    let pages = sources::all()?.into_iter().filter(|source| source.path.ends_with(".md"));
    sources::none(&pages.flat_map(|page| failures(&page)).collect::<Vec<_>>())
}

fn failures(page: &Source) -> Vec<String> {
    let prose = blanked(&blanked(&page.text, &BLOCK), &SPAN);
    let targets = LINK.captures_iter(&prose).filter_map(|found| found.iter().skip(1).flatten().next());
    let failures = targets.filter_map(|target| {
        let problem = problem(page, target.as_str())?;
        Some(page.fault(&prose, target.start(), &format!("link `{}`: {problem}", target.as_str())))
    });
    failures.collect()
}

fn problem(page: &Source, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    if path.contains(':') {
        return None;
    }
    let path = if path.is_empty() { page.path.clone() } else { resolve(&page.path, path) };
    let file = step::root().join(&path);
    if path.starts_with("../") {
        return Some("it leads out of the project".to_owned());
    }
    if path != page.path && !path.starts_with(BUILT) && !file.exists() {
        return Some(format!("there is no {path}"));
    }
    if anchor.is_empty() || !path.ends_with(".md") {
        return None;
    }
    let text = if path == page.path { page.text.clone() } else { fs::read_to_string(file).ok()? };
    (!anchors(&text).iter().any(|own| own == anchor)).then(|| format!("{path} has no heading `#{anchor}`"))
}

/// Where a relative link of a page leads, from the root. A path that starts with `../` leads out of it.
pub(crate) fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !["", "."].contains(part)) {
        let is_up = part == ".." && parts.last().is_some_and(|last| *last != "..");
        if is_up {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The anchors of a page's headings, as GitHub and mdBook derive them. Those that repeat are numbered.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let text = blanked(text, &BLOCK);
    let anchors = HEADING.captures_iter(&text).map(|heading| {
        let anchor = MARK.replace_all(heading[1].trim(), "").to_lowercase().replace(' ', "-");
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
    });
    anchors.collect()
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_named_with_their_line() {
        for (text, expected) in [
            (
                "# X\n\nSee [a](missing.md) and [b](../Cargo.toml).",
                &["docs/x.md:3: link `missing.md`: there is no docs/missing.md"][..],
            ),
            (
                "# The `x`, again\n[a](#the-x-again) [b](#y)",
                &["docs/x.md:2: link `#y`: docs/x.md has no heading `#y`"],
            ),
            (
                "[a](operating.md#no-such)",
                &["docs/x.md:1: link `operating.md#no-such`: docs/operating.md has no heading `#no-such`"],
            ),
            ("[a](../../secret)", &["docs/x.md:1: link `../../secret`: it leads out of the project"]),
            (
                "![a](a.svg)\n<img src=\"b.svg\">\n[c]: c.md",
                &[
                    "docs/x.md:1: link `a.svg`: there is no docs/a.svg",
                    "docs/x.md:2: link `b.svg`: there is no docs/b.svg",
                    "docs/x.md:3: link `c.md`: there is no docs/c.md",
                ],
            ),
            // Code, addresses and what is built.
            ("    [a](b)\n```\n[a](b)\n```\n`[a](b)` [a](https://example.org/x) [a](api/index.html)", &[]),
        ] {
            assert_eq!(failures(&Source::of("docs/x.md", text)), expected);
        }
    }

    #[test]
    fn headings_that_repeat_are_numbered() {
        assert_eq!(anchors("# A b\n## A b\n```\n# no\n```\n## Ä-c: `d_e`"), ["a-b", "a-b-1", "ä-c-d_e"]);
    }
}
