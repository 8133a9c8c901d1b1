//! No file imports itself through others.
//!
//! An import is a `use`, or a path that starts with `crate::`, `super::` or `self::`, outside of tests. `mod
//! child` and `pub use child::…` are not imports, and a child may use its parent's definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex_lite::Regex;

use crate::sources::{Source, expression};

/// The file at the root of a crate or a binary, and its folder.
static ROOT: LazyLock<Regex> = LazyLock::new(|| expression(r"^(.*/src/(?:bin/[^/]+/)?)(?:lib|main)\.rs$"));
/// What makes a `use` public, and its tree.
static USE: LazyLock<Regex> = LazyLock::new(|| expression(r"(?m)^\s*(pub(?:\([^)]*\))? )?use ([^;]+);"));
static PATH: LazyLock<Regex> = LazyLock::new(|| expression(r"(?:^|[^\w:])((?:crate|super|self)::[\w:]+)"));
/// A part of a path, its new name, or what separates paths.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| expression(r" as \w+|[\w:*]+|[{},]"));

/// The files of one crate or binary.
struct Tree<'a> {
    /// By module: `crate::job::decode`.
    files: BTreeMap<String, &'a Source>,
    /// Where a name is defined that a module re-exports: `crate::Job` is `crate::job::Job`.
    re_exports: BTreeMap<String, String>,
}

/// A path of a `use` or in code, as written.
struct Import {
    is_public: bool,
    path: String,
    name: String,
}

/// One circle of each crate that has any.
pub(super) fn circles(sources: &[Source]) -> Vec<String> {
    let folder = |source: &'_ Source| Some(ROOT.captures(&source.path)?[1].to_owned());
    let folders: BTreeSet<String> = sources.iter().filter_map(folder).collect();
    folders.iter().filter_map(|folder| Tree::new(folder, sources).circle()).collect()
}

impl<'a> Tree<'a> {
    fn new(folder: &str, sources: &'a [Source]) -> Self {
        let mut tree = Self { files: BTreeMap::new(), re_exports: BTreeMap::new() };
        for source in sources {
            let path = source.path.strip_prefix(folder).and_then(|path| path.strip_suffix(".rs"));
            let Some(path) = path.filter(|path| !path.starts_with("bin/")) else { continue };
            // A library comes before the program of the same folder.
            let is_root = ["lib", "main"].contains(&path);
            let module = if is_root { "crate".into() } else { format!("crate::{}", path.replace('/', "::")) };
            tree.files.entry(module).or_insert(source);
        }
        for (module, file) in &tree.files {
            for import in imports(file.untested()).into_iter().filter(|import| import.is_public) {
                if let Some(origin) = tree.absolute(module, &import.path) {
                    tree.re_exports.insert(format!("{module}::{}", import.name), origin);
                }
            }
        }
        tree
    }

    /// A path from the root of the crate; `None` if it is another crate's.
    fn absolute(&self, module: &str, path: &str) -> Option<String> {
        if path.starts_with("crate::") {
            return Some(path.to_owned());
        }
        let (mut module, mut rest) = (module, path.strip_prefix("self::").unwrap_or(path));
        while let Some(above) = rest.strip_prefix("super::") {
            (module, rest) = (module.rsplit_once("::")?.0, above);
        }
        let child = format!("{module}::{}", rest.split("::").next()?);
        (rest != path || self.files.contains_key(&child)).then(|| format!("{module}::{rest}"))
    }

    /// The module that defines what a path from the root names.
    fn home(&self, path: &str) -> Option<String> {
        let mut at = "crate".to_owned();
        for part in path.split("::").skip(1) {
            at = format!("{at}::{part}");
            at = self.re_exports.get(&at).cloned().unwrap_or(at);
        }
        while !self.files.contains_key(&at) {
            at.truncate(at.rfind("::")?);
        }
        Some(at)
    }

    fn imports(&self, module: &str) -> BTreeSet<String> {
        let imports = imports(self.files[module].untested()).into_iter().filter_map(|import| {
            let home = self.home(&self.absolute(module, &import.path)?)?;
            let is_own = is_within(module, &home) || import.is_public && is_within(&home, module);
            (!is_own).then_some(home)
        });
        imports.collect()
    }

    /// One circle, if there is any, as `a.rs → b.rs → a.rs`.
    fn circle(&self) -> Option<String> {
        let imports = self.files.keys().map(|module| (module.clone(), self.imports(module)));
        let mut left: BTreeMap<String, BTreeSet<String>> = imports.collect();
        let mut before = 0;
        while left.len() != before {
            before = left.len();
            let names: BTreeSet<String> = left.keys().cloned().collect();
            left.values_mut().for_each(|imports| imports.retain(|import| names.contains(import)));
            left.retain(|_, imports| !imports.is_empty());
        }
        // Each module that is left imports one that is left, so this walk comes back to where it was.
        let mut walk = vec![left.keys().next()?];
        let start = loop {
            let next = left[*walk.last()?].first()?;
            let seen = walk.iter().position(|module| *module == next);
            walk.push(next);
            if let Some(start) = seen {
                break start;
            }
        };
        let files: Vec<&str> = walk[start..].iter().map(|module| self.files[*module].path.as_str()).collect();
        Some(format!("{}:1: files import each other in a circle: {}", files[0], files.join(" → ")))
    }
}

fn is_within(module: &str, other: &str) -> bool {
    module.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn imports(code: &str) -> Vec<Import> {
    let uses = USE.captures_iter(code).flat_map(|found| expand(&found[2], found.get(1).is_some()));
    let rest = USE.replace_all(code, "");
    let paths = PATH.captures_iter(&rest).map(|found| found[1].to_owned());
    uses.chain(paths.map(|path| Import { is_public: false, path, name: String::new() })).collect()
}

/// All paths of a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str, is_public: bool) -> Vec<Import> {
    let (mut outer, mut path, mut new_name, mut found) = (vec![], String::new(), None, vec![]);
    for token in TOKEN.find_iter(tree).map(|token| token.as_str()).chain([","]) {
        match token {
            "{" => outer.push(path.clone()),
            "," | "}" => {
                if !path.is_empty() && !path.ends_with("::") {
                    let whole = path.strip_suffix("::self").unwrap_or(&path);
                    let name = new_name.take().or(whole.rsplit("::").next()).unwrap_or_default();
                    found.push(Import { is_public, path: whole.to_owned(), name: name.to_owned() });
                }
                if token == "}" {
                    outer.pop();
                }
                // Nothing comes between a brace and a comma.
                path = outer.last().filter(|_| token == ",").cloned().unwrap_or_default();
            }
            part => match part.strip_prefix(" as ") {
                Some(name) => new_name = Some(name),
                None => path += part,
            },
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::of(path, text)).collect();
        circles(&sources)
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        let circle = "crates/x/src/a.rs:1: files import each other in a circle: crates/x/src/a.rs → \
                      crates/x/src/b.rs → crates/x/src/a.rs";
        let a = ("crates/x/src/a.rs", "use std::fmt;\nuse crate::{\n    b::{self, B},\n    c,\n};\n");
        for (root, b) in [
            ("mod a;\nmod b;\npub use a::A;\n", "fn f() -> crate::A {}\n"),
            ("mod a;\nmod b;\npub use a::{Z, A as Other};\n", "use crate::Other;\n"),
            ("mod a;\nmod b;\n", "use super::a::A;\n"),
        ] {
            assert_eq!(found(&[a, ("crates/x/src/b.rs", b), ("crates/x/src/lib.rs", root)]), [circle]);
        }
    }

    #[test]
    fn a_child_may_use_its_parent_and_a_parent_may_re_export() {
        let child = "use super::A;\npub struct B(A);\n\n#[cfg(test)]\nmod tests {\n    use crate::a::B;\n}\n";
        let files = [
            ("crates/x/src/lib.rs", "mod a;\npub use a::{A, B};\n"),
            ("crates/x/src/a.rs", "mod b;\npub use b::B;\npub struct A;\n"),
            ("crates/x/src/a/b.rs", child),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn siblings_that_import_each_other_through_their_parent_are_found() {
        let found = found(&[
            ("crates/x/src/bin/y/main.rs", "mod a;\n"),
            ("crates/x/src/bin/y/a.rs", "mod b;\nmod c;\npub use b::B;\npub(crate) use c::{C as Other};\n"),
            ("crates/x/src/bin/y/a/b.rs", "use super::c::C;\n"),
            ("crates/x/src/bin/y/a/c.rs", "use crate::a::B;\n"),
        ]);
        assert!(found.len() == 1 && found[0].contains("/src/bin/y/a/b.rs"), "{found:?}");
    }
}
