//! Other systems for `cargo xtask bench --peers`: the programs of `crates/e2e/peers`, and what they need from the registries, in
//! `target/peers`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binaries::Variable;
use crate::step::{self, Result};
use crate::tools;

/// A name as the bench has it, the folder of its programs, and what installs it.
const PEERS: [(&str, &str, Installer); 5] = [
    ("apalis", "apalis", cargo),
    ("bullmq", "bullmq", npm),
    ("asyncio-tuned", "asyncio", pip),
    ("asyncio-httpx", "asyncio", pip),
    ("celery", "celery", pip),
];

/// Installs from a folder of programs into another folder.
type Installer = fn(&Path, &Path) -> Result;

/// Installs the peers that the words of a call name. Returns the variables in which the bench looks for them.
pub(crate) fn installed(words: &[String]) -> Result<Vec<Variable>> {
    let Some(names) = words.iter().find_map(|word| word.strip_prefix("--peers")) else { return Ok(vec![]) };
    let names = names.trim_start_matches('=');
    let target = step::target().join("peers");
    for (name, folder, install) in chosen(names)? {
        let (from, to) = (sources().join(folder), target.join(folder));
        fs::create_dir_all(&to).map_err(|error| step::at(&to, &error))?;
        install(&from, &to).map_err(|reason| {
            format!("{reason}\nthe peer {name} could not be installed; `--peers NAME,NAME` measures others")
        })?;
    }
    let (node, _) = tools::fetched_node()?;
    Ok(vec![("POSTRIDER_PEERS".into(), target), ("POSTRIDER_PEERS_NODE".into(), node)])
}

/// Those of a list of names, or all of an empty list.
fn chosen(names: &str) -> Result<Vec<(&'static str, &'static str, Installer)>> {
    if names.is_empty() {
        return Ok(PEERS.to_vec());
    }
    let find = |name| PEERS.iter().find(|(own, ..)| *own == name).copied();
    let all = PEERS.map(|(name, ..)| name).join(", ");
    names.split(',').map(|name| find(name).ok_or(format!("there is no peer `{name}`: use {all}"))).collect()
}

fn sources() -> PathBuf {
    step::root().join("crates/e2e/peers")
}

fn cargo(from: &Path, to: &Path) -> Result {
    let mut build = step::cargo(&["build", "--release", "--locked", "--manifest-path"]);
    build.arg(from.join("Cargo.toml")).env("CARGO_TARGET_DIR", to);
    step::run("build the worker of apalis", &mut build)
}

/// Node finds the packages beside the programs.
fn npm(from: &Path, to: &Path) -> Result {
    let lock = read(&from.join("package-lock.json"))?;
    // Written last.
    let list = to.join("installed-lock");
    let is_installed = fs::read_to_string(&list).is_ok_and(|installed| installed == lock);
    copy(from, to)?;
    if is_installed {
        return Ok(());
    }
    let (_, mut npm) = tools::fetched_node()?;
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]).current_dir(to);
    step::run("fetch from npm: BullMQ", &mut npm)
        .map_err(|reason| format!("{reason}\nthis needs access to registry.npmjs.org"))?;
    fs::write(&list, lock).map_err(|error| step::at(&list, &error))
}

/// Python finds the programs, and what they share, in one folder.
fn pip(from: &Path, to: &Path) -> Result {
    let requirements = read(&from.join("requirements.txt"))?;
    let names: Vec<&str> = requirements.lines().collect();
    tools::locked_packages(to.join("packages"), &names)?;
    copy(&sources().join("python"), to)?;
    copy(from, to)
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> Result {
    let copied = fs::read_dir(from).and_then(|mut entries| {
        entries.try_for_each(|entry| {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
            Ok(())
        })
    });
    copied.map_err(|error| step::at(from, &error))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| step::at(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Result<Vec<&'static str>> {
        chosen(list).map(|peers| peers.into_iter().map(|(name, ..)| name).collect())
    }

    #[test]
    fn peers_are_all_or_those_that_are_named() {
        assert_eq!(names("").unwrap().len(), PEERS.len());
        assert_eq!(names("celery,apalis").unwrap(), ["celery", "apalis"]);
        assert!(names("celery,sidekiq").unwrap_err().contains("`sidekiq`: use apalis, bullmq, "));
        assert!(installed(&["--rounds=1".into()]).unwrap().is_empty());
    }

    #[test]
    fn every_python_package_has_one_version() {
        for folder in ["asyncio", "celery"] {
            let text = read(&sources().join(folder).join("requirements.txt")).unwrap();
            let is_exact = |line: &str| {
                line.split_once("==").is_some_and(|(name, version)| {
                    !name.is_empty()
                        && version.starts_with(|c: char| c.is_ascii_digit())
                        && !version.contains(['*', ' '])
                })
            };
            let loose: Vec<&str> = text.lines().filter(|line| !is_exact(line)).collect();
            assert!(loose.is_empty() && text.lines().count() > 10, "{folder}: {loose:?}");
        }
    }

    #[test]
    fn every_package_of_npm_and_cargo_has_one_version_and_a_lock() {
        let manifest = read(&sources().join("bullmq/package.json")).unwrap();
        let (_, dependencies) = manifest.split_once("\"dependencies\": {").unwrap();
        let (dependencies, _) = dependencies.split_once('}').unwrap();
        let lock = read(&sources().join("bullmq/package-lock.json")).unwrap();
        for line in dependencies.lines().filter(|line| !line.trim().is_empty()) {
            let (name, version) = line.trim().trim_end_matches(',').split_once(": ").unwrap();
            assert!(version[1..].starts_with(|c: char| c.is_ascii_digit()), "{line}");
            assert!(lock.contains(&format!("\"node_modules/{}", &name[1..])), "{name} is not locked");
        }
        let manifest = read(&sources().join("apalis/Cargo.toml")).unwrap();
        let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
        let (dependencies, _) = dependencies.split_once("\n\n").unwrap();
        let lock = read(&sources().join("apalis/Cargo.lock")).unwrap();
        for line in dependencies.lines() {
            let (name, version) = line.split_once(" = ").unwrap();
            let version = version.split_once("\"=").unwrap_or_else(|| panic!("{line}")).1;
            let version = version.split('"').next().unwrap();
            let locked = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&locked), "{name} {version} is not locked");
        }
    }
}
