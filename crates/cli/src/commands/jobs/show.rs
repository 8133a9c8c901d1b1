//! `postrider jobs show`

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_console::view::{JobView, why_waiting};
use postrider_queue::admin::{FoundJob, Inspector};
use serde_json::json;
use telemetry::Telemetry;

use super::super::attempts::{attempts_table, of_fields};
use super::super::render::fields_table;
use super::super::results;
use super::super::target::LookArgs;
use super::super::terminal::{self, wrapped};
use super::super::trace_url::TraceUrl;
use super::{find, report_not_found, state_text};

/// Show a job with all its fields, or its result while it is kept; possible secrets are masked
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The job id, entry id or label
    id: String,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    trace_url: TraceUrl,
    /// Print one JSON document: the lists `jobs` and `results`, and whether the search is `incomplete`
    #[arg(long)]
    json: bool,
    /// Show secrets, too
    #[arg(long)]
    reveal: bool,
}

impl ShowArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let links = self.trace_url.links();
        let view = self.look.open(telemetry).await?;
        let (jobs, is_incomplete) = find(&view, &self.id).await?;
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
        let whys = whys(&view.inspector, &whole, now).await?;
        view.inspector.close().await;
        if self.json {
            let jobs =
                whole.iter().zip(&whys).map(|(job, why)| JobView::whole(job, why.clone(), self.reveal));
            let jobs: Vec<_> = jobs.collect();
            let results: Vec<_> = results.iter().map(|(_, result)| result).collect();
            let document = json!({"jobs": jobs, "incomplete": is_incomplete, "results": results});
            print_line!("{}", links.added_to(document));
        } else {
            for (queue, result) in &results {
                print_line!("queue {queue}, job id {}: {}", self.id, results::line(result));
                results::answer(result).iter().for_each(|answer| print_line!("{answer}"));
                links.print(&result.history, result.trace_id.as_deref());
            }
            for (job, why) in whole.iter().zip(&whys) {
                let why = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
                let text = format!("queue {}, job id {}: {}{why}", job.queue, job.id, state_text(job, now));
                print_line!("{}", wrapped(&text, "", terminal::width()));
                print_line!("{}", fields_table(&job.fields, self.reveal));
                let attempts = of_fields(&job.fields);
                attempts_table(&attempts).iter().for_each(|history| print_line!("\n{history}"));
                links.print_of(&job.fields, &attempts);
            }
        }
        Ok(report_not_found(&view, &self.id, whole.len() + found_results, is_incomplete))
    }
}

/// Why each job is held; `None` for the others.
async fn whys(
    inspector: &Inspector,
    jobs: &[FoundJob],
    now: u64,
) -> Result<Vec<Option<String>>, postrider_queue::Error> {
    let mut whys = Vec::new();
    for job in jobs {
        whys.push(why_waiting(inspector, job, now).await?);
    }
    Ok(whys)
}
