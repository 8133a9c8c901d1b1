//! What the dashboard, the rules and the alerts ask for: names that the worker has, as Prometheus writes them.

mod scrape;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::http_call::exchange;
use e2e::process::Build;
use e2e::sources;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;
use serde_json::Value;

/// What Prometheus adds to a name, by its unit and kind.
const ENDINGS: [&str; 11] = [
    "",
    "_total",
    "_seconds",
    "_seconds_total",
    "_seconds_bucket",
    "_seconds_count",
    "_seconds_sum",
    "_bytes",
    "_bucket",
    "_count",
    "_sum",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every query of the dashboard and of Prometheus' own files, and its place.
fn questions() -> Vec<(String, String)> {
    let dashboard = "docker/grafana/dashboards/postrider.json";
    let json: Value = serde_json::from_str(&read(dashboard)).expect("the dashboard is JSON");
    let mut questions = Vec::new();
    for panel in json["panels"].as_array().expect("the dashboard has panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let question = target["expr"].as_str().expect("a target has a question").to_owned();
            questions.push((format!("{dashboard}, {}", panel["title"]), question));
        }
    }
    for variable in json["templating"]["list"].as_array().into_iter().flatten() {
        let question = variable["query"]["query"].as_str().expect("a variable has a question");
        // `label_values(METRIC, LABEL)`
        let metric = question.split(',').next().unwrap_or_default().replace("label_values(", "");
        questions.push((format!("{dashboard}, {}", variable["name"]), metric));
    }
    for path in ["docker/prometheus/rules.yml", "docker/prometheus/alerts.yml"] {
        questions.extend(in_rules(&read(path)).into_iter().map(|question| (path.to_owned(), question)));
    }
    questions
}

/// The values of `expr`, on one line or on the indented lines below.
fn in_rules(text: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.lines().collect();
    let mut questions = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(value) = line.trim().trim_start_matches("- ").strip_prefix("expr:") else { continue };
        // After the dash of a list, in the column of the rule's other keys.
        let key = line.find("expr:").unwrap_or_default();
        let below = lines[number + 1..].iter().take_while(|below| indent(below) > key);
        let text =
            if value.trim() == "|" { below.copied().collect::<Vec<_>>().join(" ") } else { value.to_owned() };
        questions.push(text);
    }
    questions
}

/// The metrics of a question: the words that are neither functions, nor labels, nor in quotes.
fn metrics(question: &str) -> BTreeSet<String> {
    let mut text = question.to_owned();
    for (open, close) in [('"', '"'), ('{', '}'), ('[', ']')] {
        text = without(&text, open, close);
    }
    let words: Vec<(usize, &str)> = words(&text);
    let mut metrics = BTreeSet::new();
    let mut labels = false;
    for (at, word) in words {
        let rest = text[at + word.len()..].trim_start();
        if rest.starts_with('(') {
            labels = ["by", "without", "on", "ignoring"].contains(&word);
        } else if word.contains(['_', ':']) && !labels {
            metrics.insert(word.to_owned());
        }
        // The list of labels ends here.
        let next = text[at + word.len()..].trim_start();
        labels = labels && !next.starts_with(')');
    }
    metrics
}

fn without(text: &str, open: char, close: char) -> String {
    let (mut left, mut inside) = (String::new(), false);
    for character in text.chars() {
        match character {
            _ if inside => inside = character != close,
            _ if character == open => inside = true,
            _ => left.push(character),
        }
    }
    left
}

fn words(text: &str) -> Vec<(usize, &str)> {
    let in_word = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, in_word(character)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words.into_iter().filter(|(_, word)| !word.starts_with(|first: char| first.is_ascii_digit())).collect()
}

/// Every text in the sources of the crates that is written as a metric's name is, as Prometheus writes it.
fn known() -> BTreeSet<String> {
    let is_name = |text: &&str| {
        text.contains('.')
            && text.chars().all(|character| character.is_ascii_lowercase() || "._".contains(character))
    };
    let sources = sources::texts();
    let texts = sources.iter().flat_map(|source| source.split('"'));
    texts.filter(is_name).map(|text| text.replace('.', "_")).collect()
}

/// The metrics that are queried, and where.
fn asked() -> BTreeMap<String, String> {
    let mut asked = BTreeMap::new();
    for (place, question) in questions() {
        for metric in metrics(&question) {
            asked.insert(metric, place.clone());
        }
    }
    asked
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_one_of_ours() {
    let known = known();
    let rules = read("docker/prometheus/rules.yml");
    let recorded: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- record:")).map(str::trim).collect();
    let asked = asked();
    assert!(asked.len() > 20, "too few metrics were found in the files to believe it: {asked:?}");
    let is_ours = |name: &str| {
        recorded.contains(name)
            || ENDINGS.iter().any(|end| name.strip_suffix(end).is_some_and(|base| known.contains(base)))
    };
    let strangers: Vec<_> = asked.iter().filter(|(name, _)| !is_ours(name)).collect();
    assert!(
        strangers.is_empty(),
        "metrics that no crate names, and where they are asked for: {strangers:#?}"
    );
}

#[test]
fn metrics_are_distinguished_from_labels_and_functions() {
    let question = r#"topk(10, histogram_quantile(0.9, sum by (le, server_address) (rate(a_b_bucket{x_y="c_d"}[5m])))) / on (p_q) group:r_s:max"#;
    let found: Vec<String> = metrics(question).into_iter().collect();
    assert_eq!(found, ["a_b_bucket", "group:r_s:max"]);
    let rules = "rules:\n  - expr: a_b > 1\n    for: 1m\n  - expr: |\n      c_d\n        and\n      e_f\n    for: x_y\n";
    let found: Vec<String> = in_rules(rules).iter().flat_map(|question| metrics(question)).collect();
    assert_eq!(found, ["a_b", "c_d", "e_f"]);
}

/// Prometheus' own tool plays what the alerts and the rules make of series, where it is installed.
#[test]
fn the_alerts_and_the_rules_pass_their_tests() {
    let mut promtool = Command::new("promtool");
    promtool.args(["test", "rules", "alerts.test.yml"]).current_dir(root().join("docker/prometheus"));
    let Ok(output) = promtool.output() else {
        eprintln!("promtool is not installed: the tests of the alerts are left out");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What takes an accident to come into being; the names of these are held against the sources alone.
const ACCIDENTS: [&str; 1] = ["postrider_flow_wait_duration_seconds_bucket"];

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_scraped_from_a_worker() {
    let world = World::new(Build::Otel);
    let (queue, sink) = (world.queue(), &world.sink);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    queue.enqueue(&[("url", sink.url("/status/500"))]);
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        // Nothing listens on this port, so that some spans are not delivered.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let arguments = ["--listen=127.0.0.1:0", "--max-attempts=2", "--retry-base=10ms", "--lease=1s"];
    let mut worker = world.worker_with(&arguments, &environment);
    let line = worker.wait_for_log("status listens on http://", DEADLINE);
    let (_, address) = line.split_once("http://").expect("the line was looked for");
    let address = address.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
    let recorded: Vec<String> = asked().into_keys().filter(|name| name.contains(':')).collect();
    eventually_or("all metrics", DEADLINE, || {
        let answer =
            exchange(address, "GET", "/metrics", &[], b"", DEADLINE).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let scraped: BTreeSet<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        let is_there = |name: &String| {
            scraped.contains(name.as_str()) || recorded.contains(name) || ACCIDENTS.contains(&name.as_str())
        };
        let missing: Vec<_> = asked().into_iter().filter(|(name, _)| !is_there(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{} without {missing:#?}", answer.status)) }
    });
}
