//! The API keeps what its document promises: to a client that is generated from it, and to one that tries its limits.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::wait::DEADLINE;
use e2e::world::World;
use serde_json::json;

use super::{BUILD, Console, NOWHERE};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
const CLIENT: &str = include_str!("client.py");
/// More examples find more: `POSTRIDER_API_EXAMPLES=500 cargo xtask test -- console::document`.
const EXAMPLES: &str = "3";

/// The folder with the Python packages; `None` if there is none.
fn tools() -> Option<PathBuf> {
    let tools = std::env::var_os("POSTRIDER_API_TOOLS").map(PathBuf::from).filter(|path| path.is_dir());
    if tools.is_none() {
        eprintln!("skipped: POSTRIDER_API_TOOLS names no folder; `cargo xtask test` makes one");
    }
    tools
}

/// Runs Python with these folders of packages, and returns what it has printed.
#[track_caller]
fn python(folders: &[&Path], folder: &Path, arguments: &[&str]) -> String {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", std::env::join_paths(folders).expect("paths without a colon"));
    python.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder).args(arguments);
    let output = python.output().expect("python3 can be started");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{arguments:?}: {}\n{text}", output.status);
    text
}

#[test]
fn a_client_that_is_generated_from_it_works() {
    let Some(tools) = tools() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.yaml"), "post_hooks: []\n").expect("it is written");
    let generate = ["-m", "openapi_python_client", "generate", "--meta", "none"];
    let files = ["--path", DOCUMENT, "--output-path", "postrider", "--config", "config.yaml"];
    let log = python(&[&tools], folder.path(), &[&generate[..], &files].concat());
    assert!(!log.contains("Failure"), "{log}");

    let world = World::new(BUILD);
    let console = Console::start(&world);
    let queue = world.queue();
    for number in 0..3 {
        queue.dead_letter(&format!("{number}-0"), "attempts", NOWHERE);
    }
    let address = format!("http://{}", console.address);
    python(&[&tools, folder.path()], folder.path(), &["-c", CLIENT, &address]);
    // The new job, and the one that was replayed.
    assert_eq!((queue.depth(), queue.dead().len()), (2, 2));
    assert_eq!(console.get("/v1/queues/default").1[0]["paused"]["why"], json!("a move"));
}

/// Thousands of requests by the document, and against it.
#[test]
fn no_request_gets_an_answer_that_it_does_not_describe() {
    let Some(tools) = tools() else { return };
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let folder = tempfile::tempdir().expect("a folder");
    // A stream without an end is no answer.
    let config = "[[operations]]\ninclude-path = \"/v1/tail\"\nparameters = { \"query.for\" = \"10ms\" }\n";
    std::fs::write(folder.path().join("schemathesis.toml"), config).expect("it is written");
    let examples = std::env::var("POSTRIDER_API_EXAMPLES").unwrap_or(EXAMPLES.to_owned());
    let url = format!("http://{}", console.address);
    let what = ["-m", "schemathesis.cli", "run", DOCUMENT, "--url", &url, "--request-timeout", "60"];
    let how = ["--phases", "examples,coverage,fuzzing", "--max-examples", &examples, "--seed", "1"];
    // Not each text that its pattern allows is a time, or a URL that may be called.
    let checks = ["--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all"];
    let log = python(&[&tools], folder.path(), &[&what[..], &how, &checks].concat());
    assert!(log.contains(" generated, ") && !log.contains(" failed"), "{log}");
    assert!(e2e::http_call::exchange(console.address, "GET", "/readyz", &[], b"", DEADLINE).is_ok());
}
