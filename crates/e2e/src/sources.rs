//! The Rust sources of the crates that `postrider` runs, for tests that compare them with other files.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that write metrics and log lines.
const CRATES: [&str; 6] = ["otel-facade", "queue", "worker", "cli", "fred-otel", "hyper-otel"];

/// The text of every Rust file in these crates' `src`, in no particular order.
pub fn texts() -> Vec<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = CRATES.map(|name| crates.join(name).join("src")).into();
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources are there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(&path).expect("a source is text"));
            }
        }
    }
    texts
}
