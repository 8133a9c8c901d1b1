//! `postrider cron`: definitions of periodic jobs.

mod apply;
mod file;

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use postrider_console::view::{CronView, span};
use postrider_queue::admin::{Cron, Inspector};
use postrider_queue::cron::CronName;
use postrider_queue::work::Spans;
use postrider_queue::{Enqueuing, QueueName, Redis};
use serde_json::json;
use telemetry::Telemetry;

use self::apply::ApplyArgs;
use super::render::table;
use super::target::{LookArgs, name};
use super::{RedisArgs, audit};

/// Periodic jobs: apply definitions from a file, list them, pause, resume, run and remove them
///
/// A definition is in Redis only. Workers of its queue make one job at each of its ticks, over all of them.
#[derive(Debug, Args)]
pub(super) struct CronArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Apply(ApplyArgs),
    List(ListArgs),
    Show(ShowArgs),
    /// Pause a definition: it has no tick until it is resumed
    Pause(ChangeArgs),
    /// Resume a paused definition, with its first tick from now on
    Resume(ChangeArgs),
    /// Make a job of a definition now, whatever else runs; its ticks stay as they are
    RunNow(ChangeArgs),
    /// Remove a definition; jobs that it has made stay
    Remove(ChangeArgs),
}

/// List definitions: when, next tick, and how many ticks made a job
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON object per line, one for each definition
    #[arg(long)]
    json: bool,
}

/// Show a definition and its state as JSON
#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// Show secrets
    #[arg(long)]
    reveal: bool,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    #[command(flatten)]
    which: Which,
}

/// A definition.
#[derive(Debug, Args)]
struct Which {
    /// Name of the definition
    #[arg(value_name = "NAME")]
    definition: CronName,
    /// Queue
    #[arg(long, env = "POSTRIDER_QUEUE", value_parser = name, value_name = "NAME", default_value = "default")]
    queue: QueueName,
    #[command(flatten)]
    redis: RedisArgs,
}

impl CronArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Command::Apply(args) => args.run(telemetry).await,
            Command::List(args) => args.run(telemetry).await,
            Command::Show(args) => args.run(telemetry).await,
            Command::Pause(args) => args.which.pause(telemetry).await,
            Command::Resume(args) => args.which.resume(telemetry).await,
            Command::RunNow(args) => args.which.run_now(telemetry).await,
            Command::Remove(args) => args.which.remove(telemetry).await,
        }
    }
}

impl ListArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let mut all = Vec::new();
        for shard in view.queues.iter().filter(|shard| shard.number == 0) {
            all.extend(view.inspector.crons(&shard.queue).await?);
        }
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            all.iter().for_each(|cron| print_line!("{}", json!(CronView::new(cron, false))));
        } else if all.is_empty() {
            eprintln!(
                "note: there are no periodic jobs in {}; see `postrider cron apply --help`",
                view.names()
            );
        } else {
            let header = ["QUEUE", "NAME", "WHEN", "NEXT", "MADE", "MISSED", "SKIPPED"];
            print_line!("{}", table(header, all.iter().map(|cron| row(cron, now))));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(cron: &Cron, now: u64) -> [String; 7] {
    let view = CronView::new(cron, false);
    let next = match (cron.definition.is_err(), cron.paused_since, cron.next) {
        (true, ..) => "wrong definition".to_owned(),
        (_, Some(_), _) => "paused".to_owned(),
        (.., Some(next)) if next < now => format!("late by {}", span(next, now)),
        (.., Some(next)) => format!("in {}", span(now, next)),
        (.., None) => "-".to_owned(),
    };
    let counts = [cron.made, cron.missed, cron.skipped].map(|count| count.to_string());
    let [made, missed, skipped] = counts;
    [view.queue, view.name, view.when, next, made, missed, skipped]
}

impl ShowArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let inspector = Inspector::connect(self.which.redis.url(), telemetry).await?;
        let found = self.which.find(&inspector).await;
        inspector.close().await;
        let Some(cron) = found? else { return Ok(self.which.unknown()) };
        print_line!("{:#}", json!(CronView::new(&cron, self.reveal)));
        Ok(ExitCode::SUCCESS)
    }
}

impl Which {
    async fn find(&self, inspector: &Inspector) -> Result<Option<Cron>, postrider_queue::Error> {
        let all = inspector.crons(&self.queue).await?;
        Ok(all.into_iter().find(|cron| cron.name == self.definition.to_string()))
    }

    fn unknown(&self) -> ExitCode {
        eprintln!(
            "error: there is no definition {} in queue {}; `postrider cron list` shows all",
            self.definition, self.queue
        );
        ExitCode::FAILURE
    }

    /// Records a change, and prints what it did.
    async fn changed(&self, inspector: &Inspector, change: &'static str, text: &str, jobs: u64) {
        let (caller, subject) = (audit::caller(), format!("cron {}", self.definition));
        let queue = Some(self.queue.as_str());
        let change =
            postrider_queue::admin::Change { caller: &caller, change, queue, subject: &subject, jobs };
        inspector.record(&change).await;
        print_line!("{}: {text}", self.definition);
    }

    async fn pause(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let inspector = Inspector::connect(self.redis.url(), telemetry).await?;
        let Some(was_paused) = inspector.pause_cron(&self.queue, &self.definition).await? else {
            return Ok(self.unknown());
        };
        let text = if was_paused { "was paused already" } else { "paused until it is resumed" };
        self.changed(&inspector, "pause", text, 0).await;
        inspector.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn resume(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let inspector = Inspector::connect(self.redis.url(), telemetry).await?;
        let Some(was_paused) = inspector.resume_cron(&self.queue, &self.definition).await? else {
            return Ok(self.unknown());
        };
        let text = if was_paused { "resumed" } else { "was not paused" };
        self.changed(&inspector, "resume", text, 0).await;
        inspector.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn run_now(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let inspector = Inspector::connect(self.redis.url(), telemetry).await?;
        let Some(cron) = self.find(&inspector).await? else { return Ok(self.unknown()) };
        let Ok(definition) = cron.definition else {
            return Err(format!("the definition {} is wrong; apply a right one", self.definition).into());
        };
        let spans = Spans { commands: true, ..Spans::default() };
        let redis = Redis::connect_with(self.redis.url(), telemetry, spans).await?;
        let fields = definition.job_at(&self.definition, inspector.now().await?);
        let job = redis.enqueue(&self.queue, fields, &Enqueuing::default()).await?;
        self.changed(&inspector, "run_now", &format!("job {}", job.entry), 1).await;
        redis.close().await;
        inspector.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn remove(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let inspector = Inspector::connect(self.redis.url(), telemetry).await?;
        let names = [self.definition.to_string()];
        let (_, removed) = inspector.apply_crons(&self.queue, &[], &names).await?;
        if removed == 0 {
            return Ok(self.unknown());
        }
        self.changed(&inspector, "remove", "removed", 0).await;
        inspector.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
