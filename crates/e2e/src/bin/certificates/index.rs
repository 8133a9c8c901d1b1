//! The page that lists the certificates of a folder: a row for each report, from its JSON.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

const BEGIN: &str = "# Certificates

For everyone who wants to know what was run before they run it themselves. `cargo xtask certificates` and `cargo xtask many-kills`
write this page and the reports; [Certificate](../certify.md) explains what such a run does, and how to make your own.

| server | certified | acknowledged | lost by Postrider | by Redis | duplicates | unexplained | workers killed | Redis killed or failed over | p99 of healthy jobs | report |
|---|---|---|---|---|---|---|---|---|---|---|
";

const END: &str = "
*Lost by Redis* are jobs that it had acknowledged and lost in a failover, since it copies to replicas later. Each report has its
seed, plan, settings, machine and timeline.
";

/// Writes `README.md` from all reports of this folder.
///
/// # Panics
///
/// If a report is none, or the folder cannot be written.
pub(crate) fn write(folder: &Path) {
    let mut reports: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder can be read")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    reports.sort();
    let rows: String = reports.iter().filter_map(|path| row(path)).collect();
    fs::write(folder.join("README.md"), format!("{BEGIN}{rows}{END}")).expect("the folder can be written");
}

/// `None` for an empty file: the run has not ended.
fn row(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).expect("the report can be read");
    if text.is_empty() {
        return None;
    }
    let report: Value = serde_json::from_str(&text).expect("the report is JSON");
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let account = &report["account"];
    let sum = |counts: &Value| -> u64 {
        counts.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
    };
    let incidents = report["incidents"].as_array().into_iter().flatten();
    let of_redis = incidents
        .filter(|incident| matches!(incident["what"].as_str(), Some("redis_restarted" | "failed_over")))
        .count();
    let server = &report["server"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let certified = if report["certified"] == true { "yes" } else { "**no**" };
    Some(format!(
        "| {}, {} | {certified} | {} | {} | {} | {} | {} | {} | {of_redis} | {} ms | [page]({name}.html), [JSON]({name}.json) |\n",
        text(&server["version"]),
        text(&server["topology"]),
        account["acknowledged"],
        account["lost"],
        account["lost_in_failover"],
        sum(&account["duplicates"]),
        account["unexplained"],
        sum(&report["kills"]),
        account["latency"]["p99_ms"],
    ))
}
