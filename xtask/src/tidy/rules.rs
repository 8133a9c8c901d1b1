//! What a file may not contain, and what it must contain, as expressions.

use crate::sources::{Source, expression};

/// A rule for the files whose path `files` matches. `except` matches what is allowed, written as `path:found text`.
struct Rule {
    files: &'static str,
    except: &'static str,
    pattern: &'static str,
    reason: &'static str,
}

const fn rule(
    files: &'static str,
    except: &'static str,
    pattern: &'static str,
    reason: &'static str,
) -> Rule {
    Rule { files, except, pattern, reason }
}

/// A path or a `use` that starts with one of these crates.
macro_rules! names {
    ($crates:literal) => {
        concat!(r"\b(?:(?:use|crate) (?:", $crates, r")\b|(?:", $crates, ")::)")
    };
}

const OURS: &str = r"^crates/.*\.rs$";
const NEVER: &str = "^$";

/// What code may not contain, outside of comments and literals.
#[rustfmt::skip]
const NOT_IN_CODE: [Rule; 16] = [
    rule(OURS, r"^crates/otel-facade/src/lib\.rs:", r"\bfeature *=",
        "a feature of Cargo changes code only in crates/otel-facade/src/lib.rs"),
    rule(r"^crates/otel-facade/src/lib\.rs$", NEVER, r"(?s)(?:\bfeature *=.*?){5}",
        "the feature `otel` appears in four lines of this file"),
    rule(OURS, r"^crates/(e2e/|otel-facade/src/otel)", names!(r"opentelemetry\w*|tracing_opentelemetry"),
        "only crates/otel-facade/src/otel and e2e name a crate of OpenTelemetry"),
    rule(OURS, r"^crates/(otel-facade/src/otel/exporter|e2e/peers/)", names!("opentelemetry_otlp|opentelemetry_http"),
        "all signals leave through crates/otel-facade/src/otel/exporter"),
    rule(r"^crates/otel-facade/src/.*\.rs$", r"^crates/otel-facade/src/otel/exporter",
        names!("hyper|hyper_util|hyper_rustls|prost|reqwest|tonic"),
        "all signals leave through crates/otel-facade/src/otel/exporter"),
    rule(OURS, r"^crates/(e2e/|otel-facade/src/otel/exporter)",
        r"(?m)^impl\b.*\b(SpanExporter|PushMetricExporter|LogExporter|HttpClient|MetricReader)\b.* for ",
        "all signals leave through crates/otel-facade/src/otel/exporter"),
    rule(OURS, r"^crates/(e2e/|otel-facade/src/otel/(queue|logs))",
        r"(?m)^impl\b.*\b(SpanProcessor|LogProcessor)\b.* for ",
        "all signals leave through crates/otel-facade/src/otel/queue.rs and logs.rs"),
    rule(OURS, r"^crates/e2e/", names!("opentelemetry_proto"), "only e2e names opentelemetry_proto"),
    rule(r"Cargo\.toml$", concat!(r":(tracing-opentelemetry|opentelemetry",
            "(_sdk|-otlp|-http|-proto|-appender-tracing|-prometheus|-resource-detectors)?)$"),
        r"(?m)^[\w-]*opentelemetry[\w-]*",
        "xtask/src/tidy/rules.rs does not list this package of OpenTelemetry: is it an exporter?"),
    rule(r"^crates/otel-facade/Cargo\.toml$", NEVER, r"(?m)^default *=",
        "`otel-facade` has no default: it would switch OpenTelemetry on for the whole workspace"),
    rule(OURS, r"^crates/(fred-otel|queue|e2e)/", names!("fred"), "of our own programs only queue calls fred"),
    rule(r"^crates/worker/.*\.rs$", r"^crates/worker/src/(http/sender|process/listen)", names!("hyper|hyper_util"),
        "in the worker only http/sender and process/listen call hyper"),
    rule(r"^crates/(queue|worker)/src/.*\.rs$", r"^crates/queue/src/admin/", r"\bSystemTime\b",
        "the machine's clock decides nothing: Redis provides the time"),
    rule(r"^crates/[^/]*/src/lib\.rs$", concat!(r"^crates/(e2e/|queue/.* (admin|cron|internals|job|names|work)$|",
            "worker/.* (internals|settings)$|console/.* view$|cli/.* internals$|otel-facade/.* semconv$)"),
        r"(?m)^pub mod \w+",
        "re-export what is for users with `pub use`, or list the module in xtask/src/tidy/rules.rs"),
    rule(r"\.rs$", NEVER, r"\b(?:(?:const|static) (?:MOST|LONGEST|LOOKS?|SOON|FRESH)|fn (?:tell\w*|came|begun))\b",
        "name what it limits, with its unit, or what it does"),
    rule(r"\.lua$", NEVER, r"\blocal (?:\w+, *)*[a-hj-z]\b", "a local of Lua has a word for its name; `i` is an index"),
];

/// What a whole file may not contain, not even in comments.
#[rustfmt::skip]
const NOT_IN_TEXT: [Rule; 3] = [
    rule(r"^crates/(otel-facade|fred-otel|hyper-otel)/", NEVER, "(?i)postrider",
        "the crate is for other programs: the caller supplies names of this product"),
    rule(r"\.rs$", r"^xtask/src/tidy/rules\.rs:", r"\b(Became|Ending|Meaning)\b",
        "this is an old name; name the outcome, result or class"),
    rule(r"\.rs$", NEVER, r"\A(?:.*\n){300}\n*.+", "more than 300 lines: find the second responsibility"),
];

/// What a file must contain.
#[rustfmt::skip]
const NEEDED: [Rule; 5] = [
    rule(r"\.rs$", NEVER, r"\A//!", "open the file with `//!` and a description"),
    rule(r"^crates/.*Cargo\.toml$", r"^crates/(otel-facade|e2e/peers)/", r#"(?m)^default = \["otel"\]$"#,
        "needs `default = [\"otel\"]` in [features]"),
    rule(r"\.lua$", r"/prelude\.lua:|^clients/", r"\A(--.*\n)*-- KEYS", "the comment at the top needs a line `-- KEYS …`"),
    rule(r"\.lua$", r"/prelude\.lua:|^clients/", r"\A(--.*\n)*-- ARGV", "the comment at the top needs a line `-- ARGV …`"),
    rule(r"\.lua$", r"/prelude\.lua:|^clients/", r"\A(--.*\n)*-- Returns", "the comment at the top needs a line `-- Returns …`"),
];

/// All failures of all rules.
pub(super) fn failures(sources: &[Source]) -> Vec<String> {
    let forbidden = |rules: &[Rule], text: fn(&Source) -> &str| {
        rules.iter().flat_map(|rule| rule.forbidden(sources, text)).collect::<Vec<_>>()
    };
    let mut failures = forbidden(&NOT_IN_CODE, |source| &source.code);
    failures.extend(forbidden(&NOT_IN_TEXT, |source| &source.text));
    failures.extend(NEEDED.iter().flat_map(|rule| rule.missing(sources)));
    failures
}

impl Rule {
    fn forbidden(&self, sources: &[Source], text: fn(&Source) -> &str) -> Vec<String> {
        let pattern = expression(self.pattern);
        let mut failures = vec![];
        for source in self.files(sources) {
            for found in pattern.find_iter(text(source)).filter(|found| !self.allows(source, found.as_str()))
            {
                let last = found.as_str().lines().last().unwrap_or_default().trim();
                let reason = format!("`{last}`: {}", self.reason);
                failures.push(source.fault(text(source), found.end(), &reason));
            }
        }
        failures
    }

    fn missing(&self, sources: &[Source]) -> Vec<String> {
        let pattern = expression(self.pattern);
        let without = self.files(sources).filter(|source| !self.allows(source, ""));
        let without = without.filter(|source| !pattern.is_match(&source.text));
        without.map(|source| format!("{}:1: {}", source.path, self.reason)).collect()
    }

    fn files<'a>(&self, sources: &'a [Source]) -> impl Iterator<Item = &'a Source> {
        let files = expression(self.files);
        sources.iter().filter(move |source| files.is_match(&source.path))
    }

    fn allows(&self, source: &Source, found: &str) -> bool {
        expression(self.except).is_match(&format!("{}:{found}", source.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file, and the lines in which it breaks a rule.
    #[rustfmt::skip]
    const FAULTS: [(&str, &str, &[usize]); 26] = [
        ("crates/worker/src/x.rs", "//!\n#[cfg(feature = \"otel\")]\n// feature = \"otel\"", &[2]),
        ("crates/otel-facade/src/lib.rs", "//!\n(feature=\"\", feature=\"\")\nfeature=\"\"\nfeature=\"\"\nfeature", &[]),
        ("crates/otel-facade/src/lib.rs", "//!\n(feature=\"\", feature=\"\")\nfeature=\"\"\nfeature=\"\"\nfeature=\"\"", &[5]),
        ("crates/worker/src/x.rs", "//!\nuse opentelemetry::Key;\n// opentelemetry::Key\n\"opentelemetry::Key\"", &[2]),
        ("crates/otel-facade/src/log.rs", "//!\n(opentelemetry_sdk::X)\nuse tonic;\nlet prost = x;", &[2, 3]),
        ("crates/otel-facade/src/otel/x.rs", "//!\nopentelemetry::X\nopentelemetry_otlp::X\nopentelemetry_proto::X", &[3, 4]),
        ("crates/otel-facade/src/otel/exporter/x.rs", "//!\nopentelemetry_otlp::X\nhyper::x()", &[]),
        ("crates/e2e/src/otlp.rs", "//!\nopentelemetry_otlp::X\nopentelemetry_proto::X\nfred::x()", &[2]),
        ("crates/otel-facade/src/otel/x.rs", "//!\nimpl SpanExporter for X {\nimpl<T> a::MetricReader for X<T> {", &[2, 3]),
        ("crates/otel-facade/src/otel.rs", "//!\nimpl LogProcessor for X {\nmod tests {\n    impl LogExporter for X {", &[2]),
        ("crates/otel-facade/src/otel/queue.rs", "//!\nimpl SpanProcessor for X {\nimpl HttpClient for X {", &[3]),
        ("Cargo.toml", "opentelemetry-otlp.workspace = true\nopentelemetry-zipkin = \"1\"\notel = [\"opentelemetry-x\"]", &[2]),
        ("crates/otel-facade/Cargo.toml", "[features]\ndefault = []", &[2]),
        ("crates/worker/Cargo.toml", "[features]\ndefault = []", &[1]),
        ("crates/worker/Cargo.toml", "[features]\ndefault = [\"otel\"]", &[]),
        ("crates/worker/src/x.rs", "//!\nuse fred as f;\nfred::x(alfred::y)\nuse hyper_util::rt;\nself.hyper.x()", &[2, 3, 4]),
        ("crates/worker/src/http/sender.rs", "//!\nuse hyper::body;\nuse std::time::{Instant, SystemTime};", &[3]),
        ("crates/queue/src/x.rs", "//!\nuse fred::prelude::*;\nstd::time::SystemTime::now()\nenum Ending { EndingX }", &[3, 4]),
        ("crates/queue/src/lib.rs", "//!\npub mod admin;\npub mod redis;\nmod trail;\npub mod internal {", &[3, 5]),
        ("crates/queue/src/admin/x.rs", "//!\npub mod redis;\nSystemTime::now()", &[]),
        ("crates/hyper-otel/README.md", "# x\nPOSTRIDER_X", &[2]),
        ("crates/queue/src/x.rs", "use std::fmt;", &[1]),
        ("crates/queue/src/x.rs", "//!\nconst LOOK: u8 = 1;\nstatic LOOKUP: u8 = 1;\nfn came() {}\nfn teller() {}\nlet SOON", &[2, 4, 5]),
        ("crates/queue/src/lua/x.lua", "-- KEYS x\n-- ARGV x\n-- Returns 1\nlocal at, o = 1\nlocal i = 0\nlocal due, lost", &[4]),
        ("crates/queue/src/lua/x.lua", "-- KEYS[1] the stream\nlocal at = 1\n-- ARGV[1] an id", &[1, 1]),
        ("crates/queue/src/lua/x.lua", "-- KEYS[1] the stream\n-- ARGV[1] an id\n-- Returns 1", &[]),
    ];

    #[test]
    fn a_file_is_short() {
        let failures = |lines| failures(&[Source::of("x.rs", &"//! x\n".repeat(lines))]);
        assert_eq!(failures(300), [""; 0]);
        assert!(failures(301)[0].starts_with("x.rs:301: "));
    }

    #[test]
    fn each_rule_finds_its_fault_and_nothing_else() {
        for (path, text, lines) in FAULTS {
            let mut found = failures(&[Source::of(path, text)]);
            found.sort();
            let starts = lines.iter().map(|line| format!("{path}:{line}: "));
            let fits = found.iter().zip(starts).all(|(failure, start)| failure.starts_with(&start));
            assert!(
                fits && found.len() == lines.len(),
                "{path} must fail in {lines:?}, but: {found:#?}\n{text}"
            );
        }
    }
}
