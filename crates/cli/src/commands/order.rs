//! `postrider order`

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use postrider_console::view::{StoppedKeyView, plain, span};
use postrider_queue::admin::StoppedLine;
use postrider_queue::job::LinePlace;
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
    let all = view.each(async |queue| view.inspector.stopped_lines(queue).await).await?;
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
        }
        Ok(view.code())
    }
}

fn row(line: &StoppedLine, now: u64) -> [String; 6] {
    [
        line.queue.to_string(),
        plain(line.note.order.as_bytes(), 256),
        plain(line.note.job_id.as_bytes(), 128),
        plain(line.note.reason.as_bytes(), 40),
        span(line.note.at, now),
        line.behind.to_string(),
    ]
}

impl ResumeArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let lines = stopped(&view).await?;
        let mut resumed = 0;
        for queue in &view.queues {
            let is_meant = |line: &&StoppedLine| {
                line.queue == *queue && (self.all || self.keys.contains(&line.note.order))
            };
            let own: Vec<&StoppedLine> = lines.iter().filter(is_meant).collect();
            for line in &own {
                let places: [LinePlace; 1] = [line.place.clone()];
                if view.inspector.resume_lines(queue, &places).await? == 0 {
                    continue;
                }
                resumed += 1;
                let name = queue.queue.as_str();
                audit::record(&view.inspector, "resume", name, &line.note.order, line.behind.max(1)).await;
                if self.json {
                    print_line!("{}", json!(StoppedKeyView::new(line)));
                } else {
                    let key = plain(line.note.order.as_bytes(), 256);
                    print_line!("queue {queue}, order key {key}: resumed, {} behind", line.behind);
                }
            }
        }
        let (code, names) = (view.code(), view.names());
        view.inspector.close().await;
        if resumed == 0 {
            eprintln!("error: no such order key is stopped in {names}; see `postrider order list`");
            return Ok(ExitCode::from(1));
        }
        Ok(code)
    }
}
