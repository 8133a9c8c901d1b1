//! `cargo xtask docs`: the site of the documents, with the API of the crates below it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::links;
use crate::step::{self, Failure, cargo};

/// A version of mdBook that is known to work.
const MDBOOK: &str = "0.5.4";

/// Builds the site into `target/book`, and the API into `target/book/api`.
pub(crate) fn run() -> Result<(), Failure> {
    step::timed("check links", links::check)?;
    if !step::works(Command::new("mdbook").arg("--version")) {
        return Err(format!(
            "`mdbook` is not on the PATH; install it: `cargo install mdbook --locked --version {MDBOOK}`"
        )
        .into());
    }
    let (sources, book) = (step::target().join("book-sources"), step::target().join("book"));
    empty(&sources)?;
    copy(&step::root().join("docs"), &sources, &|path, text| match path.extension() {
        Some(end) if end == "md" => without_links_outside(path, text),
        _ => text,
    })?;
    let mut build = Command::new("mdbook");
    step::run("mdbook", build.arg("build").arg(&sources).arg("--dest-dir").arg(&book))?;
    step::run("cargo doc", &mut cargo(&["doc", "--workspace", "--no-deps"]))?;
    let api = book.join("api");
    copy(&step::target().join("doc"), &api, &|_, text| text)?;
    let index = api.join("index.html");
    fs::write(&index, index_of(&crates()?)).map_err(|error| at(&index, &error))?;
    eprintln!("xtask: open {}", book.join("index.html").display());
    Ok(())
}

/// Copies a folder. `change` may change a file that is text.
fn copy(from: &Path, to: &Path, change: &dyn Fn(&Path, String) -> String) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(|error| at(to, &error))?;
    let entries = fs::read_dir(from).map_err(|error| at(from, &error))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let Some(name) = path.file_name() else { continue };
        let copied = to.join(name);
        if path.is_dir() {
            copy(&path, &copied, change)?;
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| at(&path, &error))?;
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => change(&path, text).into_bytes(),
            Err(error) => error.into_bytes(),
        };
        fs::write(&copied, bytes).map_err(|error| at(&copied, &error))?;
    }
    Ok(())
}

/// A page whose links to files outside of `docs/` are their text and path: the site does not contain these files.
fn without_links_outside(path: &Path, text: String) -> String {
    let page = path.strip_prefix(step::root()).unwrap_or(path).to_string_lossy().into_owned();
    let outside: Vec<(String, String)> = links::prose(&text)
        .flat_map(|(_, line)| links::targets(line))
        .filter(|target| links::is_relative(target) && !target.starts_with('#'))
        .filter_map(|target| Some((target, links::resolve(&page, target.split('#').next()?)?)))
        .filter(|(_, path)| !path.starts_with("docs/"))
        .map(|(target, path)| (target.to_owned(), path))
        .collect();
    outside.iter().fold(text, |text, (target, path)| without_link(&text, target, path))
}

/// `[words](target)` becomes `words (path)`, or `path` where that is what the words are.
fn without_link(text: &str, target: &str, path: &str) -> String {
    let end = format!("]({target})");
    let mut parts = text.split(&end).collect::<Vec<_>>();
    let last = parts.pop().unwrap_or_default();
    let mut changed = String::new();
    for part in parts {
        let (before, words) = part.rsplit_once('[').unwrap_or((part, ""));
        let names_path = path.ends_with(words.trim_matches('`'));
        let link = if names_path { format!("`{path}`") } else { format!("{words} (`{path}`)") };
        changed.push_str(before);
        changed.push_str(&link);
    }
    changed + last
}

/// The names of the crates, as rustdoc names their folders.
fn crates() -> Result<Vec<String>, Failure> {
    let folder = step::target().join("doc");
    let entries = fs::read_dir(&folder).map_err(|error| at(&folder, &error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| is_crate(&folder.join(name))).collect();
    names.sort_unstable();
    Ok(names)
}

fn is_crate(path: &Path) -> bool {
    let foreign = ["src", "static.files", "search.index", "trait.impl", "type.impl"];
    path.join("index.html").is_file() && !foreign.iter().any(|name| path.ends_with(name))
}

/// rustdoc writes no page over several crates.
fn index_of(crates: &[String]) -> String {
    let items: String =
        crates.iter().map(|name| format!("<li><a href=\"{name}/index.html\">{name}</a></li>\n")).collect();
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>API</title>\n<h1>API</h1>\n<ul>\n{items}</ul>\n"
    )
}

fn empty(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| at(folder, &error))?;
    }
    Ok(())
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::from(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_file_that_the_site_lacks_is_its_path() {
        let page = step::root().join("docs/x.md");
        let text = "See [compose.yaml](../compose.yaml), [the example](../crates/a.py) and [this](y.md#z).";
        let expected = "See `compose.yaml`, the example (`crates/a.py`) and [this](y.md#z).";
        assert_eq!(without_links_outside(&page, text.to_owned()), expected);
    }

    #[test]
    fn the_index_names_each_crate() {
        assert!(
            index_of(&["telemetry".to_owned()]).contains("<a href=\"telemetry/index.html\">telemetry</a>")
        );
    }
}
