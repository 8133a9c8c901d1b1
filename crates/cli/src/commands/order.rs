//! `postrider order`

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use postrider_console::view::{StoppedKeyView, plain, span};
use postrider_queue::Error as QueueError;
use postrider_queue::admin::{Inspector, ShardName, StoppedLine};
use serde_json::json;
use telemetry::Telemetry;

use super::audit;
use super::render::table;
use super::target::{LookArgs, View};

/// Show order keys that dead letters have stopped, and resume them
///
/// In a queue with `on_dead = "stop"`, a dead letter stops the later jobs of its order key. They go on when it is replayed, which takes
/// its place, when it is purged, or with `resume`. Exit code 1: no such key is stopped.
#[derive(Debug, Args)]
pub(super) struct OrderArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Resume(ResumeArgs),
}

/// List the order keys that dead letters have stopped
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON object per line, one for each key
    #[arg(long)]
    json: bool,
}

/// Let the later jobs of order keys go, and leave the dead letters where they are
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["keys", "all"]))]
struct ResumeArgs {
    /// Order key; repeatable
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// All stopped keys
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON object per line, one for each key that is resumed
    #[arg(long)]
    json: bool,
}

impl OrderArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Command::List(args) => args.run(telemetry).await,
            Command::Resume(args) => args.run(telemetry).await,
        }
    }
}

async fn stopped(view: &View) -> Result<Vec<StoppedLine>, Box<dyn Error>> {
    let all = view.each(async |queue| view.inspector.stopped_lines(queue, None).await).await?;
    Ok(all.into_iter().flat_map(|(_, lines)| lines).collect())
}

impl ListArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let lines = stopped(&view).await?;
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            lines.iter().for_each(|line| print_line!("{}", json!(StoppedKeyView::new(line))));
        } else if lines.is_empty() {
            print_line!("no order key is stopped");
        } else {
            let rows = lines.iter().map(|line| row(line, now));
            print_line!(
                "{}",
                table(["QUEUE", "ORDER KEY", "DEAD LETTER", "REASON", "SINCE", "BEHIND"], rows)
            );
            if lines.iter().any(|line| line.is_deleted) {
                eprintln!(
                    "note: a deleted dead letter was beyond the bounds of the dead letters, and cannot be replayed; `postrider order \
                     resume KEY` lets its key go"
                );
            }
        }
        Ok(view.code())
    }
}

fn row(line: &StoppedLine, now: u64) -> [String; 6] {
    [
        line.queue.to_string(),
        plain(line.note.order.as_bytes(), 256),
        plain(line.note.job_id.as_bytes(), 128) + if line.is_deleted { " (deleted)" } else { "" },
        plain(line.note.reason.as_bytes(), 40),
        span(line.note.at, now),
        line.behind.to_string(),
    ]
}

impl ResumeArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let resumed = view.each(async |queue| self.resume_in(&view.inspector, queue).await).await?;
        let resumed: u64 = resumed.iter().map(|(_, lines)| lines).sum();
        let (code, names) = (view.code(), view.names());
        view.inspector.close().await;
        if resumed == 0 {
            eprintln!("error: no such order key is stopped in {names}; see `postrider order list`");
            return Ok(ExitCode::from(1));
        }
        Ok(code)
    }

    /// Resumes the keys that are meant. Returns how many lines were stopped.
    async fn resume_in(&self, inspector: &Inspector, queue: &ShardName) -> Result<u64, QueueError> {
        let mut resumed = 0;
        for key in &self.keys {
            let lines = inspector.stopped_lines(queue, Some(key)).await?;
            resumed += self.resume(inspector, queue, &lines).await?;
        }
        if !self.all {
            return Ok(resumed);
        }
        // A list has at most 1,000.
        loop {
            let lines = inspector.stopped_lines(queue, None).await?;
            match self.resume(inspector, queue, &lines).await? {
                0 => return Ok(resumed),
                own => resumed += own,
            }
        }
    }

    async fn resume(
        &self,
        inspector: &Inspector,
        queue: &ShardName,
        lines: &[StoppedLine],
    ) -> Result<u64, QueueError> {
        let mut resumed = 0;
        for line in lines {
            if inspector.resume_lines(queue, std::slice::from_ref(&line.place)).await? == 0 {
                continue;
            }
            resumed += 1;
            let name = queue.queue.as_str();
            audit::record(inspector, "resume", name, &line.subject(), line.counted()).await;
            if self.json {
                print_line!("{}", json!(StoppedKeyView::new(line)));
            } else {
                let key = plain(line.note.order.as_bytes(), 256);
                print_line!("queue {queue}, order key {key}: resumed, {} behind", line.behind);
            }
        }
        Ok(resumed)
    }
}
