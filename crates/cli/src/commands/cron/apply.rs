//! `postrider cron apply`

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use postrider_queue::QueueName;
use postrider_queue::admin::{Applied, Change, Inspector};
use postrider_queue::cron::{CronName, Definition};
use telemetry::Telemetry;

use super::super::{RedisArgs, Usage, audit, target};
use super::file;

/// Apply the definitions of a file: all of them, or none if one is wrong
///
/// A TOML file with a table [cron.NAME] for each definition: `expression` (a cron expression of five fields, or six with
/// seconds first) with `time_zone` [default: UTC], or `every` = "5m"; `queue` [default: default]; `catch_up` = "one" [default],
/// "all" or "none" of the ticks that were missed; `overlap` = "allow" [default] or "skip" while the last job has not ended;
/// `jitter` = "30s"; and a table [cron.NAME.job] with the fields of the job, as in the lines of `send --from`.
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also remove the definitions that the file lacks, of each queue that it names
    #[arg(long)]
    prune: bool,
    /// Only check the file
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    redis: RedisArgs,
}

/// A definition with its name.
type Named = (CronName, Definition);

/// This machine's time, Unix ms: only to find out whether a date is possible.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl ApplyArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let all = file::read(&self.text()?, now())
            .map_err(|errors| Usage(format!("{}: nothing was applied:{errors}", self.name())))?;
        let mut queues = BTreeMap::<QueueName, Vec<Named>>::new();
        for (queue, name, definition) in all {
            queues.entry(queue).or_default().push((name, definition));
        }
        if queues.is_empty() {
            let message = format!("{}: it has no table [cron.NAME]: nothing was applied", self.name());
            return Err(Usage(message).into());
        }
        if self.check {
            let count: usize = queues.values().map(Vec::len).sum();
            print_line!("{}: {count} definitions, all right", self.name());
            return Ok(ExitCode::SUCCESS);
        }
        let inspector = Inspector::connect(self.redis.url(), telemetry).await?;
        for (queue, all) in &queues {
            if !inspector.has_keys(queue).await? {
                let hint = target::meant_queue(&inspector, queue).await;
                eprintln!(
                    "note: there is no queue {queue} in this Redis yet: no worker reads it, and no job was enqueued there{hint}"
                );
            }
            self.apply(&inspector, queue, all).await?;
        }
        inspector.close().await;
        Ok(ExitCode::SUCCESS)
    }

    /// The file, for people.
    fn name(&self) -> String {
        if self.file.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            self.file.display().to_string()
        }
    }

    fn text(&self) -> Result<String, Usage> {
        let mut text = String::new();
        let read = if self.file.as_os_str() == "-" {
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(&self.file)
        };
        read.map_err(|error| Usage(format!("cannot read {}: {error}", self.name())))
    }

    async fn apply(
        &self,
        inspector: &Inspector,
        queue: &QueueName,
        all: &[Named],
    ) -> Result<(), Box<dyn Error>> {
        let known = if self.prune { inspector.crons(queue).await? } else { vec![] };
        let is_left = |name: &str| all.iter().any(|(own, _)| own.to_string() == name);
        let gone: Vec<String> =
            known.iter().map(|cron| cron.name.clone()).filter(|name| !is_left(name)).collect();
        let (applied, _) = inspector.apply_crons(queue, all, &gone).await?;
        let changed = applied.iter().filter(|applied| **applied != Applied::Unchanged).count();
        if changed + gone.len() > 0 {
            let subject = format!("cron: {changed} applied, {} removed", gone.len());
            let (caller, queue) = (audit::caller(), Some(queue.as_str()));
            let change = Change { caller: &caller, change: "apply", queue, subject: &subject, jobs: 0 };
            inspector.record(&change).await;
        }
        for ((name, _), applied) in all.iter().zip(applied) {
            let what = match applied {
                Applied::Created => "created",
                Applied::Changed => "changed",
                Applied::Unchanged => "unchanged",
            };
            print_line!("{queue} {name}: {what}");
        }
        gone.iter().for_each(|name| print_line!("{queue} {name}: removed"));
        Ok(())
    }
}
