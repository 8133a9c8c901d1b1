//! `postrider queues pause`, `queues resume`, `flows pause`, `flows resume`.

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_console::view::{
    PauseView, end_text, pause_end, pause_subject, pause_text, pause_words, plain,
};
use postrider_queue::admin::{
    Inspector, Pausable, Pause, PauseEnd, PauseError, PauseNote, SetPauses, ToPause,
};
use postrider_queue::job::{FlowId, flows_meant};
use postrider_queue::work::Spans;
use postrider_queue::{ConnectError, QueueName, Redis};
use serde_json::{Value, json};
use telemetry::Telemetry;

use super::audit;
use super::target::{self, name};
use super::{RedisArgs, Usage};

/// Pause a queue: within 2 s, no worker fetches a job of it
///
/// Jobs keep arriving and keep their order, and running attempts end normally. The pause lasts until `queues resume`, or
/// until the given time; a repeated command changes that time. It outlives restarts of workers.
#[derive(Debug, Args)]
pub(super) struct PauseQueueArgs {
    /// Queue
    #[arg(value_parser = name)]
    queue: QueueName,
    #[command(flatten)]
    pause: PauseArgs,
    #[command(flatten)]
    redis: RedisArgs,
    /// Print one JSON object: `queue`, its pause in `paused`, and whether it `was_paused`
    #[arg(long)]
    json: bool,
}

/// Resume a paused queue
#[derive(Debug, Args)]
pub(super) struct ResumeQueueArgs {
    /// Queue
    #[arg(value_parser = name)]
    queue: QueueName,
    #[command(flatten)]
    redis: RedisArgs,
    /// Print one JSON object: `queue`, `paused`, and whether it `was_paused`
    #[arg(long)]
    json: bool,
}

/// Pause a flow: its jobs are held, in all queues, and spend no attempt
///
/// A host means its destinations on the ports 443 and 80; write HOST:PORT for another one. Jobs that name a flow are in
/// that flow only, wherever they go.
#[derive(Debug, Args)]
pub(super) struct PauseFlowArgs {
    /// The key of the field `flow`, HOST:PORT, HOST, a URL, or the flow's id
    #[arg(value_name = "FLOW|HOST", value_parser = pause_words)]
    flow: String,
    #[command(flatten)]
    pause: PauseArgs,
    #[command(flatten)]
    redis: RedisArgs,
    /// Print one JSON object per line, one for each flow
    #[arg(long)]
    json: bool,
}

/// Resume a paused flow: its held jobs are let go in the order of their age
#[derive(Debug, Args)]
pub(super) struct ResumeFlowArgs {
    /// As it was paused
    #[arg(value_name = "FLOW|HOST", value_parser = pause_words)]
    flow: String,
    #[command(flatten)]
    redis: RedisArgs,
    /// Print one JSON object per line, one for each flow
    #[arg(long)]
    json: bool,
}

/// How long to pause, and why.
#[derive(Debug, Args)]
struct PauseArgs {
    /// Resume by itself: after a duration, as 30m, or at a time, as 2026-12-24T18:00:00Z [default: when it is resumed]
    #[arg(long, value_name = "TIME", value_parser = pause_end)]
    until: Option<PauseEnd>,
    /// Reason, shown where the pause is shown
    #[arg(long, value_name = "TEXT", value_parser = pause_words)]
    why: Option<String>,
}

impl PauseArgs {
    fn note(&self) -> PauseNote {
        PauseNote { by: Some(audit::caller()), why: self.why.clone() }
    }

    async fn set(&self, redis: &Redis, all: &[ToPause]) -> Result<SetPauses, Box<dyn Error>> {
        let set = redis.pause(all, self.until.unwrap_or(PauseEnd::Never), &self.note()).await;
        set.map_err(|error| match error {
            PauseError::Redis(error) => error.into(),
            PauseError::Over(_) => Usage(format!("--until: {error}")).into(),
            PauseError::TooMany => error.into(),
        })
    }

    /// The pause as it was set. Only Redis knows since when a pause lasts that was there before.
    fn pause(&self, set: &SetPauses) -> Pause {
        let PauseNote { by, why } = self.note();
        Pause { until: set.until, since: None, by, why, name: None }
    }

    fn subject(&self, flow: Option<&str>, until: Option<u64>) -> String {
        pause_subject(flow, until, self.why.as_deref())
    }
}

/// The connection for the change, whose one command has a span, and the one to look at queues and to record it.
async fn connect(redis: &RedisArgs, telemetry: &Telemetry) -> Result<(Redis, Inspector), ConnectError> {
    let spans = Spans { commands: true, ..Spans::default() };
    let inspector = Inspector::connect(redis.url(), telemetry).await?;
    Ok((Redis::connect_with(redis.url(), telemetry, spans).await?, inspector))
}

async fn close((redis, inspector): (Redis, Inspector)) {
    redis.close().await;
    inspector.close().await;
}

impl PauseQueueArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let (redis, inspector) = connect(&self.redis, telemetry).await?;
        let to_pause = ToPause { what: Pausable::Queue(self.queue.clone()), name: None };
        let set = self.pause.set(&redis, &[to_pause]).await?;
        let queue = self.queue.as_str();
        audit::record_pause(&inspector, "pause", Some(queue), &self.pause.subject(None, set.until)).await;
        if !inspector.has_keys(&self.queue).await? {
            let hint = target::meant_queue(&inspector, &self.queue).await;
            eprintln!(
                "note: no job has been enqueued in {queue} in this Redis: it is paused before its first job{hint}"
            );
        }
        close((redis, inspector)).await;
        let was_paused = set.were.first() == Some(&true);
        if self.json {
            let paused = PauseView::new(&self.pause.pause(&set));
            print_line!("{}", json!({"queue": queue, "paused": paused, "was_paused": was_paused}));
        } else {
            print_line!("{queue}: {}", outcome(was_paused, &set));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ResumeQueueArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let (redis, inspector) = connect(&self.redis, telemetry).await?;
        let queue = self.queue.as_str();
        let was_paused = redis.resume(&[Pausable::Queue(self.queue.clone())]).await?.first() == Some(&true);
        if was_paused {
            audit::record_pause(&inspector, "resume", Some(queue), "").await;
        } else if !inspector.exists(&self.queue).await? {
            let hint = target::meant_queue(&inspector, &self.queue).await;
            eprintln!("note: there is no queue {queue} in this Redis: no job has been enqueued there{hint}");
        }
        close((redis, inspector)).await;
        if self.json {
            print_line!("{}", json!({"queue": queue, "paused": null, "was_paused": was_paused}));
        } else {
            print_line!("{queue}: {}", resumed(was_paused));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl PauseFlowArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let (redis, inspector) = connect(&self.redis, telemetry).await?;
        let meant = flows_meant(&self.flow);
        let all: Vec<ToPause> = meant
            .iter()
            .map(|(id, name)| ToPause { what: Pausable::Flow(*id), name: name.clone() })
            .collect();
        let set = self.pause.set(&redis, &all).await?;
        let subject = self.pause.subject(Some(&self.flow), set.until);
        audit::record_pause(&inspector, "pause", None, &subject).await;
        close((redis, inspector)).await;
        let view = PauseView::new(&self.pause.pause(&set));
        for (flow, was_paused) in meant.iter().zip(&set.were) {
            if self.json {
                print_line!("{}", flow_row(flow, json!(view), *was_paused));
            } else {
                print_line!("{}: {}", flow_name(flow), outcome(*was_paused, &set));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ResumeFlowArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let (redis, inspector) = connect(&self.redis, telemetry).await?;
        let meant = flows_meant(&self.flow);
        let all: Vec<Pausable> = meant.iter().map(|(id, _)| Pausable::Flow(*id)).collect();
        let were = redis.resume(&all).await?;
        if were.contains(&true) {
            audit::record_pause(&inspector, "resume", None, &self.flow).await;
        }
        close((redis, inspector)).await;
        for (flow, was_paused) in meant.iter().zip(were) {
            if self.json {
                print_line!("{}", flow_row(flow, Value::Null, was_paused));
            } else {
                print_line!("{}: {}", flow_name(flow), resumed(was_paused));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn outcome(was_paused: bool, set: &SetPauses) -> String {
    let again = if was_paused { "was paused already, and is now" } else { "paused" };
    format!("{again} {}", end_text(set.until, set.now)).replace("now until", "now paused until")
}

fn resumed(was_paused: bool) -> &'static str {
    if was_paused { "resumed" } else { "was not paused" }
}

fn flow_name((id, name): &(FlowId, Option<String>)) -> String {
    name.as_ref().map_or_else(|| format!("({id})"), |name| plain(name.as_bytes(), 256))
}

fn flow_row((id, name): &(FlowId, Option<String>), paused: Value, was_paused: bool) -> Value {
    json!({"flow": name, "id": id.to_string(), "paused": paused, "was_paused": was_paused})
}

/// One line for each pause of these queues: `mail: paused for 5m, until it is resumed`.
pub(super) fn lines<'a>(pauses: impl Iterator<Item = (&'a String, &'a Pause)>, now: u64) -> Vec<String> {
    pauses.map(|(queue, pause)| format!("{queue}: {}", pause_text(pause, now))).collect()
}
