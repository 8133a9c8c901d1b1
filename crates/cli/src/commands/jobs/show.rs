//! `postrider jobs show`

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_queue::admin::FoundJob;
use serde_json::{Value, json};
use telemetry::Telemetry;

use super::super::render::{fields_json, fields_table, history_table};
use super::super::results;
use super::super::target::LookArgs;
use super::{find, said_where, state_text, summary_json};

/// Show a job with all its fields, or its result while it is kept; possible secrets are masked
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The job id, entry id or label
    id: String,
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON document: the list `jobs`, `cut` if the search was incomplete, and the list `results`
    #[arg(long)]
    json: bool,
    /// Show secrets, too
    #[arg(long)]
    reveal: bool,
}

impl ShowArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let (jobs, cut) = find(&view, &self.id).await?;
        let mut whole = Vec::new();
        for job in jobs {
            // A job that has moved since is shown as it was found.
            whole.push(view.inspector.whole(&job).await?.unwrap_or(job));
        }
        let mut results = Vec::new();
        for queue in &view.queues {
            let result = view.inspector.result(queue, &self.id).await?;
            results.extend(result.map(|result| (queue, result)));
        }
        let found_results = results.len();
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            let jobs: Vec<_> = whole.iter().map(|job| whole_json(job, self.reveal)).collect();
            let results: Vec<_> = results.iter().map(|(_, result)| result).collect();
            say!("{}", json!({"jobs": jobs, "cut": cut, "results": results}));
        } else {
            for (queue, result) in &results {
                say!("queue {queue}, job id {}: {}", self.id, results::line(result));
                results::answer(result).iter().for_each(|answer| say!("{answer}"));
            }
            for job in &whole {
                say!("queue {}, job id {}: {}", job.queue, job.id, state_text(job, now));
                say!("{}", fields_table(&job.fields, self.reveal));
                history_table(&job.fields).iter().for_each(|history| say!("\n{history}"));
            }
        }
        Ok(said_where(&view, &self.id, whole.len() + found_results, cut))
    }
}

fn whole_json(job: &FoundJob, reveal: bool) -> Value {
    let mut whole = summary_json(job);
    whole["fields"] = fields_json(&job.fields, reveal);
    whole
}
