//! Tests of the shell's completions, in a real bash, and of the manual pages.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;

use super::{DEADLINE, NOWHERE};

e2e::in_both_builds!(bash_completes_commands_values_and_queues, manual_pages_are_written);

/// Completes the last argument, as bash does for the Tab key.
const TAB: &str = r#"
source <(postrider completions bash)
registered=$(complete -p postrider)
function=${registered#*-F }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
${function%% *} postrider "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash suggests for the last word of a line.
fn suggested(build: Build, redis_url: &str, line: &str) -> Vec<String> {
    let program = build.program();
    let folder = program.parent().expect("the program is in a folder").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", TAB, "bash"]).args(line.split(' '));
    bash.env("PATH", format!("{folder}:{path}")).env("POSTRIDER_REDIS_URL", redis_url);
    let output = bash.output().expect("bash is installed");
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

fn bash_completes_commands_values_and_queues(build: Build) {
    let redis = RedisServer::start();
    for name in ["mail", "mail.old", "news"] {
        Queue::new(&redis, name).enqueue(&[("url", NOWHERE)]);
    }
    for (line, expected) in [
        ("postrider j", &["jobs"][..]),
        ("postrider comp", &["completions"]),
        ("postrider completions ", &["bash", "zsh", "fish"]),
        ("postrider jobs list --state r", &["ready", "running"]),
        ("postrider dead list --reason a", &["attempts"]),
        ("postrider --log-format ", &["text", "json"]),
        ("postrider send --wait-t", &["--wait-timeout"]),
        ("postrider send --queue m", &["mail", "mail.old"]),
        ("postrider worker --queue n", &["news"]),
        ("postrider dead replay --queue ", &["mail", "mail.old", "news"]),
        ("postrider queues shards n", &["news"]),
    ] {
        let mut found = suggested(build, &redis.url(), line);
        found.retain(|word| !line.ends_with("completions ") || !word.starts_with('-'));
        assert_eq!(found, expected, "{line}");
    }
}

/// Telemetry changes nothing about it.
#[test]
fn a_redis_that_does_not_answer_suggests_nothing_and_keeps_no_shell_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent = silent.local_addr().expect("it listens").port();
    for url in [format!("redis://127.0.0.1:{silent}"), "redis://127.0.0.1:9".to_owned(), "no URL".to_owned()]
    {
        let began = Instant::now();
        let variables = [("POSTRIDER_REDIS_URL", url.as_str())];
        let output = Postrider::run(Build::Lean, &["complete", "queues"], &variables, DEADLINE);
        assert!(output.code() == 0 && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "{url}: {:?}", began.elapsed());
        assert_eq!(suggested(Build::Lean, &url, "postrider send --queue m"), [""; 0], "{url}");
    }
}

fn manual_pages_are_written(build: Build) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("man1").display().to_string();
    let man = |arguments: &[&str]| Postrider::run(build, &[&["man"], arguments].concat(), &[], DEADLINE);
    assert_eq!(man(&[&path]).code(), 0, "the folder is made");
    assert_eq!(man(&[&path]).code(), 0);
    let below_a_file = format!("{path}/postrider.1/man1");
    let refused = man(&[&below_a_file]);
    assert!(refused.code() == 4 && refused.stderr.contains(&below_a_file), "{refused:?}");
    let page = |name: &str| std::fs::read_to_string(format!("{path}/{name}.1")).expect("the page is there");
    assert_eq!(page("postrider"), man(&[]).stdout);
    assert!(
        page("postrider-jobs-list").contains("scheduled")
            && page("postrider-send").contains("POSTRIDER_QUEUE")
    );
    let pages = std::fs::read_dir(&path).expect("the folder can be read").filter_map(Result::ok);
    let names: Vec<_> = pages.map(|page| page.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.len() > 20 && !names.iter().any(|name| name.contains("complete")), "{names:?}");
}
