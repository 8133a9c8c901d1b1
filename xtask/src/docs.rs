//! `cargo xtask docs`: the site of the documents, with the API of the crates below it.

use std::fs;
use std::path::Path;
use std::process::Command;

use regex_lite::Captures;
use walkdir::WalkDir;

use crate::links;
use crate::sources::expression;
use crate::step::{self, Result};
use crate::tools;

/// Builds the site into `target/book`, and the API into `target/book/api`.
pub(crate) fn run() -> Result {
    step::timed("check links", links::check)?;
    let mdbook = tools::mdbook()?;
    let (sources, book) = (step::target().join("book-sources"), step::target().join("book"));
    let _ = fs::remove_dir_all(&sources);
    copy(&step::root().join("docs"), &sources)?;
    for page in WalkDir::new(&sources).into_iter().filter_map(std::result::Result::ok) {
        let path = page.path();
        let name = path.strip_prefix(&sources).unwrap_or(path);
        if name.extension().is_some_and(|end| end == "md") {
            let text = fs::read_to_string(path).map_err(|error| step::at(path, &error))?;
            let text = without_links_outside(&format!("docs/{}", name.display()), &text);
            fs::write(path, text).map_err(|error| step::at(path, &error))?;
        }
    }
    let mut build = Command::new(mdbook);
    step::run("mdbook", build.arg("build").arg(&sources).arg("--dest-dir").arg(&book))?;
    step::run("cargo doc", &mut step::cargo(&["doc", "--workspace", "--no-deps"]))?;
    copy(&step::target().join("doc"), &book.join("api"))?;
    let mut check = Command::new("python3");
    step::run(
        "check the site",
        check.args(["-B", "xtask/src/site.py"]).arg(&book).current_dir(step::root()),
    )?;
    eprintln!("xtask: open {}", book.join("index.html").display());
    Ok(())
}

/// Copies the contents of a folder.
fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to).map_err(|error| step::at(to, &error))?;
    step::visibly(Command::new("cp").arg("-R").arg(from.join(".")).arg(to))
}

/// A page whose links to files outside of `docs/` are their text and path: the site does not contain these files.
fn without_links_outside(page: &str, text: &str) -> String {
    let link = expression(r"\[([^\]]*)\]\(([^):#\s]+)[^)\s]*\)");
    let replaced = link.replace_all(text, |link: &Captures| {
        let path = links::resolve(page, &link[2]);
        let (whole, words) = (&link[0], &link[1]);
        match path {
            path if whole.contains("://") || path.starts_with("docs/") => whole.to_owned(),
            path if path.ends_with(words.trim_matches('`')) => format!("`{path}`"),
            path => format!("{words} (`{path}`)"),
        }
    });
    replaced.into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_link_to_a_file_that_the_site_lacks_is_its_path() {
        let text = "See [compose.yaml](../compose.yaml), [the example](../crates/a.py#z), [this](y.md#z), [h](#h) \
                    and [that](https://example.org/../x).";
        let expected = "See `compose.yaml`, the example (`crates/a.py`), [this](y.md#z), [h](#h) and \
                        [that](https://example.org/../x).";
        assert_eq!(super::without_links_outside("docs/x.md", text), expected);
    }
}
