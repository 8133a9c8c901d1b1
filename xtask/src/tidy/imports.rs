//! No file imports itself through others.
//!
//! An import is a `use`, or a path that starts with `crate::`, `super::` or `self::`, outside of tests. `mod
//! child` and `pub use child::…` are not imports, and a child may use its parent's definitions.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, without_tests};

/// A module, by its path in its crate: `["job", "decode"]`.
type Module = Vec<String>;

/// The files of one crate, or of one binary.
struct Tree<'a> {
    files: BTreeMap<Module, &'a Source>,
    /// The re-exports of a module: a name, and the module that defines it.
    handed_on: BTreeMap<(Module, String), Module>,
}

/// The circles of all crates, one line each.
pub(super) fn circles(sources: &[Source]) -> Vec<String> {
    let roots = sources.iter().filter(|source| is_root(&source.path));
    roots.filter_map(|root| Tree::new(root, sources).circle()).collect()
}

fn is_root(path: &str) -> bool {
    let in_source = path.contains("/src/") && !path.contains("/tests/");
    in_source && (path.ends_with("/src/lib.rs") || path.ends_with("/main.rs"))
}

impl<'a> Tree<'a> {
    fn new(root: &'a Source, sources: &'a [Source]) -> Self {
        let folder = root.path.trim_end_matches("lib.rs").trim_end_matches("main.rs");
        let mut files = BTreeMap::from([(Module::new(), root)]);
        let mut open = vec![Module::new()];
        while let Some(module) = open.pop() {
            for child in children(&files[&module].text) {
                let child: Module = module.iter().cloned().chain([child]).collect();
                let path = format!("{folder}{}.rs", child.join("/"));
                if let Some(file) = sources.iter().find(|source| source.path == path) {
                    files.insert(child.clone(), file);
                    open.push(child);
                }
            }
        }
        let mut tree = Self { files, handed_on: BTreeMap::new() };
        tree.learn_what_is_handed_on();
        tree
    }

    fn learn_what_is_handed_on(&mut self) {
        let mut handed_on = BTreeMap::new();
        for (module, file) in &self.files {
            for path in
                uses(&file.text).into_iter().filter(|found| found.is_public).flat_map(|found| found.paths)
            {
                let Some(name) = path.last().cloned() else { continue };
                if let Some(home) = self.home(module, &path) {
                    handed_on.insert((module.clone(), name), home);
                }
            }
        }
        self.handed_on = handed_on;
    }

    /// The module in which a path ends; `None` if the path leaves the crate.
    fn home(&self, from: &Module, path: &[String]) -> Option<Module> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Module::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                (from[..from.len().checked_sub(ups)?].to_vec(), &path[ups..])
            }
            child => {
                let module: Module = from.iter().cloned().chain([child.to_owned()]).collect();
                self.files.contains_key(&module).then_some((module, &path[1..]))?
            }
        };
        while let Some(next) = rest.first() {
            let child: Module = at.iter().cloned().chain([next.clone()]).collect();
            if self.files.contains_key(&child) {
                at = child;
            } else if let Some(home) = self.handed_on.get(&(at.clone(), next.clone())) {
                at = home.clone();
            } else {
                break;
            }
            rest = &rest[1..];
        }
        Some(at)
    }

    fn imports(&self, module: &Module) -> BTreeSet<Module> {
        let found = uses(&self.files[module].text);
        let homes = found.into_iter().flat_map(|found| {
            let is_public = found.is_public;
            let homes = found.paths.into_iter().filter_map(|path| self.home(module, &path));
            // A parent that re-exports its children's definitions imports nothing.
            homes.filter(move |home| !(is_public && home.starts_with(module))).collect::<Vec<_>>()
        });
        homes.filter(|home| !module.starts_with(home)).collect()
    }

    /// One circle, if there is any, as `a.rs → b.rs → a.rs`.
    fn circle(&self) -> Option<String> {
        let imports: BTreeMap<_, _> =
            self.files.keys().map(|module| (module, self.imports(module))).collect();
        let mut done = BTreeSet::new();
        for start in self.files.keys() {
            if let Some(circle) = walk(start, &imports, &mut vec![], &mut done) {
                let files: Vec<_> = circle.iter().map(|module| self.files[module].path.as_str()).collect();
                return Some(format!(
                    "{}:1: files import each other in a circle: {}",
                    files[0],
                    files.join(" → ")
                ));
            }
        }
        None
    }
}

/// The first circle found on a walk from a module.
fn walk(
    at: &Module,
    imports: &BTreeMap<&Module, BTreeSet<Module>>,
    path: &mut Vec<Module>,
    done: &mut BTreeSet<Module>,
) -> Option<Vec<Module>> {
    if let Some(first) = path.iter().position(|module| module == at) {
        return Some(path[first..].iter().chain([at]).cloned().collect());
    }
    if done.contains(at) {
        return None;
    }
    path.push(at.clone());
    let circle = imports.get(at).into_iter().flatten().find_map(|next| walk(next, imports, path, done));
    path.pop();
    done.insert(at.clone());
    circle
}

/// A `use`, or a path in code.
struct Use {
    is_public: bool,
    paths: Vec<Vec<String>>,
}

/// The names of the child modules that a file declares.
fn children(text: &str) -> Vec<String> {
    let names = without_tests(text).lines().filter_map(|line| {
        let (_, rest) = line
            .trim()
            .split_once("mod ")
            .filter(|(before, _)| before.is_empty() || before.starts_with("pub"))?;
        rest.strip_suffix(';').map(str::to_owned)
    });
    names.collect()
}

fn uses(text: &str) -> Vec<Use> {
    let code: String = without_tests(text).lines().map(|line| super::code(line) + "\n").collect();
    let mut found = vec![];
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let start = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].lines().last().unwrap_or_default().trim();
            (before.is_empty() || before.starts_with("pub")) && statement.ends_with(';')
        });
        match start {
            Some(at) => {
                rest.push_str(&statement[..at]);
                let is_public = statement[..at].lines().last().unwrap_or_default().contains("pub");
                let tree = statement[at + 4..].trim_end_matches(';');
                found.push(Use { is_public, paths: expand(tree.trim()) });
            }
            None => rest.push_str(statement),
        }
    }
    found.push(Use { is_public: false, paths: inline(&rest) });
    found
}

/// All paths of a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let Some((start, list)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![
            path.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self").collect(),
        ];
    };
    let start: Vec<String> =
        start.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    let list = list.rsplit_once('}').map_or(list, |(list, _)| list);
    let paths = split_list(list).into_iter().flat_map(expand);
    paths.map(|path| start.iter().cloned().chain(path).collect()).collect()
}

/// Splits at the commas outside of further braces.
fn split_list(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (vec![], 0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[from..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Paths in code that start with `crate::`, `super::` or `self::`.
fn inline(code: &str) -> Vec<Vec<String>> {
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut found = vec![];
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in
            code.match_indices(start).filter(|(at, _)| !code[..*at].ends_with(|c| in_word(c) || c == ':'))
        {
            let path = code[at..].split(|character: char| !in_word(character) && character != ':').next();
            found.extend(path.map(|path| path.split("::").map(str::to_owned).collect::<Vec<_>>()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Vec<Source> {
        let source =
            |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), text: (*text).to_owned() };
        files.iter().map(source).collect()
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        let tree = sources(&[
            ("crates/x/src/lib.rs", "mod a;\nmod b;\npub use a::A;\n"),
            ("crates/x/src/a.rs", "use std::fmt;\nuse crate::{\n    b::{self, B},\n};\n"),
            ("crates/x/src/b.rs", "fn f() -> crate::A {}\n"),
        ]);
        let found = circles(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("crates/x/src/a.rs → crates/x/src/b.rs → crates/x/src/a.rs"), "{found:?}");
    }

    #[test]
    fn a_child_may_use_its_parent_and_a_parent_may_re_export() {
        let tree = sources(&[
            ("crates/x/src/lib.rs", "mod a;\npub use a::{A, B};\n"),
            ("crates/x/src/a.rs", "mod b;\npub use b::B;\npub struct A;\n"),
            (
                "crates/x/src/a/b.rs",
                "use super::A;\npub struct B(A);\n\n#[cfg(test)]\nmod tests {\n    use crate::a::B;\n}\n",
            ),
        ]);
        assert_eq!(circles(&tree), Vec::<String>::new());
    }

    #[test]
    fn siblings_that_import_each_other_through_their_parent_are_found() {
        let tree = sources(&[
            ("crates/x/src/lib.rs", "mod a;\n"),
            ("crates/x/src/a.rs", "mod b;\nmod c;\npub use b::B;\npub(crate) use c::{C as Other};\n"),
            ("crates/x/src/a/b.rs", "use super::c::C;\n"),
            ("crates/x/src/a/c.rs", "use crate::a::B;\n"),
        ]);
        let found = circles(&tree);
        assert!(found.len() == 1 && found[0].contains("crates/x/src/a/b.rs"), "{found:?}");
    }
}
