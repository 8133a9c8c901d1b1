//! Where code may name a crate, and the feature that leaves OpenTelemetry out.

use super::{Source, code};

/// Where code may name a crate. A `*` at the end of a name matches any rest.
struct Place {
    names: &'static [&'static str],
    within: &'static str,
    only: &'static [&'static str],
}

const PLACES: [Place; 8] = [
    Place {
        names: &["opentelemetry*", "tracing_opentelemetry"],
        within: "crates/",
        only: &["crates/otel-facade/src/otel", "crates/e2e/"],
    },
    // Every signal leaves through the official exporters, which are built in one place.
    Place {
        names: &["opentelemetry_otlp", "opentelemetry_http"],
        within: "crates/",
        only: &["crates/otel-facade/src/otel/exporter"],
    },
    Place { names: &["opentelemetry_proto"], within: "crates/", only: &["crates/e2e/"] },
    Place {
        names: &["hyper", "hyper_util", "hyper_rustls", "prost", "reqwest", "tonic"],
        within: "crates/otel-facade/src/",
        only: &["crates/otel-facade/src/otel/exporter"],
    },
    Place {
        names: &["fred"],
        within: "crates/",
        only: &["crates/fred-otel/", "crates/queue/", "crates/e2e/"],
    },
    Place {
        names: &["hyper", "hyper_util"],
        within: "crates/worker/",
        only: &["crates/worker/src/http/sender", "crates/worker/src/process/listen"],
    },
    // The machine's clock decides nothing: Redis provides the time. The tools may show both clocks and
    // compare them.
    Place { names: &["SystemTime"], within: "crates/worker/src/", only: &["crates/cli/src/"] },
    Place { names: &["SystemTime"], within: "crates/queue/src/", only: &["crates/queue/src/admin/"] },
];

pub(super) fn crate_in_its_place(source: &Source) -> Vec<String> {
    let mut failures = Vec::new();
    for place in PLACES.iter().filter(|place| source.rust_in(place.within)) {
        if place.only.iter().any(|allowed| source.path.starts_with(allowed)) {
            continue;
        }
        for name in place.names {
            let rule = format!("`{name}` may be named only in {}", place.only.join("*, "));
            failures.extend(
                source.lines(|line| names_crate(line, name)).iter().map(|line| source.failure(*line, &rule)),
            );
        }
    }
    failures
}

/// Whether a line of code uses a crate: `name::…`, `use name` or `extern crate name`.
fn names_crate(line: &str, name: &str) -> bool {
    let line = code(line);
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    let starts = line.char_indices().filter(|(at, _)| !line[..*at].ends_with(in_word)).map(|(at, _)| at);
    starts.into_iter().any(|at| {
        let rest = line[at..].trim_start_matches(in_word);
        let word = &line[at..line.len() - rest.len()];
        let same = name.strip_suffix('*').map_or(word == name, |start| word.starts_with(start));
        same && (rest.starts_with("::")
            || ["use ", "crate "].iter().any(|before| line[..at].ends_with(before)))
    })
}

pub(super) fn gate_in_one_file(source: &Source) -> Vec<String> {
    const HOME: &str = "crates/otel-facade/src/lib.rs";
    if !source.rust_in("crates/") {
        return Vec::new();
    }
    let gates = source.lines(|line| {
        let line: String = line.split_whitespace().collect();
        !line.starts_with("//") && line.contains("feature=\"otel\"")
    });
    let allowed = if source.path == HOME { 4 } else { 0 };
    let rule = format!("the feature `otel` may appear only in the four lines of {HOME}");
    gates.into_iter().skip(allowed).map(|line| source.failure(line, &rule)).collect()
}

pub(super) fn default_features(source: &Source) -> Vec<String> {
    let Some(name) = source.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/Cargo.toml"))
    else {
        return Vec::new();
    };
    let defaults = source.lines(|line| line.split('=').next().is_some_and(|key| key.trim() == "default"));
    let otel = source.lines(|line| line.split_whitespace().collect::<String>() == "default=[\"otel\"]");
    match name {
        "otel-facade" => {
            let rule =
                "`otel-facade` has no default: it would switch OpenTelemetry on for the whole workspace";
            defaults.into_iter().map(|line| source.failure(line, rule)).collect()
        }
        _ if otel.is_empty() => vec![source.failure(1, "needs `default = [\"otel\"]` in [features]")],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn the_gate_is_in_four_lines_of_one_file() {
        let gate = "#[cfg(feature = \"otel\")]\n";
        check(gate_in_one_file, "crates/worker/src/main.rs", gate, &[1]);
        check(gate_in_one_file, "crates/otel-facade/src/lib.rs", &gate.repeat(5), &[5]);
        check(gate_in_one_file, "crates/worker/src/main.rs", "// feature = \"otel\"", &[]);
    }

    #[test]
    fn a_crate_is_named_only_in_its_place() {
        let text = "use opentelemetry::Key;\n// opentelemetry::Key\nlet text = \"opentelemetry::Key\";\n";
        check(crate_in_its_place, "crates/worker/src/main.rs", text, &[1]);
        check(crate_in_its_place, "crates/otel-facade/src/otel/export.rs", text, &[]);
        check(crate_in_its_place, "crates/otel-facade/src/log.rs", "(opentelemetry_sdk::X)", &[1]);
        check(
            crate_in_its_place,
            "crates/worker/src/reader.rs",
            "use fred as f;\nlet c = fred::new();",
            &[1, 2],
        );
        check(crate_in_its_place, "crates/queue/src/work/settle.rs", "use fred::prelude::*;", &[]);
        check(
            crate_in_its_place,
            "crates/worker/src/job.rs",
            "use hyper_util::rt;\nself.hyper.x(alfred::y)",
            &[1],
        );
        check(crate_in_its_place, "crates/hyper-otel/src/lib.rs", "use hyper::body::Body;", &[]);
    }

    #[test]
    fn crates_that_send_telemetry_are_named_only_with_the_exporters() {
        let text =
            "use opentelemetry_otlp::SpanExporter;\nuse opentelemetry_proto::tonic;\nhyper_util::rt::x()";
        check(crate_in_its_place, "crates/otel-facade/src/otel/queue.rs", text, &[1, 2, 3]);
        check(crate_in_its_place, "crates/otel-facade/src/otel/exporter.rs", text, &[2]);
        check(crate_in_its_place, "crates/e2e/src/otlp.rs", text, &[1]);
    }

    #[test]
    fn all_crates_except_telemetry_have_otel_as_their_default() {
        check(default_features, "crates/otel-facade/Cargo.toml", "[features]\ndefault = []", &[2]);
        check(default_features, "crates/worker/Cargo.toml", "[features]\ndefault = []", &[1]);
        check(default_features, "crates/worker/Cargo.toml", "[features]\ndefault = [\"otel\"]", &[]);
    }
}
