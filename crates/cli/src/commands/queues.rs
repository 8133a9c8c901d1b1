//! `postrider queues`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use postrider_console::view::{QueueView, brief, plain};
use postrider_queue::admin::{Life, ShardName, Survey, SurveyedConsumer};
use postrider_queue::work::{ShardCounts, Spans};
use postrider_queue::{QueueName, Redis};
use serde_json::json;
use telemetry::Telemetry;

use super::RedisArgs;
use super::pause::{self, PauseQueueArgs, ResumeQueueArgs};
use super::render::table;
use super::target::{LookArgs, name};

/// Show queues: jobs by state, age of the oldest ready job, workers, and what is paused
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct QueuesArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON object per line, one for each queue
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Shards(ShardsArgs),
    Pause(PauseQueueArgs),
    Resume(ResumeQueueArgs),
}

/// Change a queue's number of shards while jobs run
///
/// Running workers read new shards within seconds. With fewer shards, the higher ones get no new jobs and are read
/// until they are empty.
#[derive(Debug, Args)]
struct ShardsArgs {
    /// Queue
    #[arg(value_parser = name)]
    queue: QueueName,
    /// Number of shards, 1 to 64
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    shards: u32,
    #[command(flatten)]
    redis: RedisArgs,
    /// Print one JSON object: `queue`, `shards`, and `read`, the number of shards that workers read
    #[arg(long)]
    json: bool,
}

impl ShardsArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        // The one Redis command that it sends has a span.
        let spans = Spans { commands: true, ..Spans::default() };
        let redis = Redis::connect_with(self.redis.url(), telemetry, spans).await?;
        let shards = redis.reshard(&self.queue, self.shards).await;
        redis.close().await;
        let ShardCounts { now, read } = shards?;
        if self.json {
            print_line!("{}", json!({"queue": self.queue.to_string(), "shards": now, "read": read}));
            return Ok(ExitCode::SUCCESS);
        }
        let plural = if now == 1 { "" } else { "s" };
        let more = match read - now {
            0 => String::new(),
            1 => ", 1 more is read until it is empty".to_owned(),
            more => format!(", {more} more are read until they are empty"),
        };
        print_line!("{}: {now} shard{plural}{more}", self.queue);
        Ok(ExitCode::SUCCESS)
    }
}

impl QueuesArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Some(Command::Shards(args)) => return args.run(telemetry).await,
            Some(Command::Pause(args)) => return args.run(telemetry).await,
            Some(Command::Resume(args)) => return args.run(telemetry).await,
            None => {}
        }
        let view = self.look.open(telemetry).await?;
        let mut pauses = view.pauses().await;
        if self.look.names_queues() {
            pauses.queues.retain(|name, _| view.queues.iter().any(|queue| queue.queue.as_str() == name));
        }
        let surveys = view.each(async |queue| view.inspector.survey(queue, 0).await).await?;
        for (queue, _) in surveys.iter().filter(|(_, survey)| !survey.faults.is_empty()) {
            view.name_wrong_keys(queue, "is shown in part").await?;
        }
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            surveys
                .iter()
                .for_each(|(queue, survey)| print_line!("{}", json!(QueueView::new(queue, survey, &pauses))));
        } else {
            print(&surveys);
            let lines: Vec<_> =
                pause::lines(pauses.queues.iter(), now).into_iter().chain(stopped(&surveys)).collect();
            if !lines.is_empty() {
                print_line!("\n{}", lines.join("\n"));
            }
        }
        Ok(view.code())
    }
}

fn print(surveys: &[(&ShardName, Survey)]) {
    let header = ["QUEUE", "READY", "RUNNING", "SCHEDULED", "HELD", "DEAD", "REJECTED", "OLDEST", "WORKERS"];
    print_line!("{}", table(header, surveys.iter().map(|(queue, survey)| row(queue, survey))));
    let workers: Vec<_> = surveys
        .iter()
        .flat_map(|(queue, survey)| survey.consumers.iter().map(|worker| worker_row(queue, worker)))
        .collect();
    if !workers.is_empty() {
        print_line!(
            "\n{}",
            table(["QUEUE", "WORKER", "IN FLIGHT", "LAST SEEN", "STATE", "VERSION"], workers)
        );
    }
}

/// One line for each queue with stopped order keys.
fn stopped(surveys: &[(&ShardName, Survey)]) -> impl Iterator<Item = String> {
    let stopped = surveys.iter().filter(|(_, survey)| survey.lines.stopped > 0);
    stopped.map(|(queue, survey)| {
        let letters = survey.lines.stopped;
        format!("{queue}: dead letters that stop order keys: {letters}; see `postrider order list`")
    })
}

fn row(queue: &ShardName, survey: &Survey) -> [String; 9] {
    let oldest = match survey.oldest_ms {
        Some(age) => brief(Duration::from_millis(age)),
        None if survey.ready > 0 => "?".to_owned(),
        None => "-".to_owned(),
    };
    [
        queue.to_string(),
        survey.ready.to_string(),
        survey.in_flight.to_string(),
        survey.scheduled.to_string(),
        survey.all_held().to_string(),
        survey.dead.to_string(),
        survey.rejected.to_string(),
        oldest,
        alive(survey).to_string(),
    ]
}

fn worker_row(queue: &ShardName, worker: &SurveyedConsumer) -> [String; 6] {
    let seen = worker.seen_ms.map_or("never".to_owned(), |ago| brief(Duration::from_millis(ago)) + " ago");
    [
        queue.to_string(),
        plain(worker.name.as_bytes(), 100),
        worker.pending.to_string(),
        seen,
        life(worker),
        plain(worker.version.as_deref().unwrap_or("?").as_bytes(), 20),
    ]
}

/// `alive`, `silent 50s` or `gone`.
fn life(worker: &SurveyedConsumer) -> String {
    match worker.life() {
        Life::Alive => "alive".to_owned(),
        Life::Silent => format!("silent {}", brief(Duration::from_millis(worker.seen_ms.unwrap_or(0)))),
        Life::Gone => "gone".to_owned(),
    }
}

fn alive(survey: &Survey) -> usize {
    survey.consumers.iter().filter(|worker| worker.alive()).count()
}
