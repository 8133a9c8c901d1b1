//! The files of the workspace that checks read.

use std::fs;

use regex_lite::{Captures, Regex};
use walkdir::WalkDir;

use crate::step::{self, Result};

/// A file. The path is relative to the root.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Rust without comments and without the contents of literals; other files as they are. Lines keep their numbers.
    pub(crate) code: String,
}

/// The endings of the files that checks read.
const ENDINGS: [&str; 15] = [
    ".rs",
    ".lua",
    ".toml",
    ".md",
    ".yaml",
    ".yml",
    ".json",
    ".py",
    ".js",
    ".ts",
    ".sh",
    ".css",
    ".Dockerfile",
    ".env.example",
    "run",
];

/// The hidden files and folders that checks read.
const HIDDEN: [&str; 4] = [".ci", ".config", ".env.example", ".github"];

/// Comments and literals of Rust.
const NOT_CODE: &str = r##"(?s)//[^\n]*|r#+".*?"#+|"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^'])'"##;

/// All files, in the order of their paths.
pub(crate) fn all() -> Result<Vec<Source>> {
    let not_code = expression(NOT_CODE);
    let mut sources = vec![];
    let entries = WalkDir::new(step::root()).min_depth(1).sort_by_file_name().into_iter();
    let is_ours = |name: &str| {
        (!name.starts_with('.') || HIDDEN.contains(&name)) && !["target", "node_modules"].contains(&name)
    };
    for entry in entries.filter_entry(|entry| entry.file_name().to_str().is_some_and(is_ours)) {
        let entry = entry.map_err(|error| error.to_string())?;
        let path = entry.path().strip_prefix(step::root()).unwrap_or(entry.path()).to_string_lossy();
        if entry.file_type().is_file() && ENDINGS.iter().any(|ending| path.ends_with(ending)) {
            let text = fs::read_to_string(entry.path()).map_err(|error| format!("{path}: {error}"))?;
            sources.push(Source::new(&path, text, &not_code));
        }
    }
    Ok(sources)
}

/// An error that lists all failures, unless there is none.
pub(crate) fn none(failures: &[String]) -> Result {
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// A text with only the line ends of what an expression matches.
pub(crate) fn blanked(text: &str, expression: &Regex) -> String {
    expression.replace_all(text, |found: &Captures| "\n".repeat(found[0].matches('\n').count())).into_owned()
}

/// An expression that is part of the program.
pub(crate) fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expressions of the checks are valid")
}

impl Source {
    fn new(path: &str, text: String, not_code: &Regex) -> Self {
        let code = if path.ends_with(".rs") { blanked(&text, not_code) } else { text.clone() };
        Self { path: path.to_owned(), text, code }
    }

    /// The code before the tests, which are last in a file.
    pub(crate) fn untested(&self) -> &str {
        self.code.split("#[cfg(test)]\nmod ").next().unwrap_or(&self.code)
    }

    /// A failure at an offset of this file's text or code, or of a text with the same lines.
    pub(crate) fn fault(&self, text: &str, at: usize, reason: &str) -> String {
        format!("{}:{}: {reason}", self.path, 1 + text[..at].matches('\n').count())
    }

    #[cfg(test)]
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self::new(path, text.to_owned(), &expression(NOT_CODE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_no_comments_and_no_contents_of_literals() {
        let text = "a // b\n\"c \\\" // d\n\" e '\"' f<'g> '\\n' r#\"h \" i\"# j\n#[cfg(test)]\nmod tests {}";
        let source = Source::of("x.rs", text);
        assert_eq!(source.untested(), "a \n\n e  f<'g>   j\n");
        assert_eq!(source.fault(&source.code, source.code.find('j').unwrap(), "late"), "x.rs:3: late");
    }
}
