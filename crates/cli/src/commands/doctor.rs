//! `postrider doctor`

mod cron;
mod notice;
mod pauses;
mod queue;
mod rights;
mod server;
pub(super) mod telemetry;
mod workers;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use postrider_console::view::plain;
use postrider_queue::admin::{Inspector, Queues, ShardName, is_of_wrong_type};
use postrider_queue::work::is_refusal;
use serde_json::{Value, json};

use self::queue::Look;
use super::render::count;
use super::target::LookArgs;
use super::terminal::{self, wrapped};
use super::variables::unknown as variables;
use crate::config::Config;
use ::telemetry::Telemetry;

/// How many scheduled job ids are checked for a missing job.
const LOOKED_UP: u64 = 1_000;
/// How many jobs of a queue are checked for unknown fields.
const SAMPLED: usize = 100;

/// Check Redis, the queues and the telemetry, and advise what to do
///
/// Exit code 0: no error; 1: an error. Warnings are not errors.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Check this configuration file of a worker, too
    #[arg(long, env = "POSTRIDER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document: `fit`, and the list `findings`, each with `level`, `check`, `queue`, `seen` and
    /// `advice`
    #[arg(long)]
    json: bool,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warn,
    Error,
}

/// The result of one check.
#[derive(Clone, Debug)]
struct Finding {
    level: Level,
    check: &'static str,
    queue: Option<String>,
    seen: String,
    advice: Option<String>,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl Finding {
    fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, queue: None, seen: seen.into(), advice: None }
    }

    fn warn(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, advice: Some(advice.into()), ..Self::ok(check, seen) }
    }

    fn error(check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Error, ..Self::warn(check, seen, advice) }
    }

    fn json(&self) -> Value {
        json!({
            "level": self.level.as_str(),
            "check": self.check,
            "queue": self.queue,
            "seen": self.seen,
            "advice": self.advice,
        })
    }
}

impl DoctorArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let mut findings = match self.look.connect(telemetry).await {
            Ok(inspector) => {
                let mut findings = self.examine(&inspector).await;
                findings.extend(self.notices(&inspector).await);
                inspector.close().await;
                findings
            }
            Err(error) => {
                vec![Finding::error(
                    "connection",
                    error.to_string(),
                    "check that Redis runs, and --redis-url",
                )]
            }
        };
        findings.extend(self.config.as_deref().map(configuration).into_iter().flatten());
        findings.extend(
            variables().into_iter().map(|seen| Finding::warn("variables", seen, "correct or unset it")),
        );
        findings.extend(telemetry::examine().await);
        let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        if self.json {
            let all: Vec<_> = findings.iter().map(Finding::json).collect();
            print_line!("{}", json!({"fit": worst < Level::Error, "findings": all}));
        } else {
            print(&findings);
        }
        Ok(if worst == Level::Error { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    /// A notice that is dead.
    async fn notices(&self, inspector: &Inspector) -> Option<Finding> {
        let config = Config::read(self.config.as_deref()?).ok()?;
        match notice::examine(inspector, &config).await {
            Ok(found) => found,
            // The check of the rights, or of the keys, names that.
            Err(error) if is_refusal(&error) || is_of_wrong_type(&error) => None,
            Err(error) => Some(failed("notice", error)),
        }
    }

    /// Runs all checks. A check that fails is a finding too, and does not stop the others.
    async fn examine(&self, inspector: &Inspector) -> Vec<Finding> {
        let mut findings = Vec::new();
        match inspector.server().await {
            Ok(server) => findings.extend(server::examine(&server)),
            Err(error) => findings.push(failed("connection", error)),
        }
        let found = self.look.search(inspector).await.unwrap_or_else(|error| {
            findings.push(Finding::warn(
                "queue",
                error.to_string(),
                "allow +scan, which only this check needs",
            ));
            Queues::default()
        });
        findings.extend(found.strays.iter().map(|stray| {
            Finding::warn(
                "keys",
                stray.to_string(),
                "correct the producer, and move the entries with XRANGE and XADD",
            )
        }));
        let queues = found.shards;
        let default = ShardName { queue: "default".parse().expect("a valid name"), number: 0 };
        match inspector.refused(queues.first().unwrap_or(&default)).await {
            Ok(refused) => findings.extend(rights::examine(&refused)),
            Err(error) => findings.push(failed("rights", error)),
        }
        for queue in &queues {
            findings.extend(examine_queue(inspector, queue).await);
        }
        match inspector.held_flows(&queues, false).await {
            Ok(held) => findings.extend(queue::held_jobs(&held)),
            Err(error) => findings.push(failed("flows", error)),
        }
        let paused = pauses(inspector).await;
        findings.extend(paused.unwrap_or_else(|error| vec![failed("paused", error)]));
        if queues.is_empty() {
            findings.push(Finding::ok("queue", "there are none"));
        }
        findings
    }
}

fn failed(check: &'static str, error: postrider_queue::Error) -> Finding {
    Finding::error(check, error.to_string(), "see Redis' log, and check the rights of this user")
}

/// What is wrong with a shard, and, with the first one, with the periodic jobs of its queue.
async fn examine_queue(inspector: &Inspector, queue: &ShardName) -> Vec<Finding> {
    let mut findings = match look_at(inspector, queue).await {
        Ok(look) => queue::examine(queue, &look),
        Err(error) => vec![failed("queue", error)],
    };
    findings.iter_mut().for_each(|finding| finding.queue = Some(queue.to_string()));
    if queue.number == 0 {
        match crons(inspector, queue).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(failed("cron", error)),
        }
    }
    findings
}

/// Periodic jobs that are not made.
async fn crons(inspector: &Inspector, queue: &ShardName) -> Result<Vec<Finding>, postrider_queue::Error> {
    match inspector.crons(&queue.queue).await {
        Ok(all) => Ok(cron::examine(&all, inspector.now().await?)),
        // The check of the rights, or of the keys, names that.
        Err(error) if is_refusal(&error) || is_of_wrong_type(&error) => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// What is paused.
async fn pauses(inspector: &Inspector) -> Result<Vec<Finding>, postrider_queue::Error> {
    match inspector.pauses().await {
        Ok(pauses) => Ok(pauses::examine(&pauses, inspector.now().await?)),
        // The check of the rights names that.
        Err(error) if is_refusal(&error) => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// Reads a worker's configuration as the worker would.
fn configuration(path: &Path) -> Vec<Finding> {
    const CHECK: &str = "config";
    match Config::read(path) {
        Ok(config) => {
            let notes = config.notes.iter().map(|note| Finding::warn(CHECK, note, "correct the file"));
            [Finding::ok(CHECK, format!("{} is understood", path.display()))]
                .into_iter()
                .chain(notes)
                .collect()
        }
        Err(error) => {
            vec![Finding::error(CHECK, error.to_string(), "correct the file: no worker starts with it")]
        }
    }
}

/// What `doctor` reads of a queue.
async fn look_at(inspector: &Inspector, queue: &ShardName) -> Result<Look, postrider_queue::Error> {
    let survey = inspector.survey(queue, LOOKED_UP).await?;
    let wrong_keys = inspector.wrong_keys(queue).await?;
    if !survey.faults.is_empty() {
        return Ok(Look { survey, wrong_keys, ..Look::default() });
    }
    let sample = inspector.list(queue, None, SAMPLED).await?.jobs;
    let sample = sample.into_iter().map(|job| job.fields).collect();
    let stopped = if survey.lines.stopped > 0 { inspector.stopped_lines(queue, None).await? } else { vec![] };
    let deleted = stopped.iter().filter(|line| line.is_deleted).count();
    Ok(Look { survey, wrong_keys, sample, deleted })
}

fn print(findings: &[Finding]) {
    const INDENT: usize = 20;
    let width = terminal::width();
    for Finding { level, check, queue, seen, advice } in findings {
        let queue = queue.as_ref().map_or(String::new(), |queue| format!("{queue}: "));
        let text = format!("{queue}{}", plain(seen.as_bytes(), 1_000));
        let text = wrapped(&text, &" ".repeat(INDENT), width);
        print_line!("{:<6} {check:<12} {}", level.as_str(), text.trim_start());
        advice.iter().for_each(|advice| {
            print_line!("{}", wrapped(&format!("→ {advice}"), &" ".repeat(INDENT), width));
        });
    }
    let number = |level| findings.iter().filter(|finding| finding.level == level).count();
    let errors = count(number(Level::Error), "error", "errors");
    print_line!("\n{errors}, {}", count(number(Level::Warn), "warning", "warnings"));
}
