//! The configuration file, `postrider.toml`: read whole, and every error reported at once with its line.

mod propagation;
mod requests;
mod secret;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use http::header::SET_COOKIE;
use http_telemetry::Propagation;
use toml::de::DeTable;

use crate::egress::Egress;
use crate::flows::{Breaker, FlowId, FlowLimits, Limits, Rate};
use crate::outcome::Overrides;
use crate::queue::QueueName;
use crate::retry::{RetryPolicies, RetryPolicy, Waits};
use crate::secrets::Secrets;
use crate::sender::{HttpConfig, KeptResults};
use crate::trace::Retries;
use table::Table;

/// What stands in the file.
///
/// ```toml
/// [queues.default]
/// weight = 4
///
/// [queues.bulk]            # weight 1
///
/// [retry.default]          # exponential, with full jitter
/// base = "1s"
/// cap = "1h"
/// max_attempts = 10
/// max_age = "3d"
/// retry_after_cap = "1d"   # at most so long a destination's Retry-After is kept to
/// retry_statuses = ["409"] # tried again besides the usual ones; also "5xx" or "520-529"
/// final_statuses = ["501"] # not tried again
///
/// [retry.gentle]           # or a list of waits
/// waits = ["5s", "1m", "10m"]
///
/// [flows.default]          # of each destination, or flow key, that has none of its own
/// breaker_failures = 5     # in a row; 0 turns the breaker off
/// breaker_pause = "5s"     # doubles with each time in a row
/// breaker_longest = "1m"
///
/// [flows."api.example.org:443"]
/// concurrency = 10         # attempts at once, over all workers
/// rate = "100/s"           # or /m, /h
/// burst = 100
///
/// [secrets.acme]           # a job names it in its field `secret`
/// keys = [{ file = "/run/secrets/acme" }, { env = "ACME_OLD_KEY" }]   # signatures; whsec_… or whsk_…
///
/// [secrets.partner]
/// bearer = { env = "PARTNER_TOKEN" }
///
/// [results]                # what is kept of an answer for a job with `result_ttl_ms`
/// headers = ["content-type", "location"]
/// max_body = 16384         # bytes, at most 65536
///
/// [egress]                 # see the module `egress` for the order of these
/// allow = ["10.0.0.0/8", "hooks.internal:8080"]
/// deny = ["*.evil.example", "*:25"]
/// only = ["*.example.org"]
/// ports = [443, 8443]
/// schemes = ["https"]
///
/// [propagation]            # to whom the trace context of a job is sent
/// traces_to = "all"        # or "none", or ["api.example.org", "*.internal:8080"]
/// baggage_to = ["*.internal"]   # default: nobody
///
/// [http]                   # deadlines, limits, TLS and the proxy of requests
/// headers_timeout = "20s"
///
/// [traces]
/// retries = "link"         # or parent, none: how a further attempt's trace belongs to what was before
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Which queues to read, in the order of their names. Empty: the command line says.
    pub queues: Vec<WeightedQueue>,
    /// `default` is `None` where the file does not have it: the command line says.
    pub default_retry: Option<RetryPolicy>,
    /// The other policies.
    pub retry: RetryPolicies,
    /// How many attempts of each flow may be made.
    pub flows: FlowLimits,
    /// What of an answer is kept for who waits for the result.
    pub results: KeptResults,
    /// What requests are signed with, and how they show who they are from.
    pub secrets: Secrets,
    /// Which destinations jobs may reach.
    pub egress: Egress,
    /// How requests are sent.
    pub http: HttpConfig,
    /// To whom the context of traces is sent.
    pub propagation: Propagation,
    /// How the traces of further attempts belong to what was before; `None` where the file does not say.
    pub trace_retries: Option<Retries>,
}

/// A queue to read, and how often in proportion to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedQueue {
    /// The queue.
    pub name: QueueName,
    /// 1 to 1000. Default: 1.
    pub weight: u32,
}

impl std::str::FromStr for WeightedQueue {
    type Err = String;

    /// `NAME` or `NAME:WEIGHT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, weight) = match text.split_once(':') {
            Some((name, weight)) => {
                let weight = weight.parse().ok().filter(|weight| (1..=1000).contains(weight));
                (name, weight.ok_or("the weight of a queue must be 1 to 1000, as in bulk:1")?)
            }
            None => (text, 1),
        };
        let name = name.parse().map_err(|error: crate::queue::BadQueueName| error.to_string())?;
        Ok(Self { name, weight })
    }
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It has errors: all of them.
    #[error("the configuration {path} has errors:{problems}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Problems,
    },
}

/// What is wrong in a file, a line each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<(usize, String)>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(line, text)| write!(f, "\n  line {line}: {text}"))
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] names every line that is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(&text).map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`Problems`] has every line that is wrong.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut problems = Problems::default();
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            problems.0.push((line(text, at), error.message().to_owned()));
        }
        if !problems.0.is_empty() {
            // What was recovered around an error of syntax is not what was meant.
            return Err(problems);
        }
        let mut root = Table::new(text, root, &mut problems);
        let mut config = Self::default();
        root.each_table("queues", |name, table| config.queues.extend(queue(name, table)));
        root.each_table("retry", |name, table| {
            let policy = retry(table);
            if name == "default" {
                config.default_retry = Some(policy);
            } else {
                config.retry.named.insert(name.to_owned(), policy);
            }
        });
        root.each_table("secrets", |name, table| config.secrets.insert(name, secret::secret(table)));
        root.one_table("results", |table| config.results = results(table));
        let mut named = vec![];
        root.each_table("flows", |name, table| named.push((name.to_owned(), limits(table))));
        for (name, limits) in named {
            if name == "default" {
                config.flows.default = limits;
            } else {
                config.flows.named.insert(FlowId::of(&name), limits);
            }
        }
        root.one_table("egress", |table| config.egress = egress(table));
        root.one_table("http", |table| config.http = requests::read(table));
        root.one_table("propagation", |table| config.propagation = propagation::read(table));
        root.one_table("traces", |table| config.trace_retries = table.text("retries"));
        root.finish();
        problems.0.sort();
        if problems.0.is_empty() { Ok(config) } else { Err(problems) }
    }
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn queue(name: &str, table: &mut Table<'_, '_>) -> Option<WeightedQueue> {
    let weight = table.whole("weight", 1, 1000).map_or(1, |weight| weight as u32);
    match name.parse() {
        Ok(name) => Some(WeightedQueue { name, weight }),
        Err(error) => {
            table.problem(error);
            None
        }
    }
}

fn egress(table: &mut Table<'_, '_>) -> Egress {
    let scheme = |text: &str| match text {
        "http" | "https" => Ok(text.to_owned()),
        _ => Err("a scheme is \"http\" or \"https\""),
    };
    for limit in ["only", "ports", "schemes"] {
        table.not_empty(limit);
    }
    Egress {
        allow: table.texts("allow", str::parse),
        deny: table.texts("deny", str::parse),
        only: table.texts("only", str::parse),
        ports: table.wholes("ports", 1, u16::MAX.into()).into_iter().map(|port| port as u16).collect(),
        schemes: table.texts("schemes", scheme),
    }
}

fn retry(table: &mut Table<'_, '_>) -> RetryPolicy {
    let list = table.durations("waits");
    let base = table.duration("base");
    let cap = table.duration("cap");
    let attempts = table.whole("max_attempts", 1, 100).map(|attempts| attempts as u32);
    let max_age = table.duration("max_age");
    if list.is_some() && (base.is_some() || cap.is_some()) {
        table.problem(
            "`waits` is a list of waits and leaves no place for `base` and `cap`; give one or the other",
        );
    }
    let most = attempts.unwrap_or(match &list {
        Some(list) => (list.len() as u32 + 1).min(100),
        None => 10,
    });
    let waits = match list {
        Some(list) => Waits::List(list),
        None => Waits::Exponential {
            base: base.unwrap_or(Duration::from_secs(1)),
            cap: cap.unwrap_or(Duration::from_secs(3600)),
        },
    };
    let statuses = Overrides {
        passing: table.texts("retry_statuses", str::parse),
        is_final: table.texts("final_statuses", str::parse),
    };
    if let Some((passing, other)) = statuses.contradiction() {
        table.problem(format!(
            "`retry_statuses` has {passing} and `final_statuses` {other}; a status is one or the other"
        ));
    }
    let standard = RetryPolicy::default();
    let retry_after_cap = table.duration("retry_after_cap").unwrap_or(standard.retry_after_cap);
    RetryPolicy { waits, max_attempts: most, max_age, statuses, retry_after_cap }
}

fn results(table: &mut Table<'_, '_>) -> KeptResults {
    let standard = KeptResults::default();
    let headers: Vec<HeaderName> =
        if table.has("headers") { table.texts("headers", str::parse) } else { standard.headers };
    if headers.contains(&SET_COOKIE) {
        table.problem("`headers`: set-cookie holds secrets, which are not kept; leave it out");
    }
    let max_body = table.whole("max_body", 0, 64 * 1024).map_or(standard.max_body, |bytes| bytes as usize);
    KeptResults { headers, max_body }
}

fn limits(table: &mut Table<'_, '_>) -> Limits {
    let concurrency = table.whole("concurrency", 1, 100_000).map(|most| most as u32);
    let rate = table.rate("rate");
    let burst = table.whole("burst", 1, 1_000_000).map(|burst| burst as u32);
    if burst.is_some() && rate.is_none() {
        table.problem("`burst` belongs to `rate`; give both");
    }
    let rate =
        rate.map(|per_second| Rate { per_second, burst: burst.unwrap_or((per_second.ceil() as u32).max(1)) });
    let standard = Breaker::default();
    let breaker = Breaker {
        failures: table.whole("breaker_failures", 0, 1000).map_or(standard.failures, |most| most as u32),
        pause: table.duration("breaker_pause").unwrap_or(standard.pause),
        longest: table.duration("breaker_longest").unwrap_or(standard.longest),
    };
    if breaker.longest > Duration::from_secs(3600) || breaker.pause > breaker.longest {
        table.problem("`breaker_pause` must be at most `breaker_longest`, and that at most \"1h\"");
    }
    Limits { concurrency, rate, breaker }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = Config::parse(text).expect_err("it must be refused");
        problems.0.iter().map(|(line, text)| format!("{line}: {text}")).collect()
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = Config::parse(
            "[queues.default]\nweight = 4\n[queues.bulk]\n\
             [retry.default]\nbase = \"2s\"\nmax_age = \"1d\"\n[retry.gentle]\nwaits = [\"5s\", \"1m\"]\n",
        )
        .unwrap();
        let queues: Vec<_> =
            config.queues.iter().map(|queue| (queue.name.to_string(), queue.weight)).collect();
        assert_eq!(queues, [("bulk".to_owned(), 1), ("default".to_owned(), 4)]);
        let default = config.default_retry.unwrap();
        assert_eq!(default.max_age, Some(Duration::from_secs(86400)));
        assert_eq!(default.delay(1, 1.0), Duration::from_secs(2));
        assert_eq!(config.retry.named["gentle"].max_attempts, 3);
    }

    #[test]
    fn every_error_is_told_at_once_with_its_line() {
        let told = problems(
            "colour = 1\n[queues.\"a b\"]\n[queues.x]\nweight = 0\nwieght = 1\n[retry.a]\nbase = 5\nmax_attempts = \"x\"\n",
        );
        assert_eq!(told.len(), 6, "{told:?}");
        let lines: Vec<_> = told.iter().map(|text| &text[..1]).collect();
        assert_eq!(lines, ["1", "2", "4", "5", "7", "8"], "{told:?}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let told = problems("[queues.x]\nweight = = 1\n");
        assert!(told.iter().all(|text| text.starts_with("2: ")), "{told:?}");
    }

    #[test]
    fn the_egress_rules_are_read() {
        let config = Config::parse(
            "[egress]\nallow = [\"10.0.0.0/8\", \"hooks.internal:8080\"]\ndeny = [\"*:25\"]\n\
             only = [\"*.example.org\"]\nports = [443, 8443]\nschemes = [\"https\"]\n",
        )
        .unwrap();
        let Egress { allow, deny, only, ports, schemes } = config.egress;
        let written =
            |rules: Vec<crate::egress::Rule>| rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(written(allow), ["10.0.0.0/8", "hooks.internal:8080"]);
        assert_eq!(
            (written(deny), written(only)),
            (vec!["*:25".to_owned()], vec!["*.example.org".to_owned()])
        );
        assert_eq!((ports, schemes), (vec![443, 8443], vec!["https".to_owned()]));
    }

    #[test]
    fn every_wrong_egress_rule_is_told_with_its_line() {
        let told = problems(
            "[egress]\nallow = [\n  \"10.0.0.0/99\",\n  3,\n]\ndeny = \"*\"\nports = [443, 0, \"x\"]\n\
             schemes = [\"ftp\"]\nonly = []\ndeny_ports = [1]\n",
        );
        let lines: Vec<_> = told.iter().map(|text| text.split(':').next().unwrap()).collect();
        assert_eq!(lines, ["3", "4", "6", "7", "7", "8", "9", "10"], "{told:#?}");
        assert!(told[0].contains("`allow`: `10.0.0.0/99` is not a rule"), "{told:#?}");
        assert!(told[6].contains("leave it out"), "{told:#?}");
        assert!(problems("egress = 1\n")[0].contains("must be a table, as in [egress]"));
    }

    #[test]
    fn to_whom_context_is_sent_is_a_word_or_a_list_and_every_wrong_host_is_told() {
        let read = |text: &str| Config::parse(&format!("[propagation]\n{text}\n")).unwrap().propagation;
        let hosts = |text: &str| text.parse::<http_telemetry::Recipients>().unwrap();
        assert_eq!(read("traces_to = \"none\"").traces, hosts("none"));
        assert_eq!(read("baggage_to = [\"*.a.test\"]").baggage, ["*.a.test".parse().unwrap()]);
        assert_eq!(read("traces_to = [\"a.test\", \"b.test:1\"]").traces, hosts("a.test,b.test:1"));
        assert_eq!(read("").traces, hosts("all"));
        let told = problems(
            "[propagation]\ntraces_to = [\n  \"http://a.test\",\n  1,\n]\nbaggage_to = \"all\"\nto = 1\n",
        );
        let lines: Vec<_> = told.iter().map(|text| &text[..1]).collect();
        assert_eq!(lines, ["3", "4", "6", "7"], "{told:#?}");
        assert!(told[0].contains("`traces_to`: `http://a.test` is no host"), "{told:#?}");
    }

    #[test]
    fn what_is_set_of_http_is_read_and_a_password_in_it_is_never_told() {
        let text = "[http]\ntls_timeout = \"2s\"\nmin_tls = \"1.3\"\nno_proxy = [\"a.test\"]\n\
                    proxy = \"http://me:hunter2@p:1\"\nca_files = [\"/ca.pem\"]\nmax_response_body = 1000\n";
        let http = Config::parse(text).unwrap().http;
        assert_eq!((http.tls_timeout, http.max_response_body), (Duration::from_secs(2), 1000));
        assert_eq!((http.min_tls, http.no_proxy.len()), (crate::sender::TlsVersion::V1_3, 1));
        assert!(http.proxy.is_some() && http.headers_timeout.is_none());
        let told = problems(
            "[http]\nproxy = \"me:hunter2@p\"\nmin_tls = \"1.1\"\nbody_timeout = \"0s\"\nca_files = [1]\nx = 1\n",
        );
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(!told.concat().contains("hunter2"), "{told:?}");
    }

    #[test]
    fn a_policy_has_a_list_or_a_backoff() {
        assert!(problems("[retry.x]\nwaits = [\"1s\"]\nbase = \"1s\"\n")[0].contains("one or the other"));
        assert!(problems("[retry.x]\nwaits = [\"1x\", 3]\n").len() == 2);
        assert!(problems("[retry.x]\nwaits = []\n")[0].contains("empty"));
    }

    #[test]
    fn a_policy_has_its_own_view_of_statuses() {
        let config = Config::parse(
            "[retry.x]\nretry_statuses = [\"409\", \"3xx\"]\nfinal_statuses = [\"501\"]\nretry_after_cap = \"5m\"\n",
        )
        .unwrap();
        let policy = &config.retry.named["x"];
        assert_eq!(policy.statuses.meaning(302), crate::outcome::Meaning::Passing);
        assert_eq!(policy.retry_after_cap, Duration::from_secs(300));
        assert!(problems("[retry.x]\nretry_statuses = [\"200\", 409, \"5x\"]\n").len() == 3);
        assert!(
            problems("[retry.x]\nretry_statuses = [\"5xx\"]\nfinal_statuses = [\"501\"]\n")[0]
                .contains("one or the other")
        );
    }

    #[test]
    fn what_is_kept_of_answers_can_be_said() {
        let config = Config::parse("[results]\nheaders = [\"X-Id\"]\nmax_body = 10\n").unwrap();
        assert_eq!(config.results.headers, [HeaderName::from_static("x-id")]);
        assert_eq!(config.results.max_body, 10);
        assert!(problems("[results]\nheaders = [\"Set-Cookie\"]\n")[0].contains("set-cookie"));
        assert_eq!(problems("[results]\nheaders = [\"a b\"]\nmax_body = 65537\nx = 1\n").len(), 3);
        assert_eq!(problems("results = 1\n").len(), 1);
    }

    #[test]
    fn secrets_come_from_files_and_variables_and_are_never_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let file = format!("{{ file = {:?} }}", path.to_str().unwrap());
        let text = format!(
            "[secrets.a]\nkeys = [{file}]\n[secrets.b]\nuser = \"me\"\npassword = {file}\n\
             [secrets.c]\nheader = \"X-Key\"\nvalue = {{ env = \"PATH\" }}\n"
        );
        let secrets = Config::parse(&text).unwrap().secrets;
        assert_eq!(secrets.get(b"a").unwrap().keys.len(), 1);
        assert_eq!(secrets.get(b"b").unwrap().headers[0].0, "authorization");
        let c = secrets.get(b"c").unwrap();
        assert_eq!(c.headers[0].0.as_str(), "x-key");
        for (wrong, part) in [
            ("keys = [\"whsec_hunter2\"]".to_owned(), "does not stand here"),
            ("bearer = \"hunter2\"".to_owned(), "does not stand here"),
            ("bearer = { file = \"/nowhere/hunter\" }".to_owned(), "cannot read"),
            ("bearer = { file = \"/\" }".to_owned(), "not a regular file"),
            ("bearer = { env = \"POSTRIDER_NO_SUCH\" }".to_owned(), "is not set"),
            ("bearer = { }".to_owned(), "either `file` or `env`"),
            (format!("bearer = {file}\nuser = \"me\"\npassword = {file}"), "twice"),
            ("user = \"me\"".to_owned(), "both `user` and `password`"),
            (format!("cert = {file}"), "both `cert` and `key`"),
            (format!("cert = {file}\nkey = {file}"), "no certificate"),
            ("colour = 1".to_owned(), "not known"),
        ] {
            let told = problems(&format!("[secrets.x]\n{wrong}\n")).join("\n");
            assert!(told.contains(part) && !told.contains("hunter2"), "{wrong}: {told}");
        }
        assert!(problems("[secrets.x]\n")[0].contains("needs `keys`"));
    }

    #[test]
    fn a_flow_has_limits() {
        let config = Config::parse(
            "[flows.default]\nbreaker_failures = 0\n[flows.\"h:80\"]\nconcurrency = 2\nrate = \"90/m\"\n",
        )
        .unwrap();
        assert_eq!(config.flows.default.breaker.failures, 0);
        let limits = config.flows.get(FlowId::of("h:80"));
        assert_eq!(limits.concurrency, Some(2));
        assert_eq!(limits.rate, Some(Rate { per_second: 1.5, burst: 2 }));
        assert_eq!(config.flows.get(FlowId::of("other")), &config.flows.default);
        for wrong in ["rate = \"5\"", "rate = \"0/s\"", "rate = \"5/d\"", "burst = 5", "concurrency = 0"] {
            assert_eq!(problems(&format!("[flows.x]\n{wrong}\n")).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_queue_may_carry_its_weight() {
        let queue: WeightedQueue = "bulk:3".parse().unwrap();
        assert_eq!((queue.name.to_string().as_str(), queue.weight), ("bulk", 3));
        for wrong in ["bulk:", "bulk:0", "bulk:1001", "bu lk", ":1"] {
            assert!(wrong.parse::<WeightedQueue>().is_err(), "{wrong}");
        }
    }
}
