//! The configuration file, `postrider.toml`: read whole, and every error reported at once with its line.

mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use crate::egress::Egress;
use crate::queue::QueueName;
use crate::retry::{RetryPolicies, RetryPolicy, Waits};
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
///
/// [retry.gentle]           # or a list of waits
/// waits = ["5s", "1m", "10m"]
///
/// [egress]                 # see the module `egress` for the order of these
/// allow = ["10.0.0.0/8", "hooks.internal:8080"]
/// deny = ["*.evil.example", "*:25"]
/// only = ["*.example.org"]
/// ports = [443, 8443]
/// schemes = ["https"]
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Which queues to read, in the order of their names. Empty: the command line says.
    pub queues: Vec<WeightedQueue>,
    /// `default` is `None` where the file does not have it: the command line says.
    pub default_retry: Option<RetryPolicy>,
    /// The other policies.
    pub retry: RetryPolicies,
    /// Which destinations jobs may reach.
    pub egress: Egress,
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
        root.one_table("egress", |table| config.egress = egress(table));
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
    RetryPolicy { waits, max_attempts: most, max_age }
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
    fn a_policy_has_a_list_or_a_backoff() {
        assert!(problems("[retry.x]\nwaits = [\"1s\"]\nbase = \"1s\"\n")[0].contains("one or the other"));
        assert!(problems("[retry.x]\nwaits = [\"1x\", 3]\n").len() == 2);
        assert!(problems("[retry.x]\nwaits = []\n")[0].contains("empty"));
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
