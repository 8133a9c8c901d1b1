//! The documents explain what alerts and `postrider doctor` report.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What follows this text in its lines.
fn after<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(start)).map(str::trim).collect()
}

#[test]
fn each_alert_has_a_section_of_the_runbook_and_its_address() {
    let (alerts, runbook) = (read("docker/prometheus/alerts.yml"), read("docs/runbook.md"));
    let names = after(&alerts, "- alert:");
    assert!(names.len() > 5, "{names:?}");
    let sections = after(&runbook, "## ").into_iter().filter(|section| section.starts_with("Postrider"));
    assert_eq!(names, sections.collect());
    let addresses: BTreeSet<_> = after(&alerts, "runbook_url:")
        .iter()
        .filter_map(|url| url.split_once("runbook.html#"))
        .map(|(_, name)| name)
        .collect();
    let wanted: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(addresses, wanted.iter().map(String::as_str).collect());
    for section in runbook.split("\n## Postrider").skip(1) {
        assert!(section.contains("**Look first.**"), "{section}");
    }
}

#[test]
fn each_check_of_doctor_is_explained() {
    let folder = "crates/cli/src/commands";
    let files = fs::read_dir(root().join(folder).join("doctor")).expect("the folder of the checks");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.push(root().join(folder).join("doctor.rs"));
    let mut checks = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a source");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for start in ["Finding::ok(", "Finding::warn(", "Finding::error(", "const CHECK: &str = ", "failed("]
        {
            let calls = code.split(start).skip(1).filter_map(|call| call.trim_start().strip_prefix('"'));
            checks.extend(calls.filter_map(|call| call.split('"').next()).map(str::to_owned));
        }
    }
    assert!(checks.len() > 15, "{checks:?}");
    let runbook = read("docs/runbook.md");
    let rows = after(&runbook, "| `")
        .into_iter()
        .filter_map(|row| row.split_once("` | "))
        .map(|(name, _)| name.to_owned());
    let explained: BTreeSet<String> = rows.collect();
    let missing: Vec<_> = checks.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/runbook.md does not explain {missing:?}");
}
