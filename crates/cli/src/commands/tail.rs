//! `postrider tail`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postrider_console::view::{TailFilter, TailView, brief, time};
use postrider_queue::admin::{Inspector, Tail};
use postrider_worker::shutdown;
use serde_json::json;
use telemetry::Telemetry;
use tokio::time::sleep;

use super::render::count;
use super::target::LookArgs;
use super::terminal;

/// The pause between two reads.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// Follow deliveries as they end, until SIGINT or SIGTERM
///
/// Prints a line for each job that has succeeded or is dead, from now on. Workers record jobs for this only while somebody
/// looks; the first may be seen after a second.
#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Only jobs for this host, on the port of HOST:PORT if given
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only jobs whose last attempt got this status: 200, 404, 5xx or 500-503
    #[arg(long, value_parser = TailFilter::statuses, value_name = "STATUS")]
    status: Option<(u16, u16)>,
    /// Print one JSON object per line, one for each job
    #[arg(long)]
    json: bool,
}

impl TailArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let signals = shutdown::listen(None)?;
        let inspector = self.look.connect(telemetry).await?;
        let named = self.look.names_queues();
        let only = if named { Some(self.look.queues(&inspector).await?) } else { None };
        let followed = tokio::select! {
            followed = self.follow(&inspector, Tail::new(only)) => followed,
            () = signals.stop.cancelled() => Ok(()),
        };
        inspector.close().await;
        followed?;
        Ok(ExitCode::SUCCESS)
    }

    /// Prints until nobody reads standard output.
    async fn follow(&self, inspector: &Inspector, mut tail: Tail) -> Result<(), postrider_queue::Error> {
        let host = self.host.as_ref().map(|host| host.to_ascii_lowercase());
        let filter = TailFilter { queue: None, host, status: self.status };
        loop {
            let ended = tail.read(inspector).await?;
            if ended.missed > 0 {
                let missed = count(usize::try_from(ended.missed).unwrap_or(usize::MAX), "job", "jobs");
                eprintln!("note: {missed} ended too fast to be followed");
            }
            for view in ended.jobs.iter().map(TailView::new).filter(|view| filter.matches(view)) {
                let text = if self.json { json!(view).to_string() } else { line(&view) };
                if terminal::try_print(&text).is_err() {
                    return Ok(());
                }
            }
            if !ended.has_more {
                sleep(READ_PAUSE).await;
            }
        }
    }
}

fn line(view: &TailView) -> String {
    let status = view.status.map_or("-".to_owned(), |status| status.to_string());
    let took = view.duration_ms.map_or("-".to_owned(), |ms| brief(Duration::from_millis(ms)));
    let reason = view.reason.as_ref().filter(|reason| *reason != view.outcome);
    let outcome = reason.map_or(view.outcome.to_owned(), |reason| format!("{} ({reason})", view.outcome));
    let host = view.host.as_deref().unwrap_or("-");
    let label = view.label.as_ref().map_or(String::new(), |label| format!("  {label}"));
    let ended = time(view.ended_at);
    let TailView { queue, job_id, .. } = view;
    format!("{ended}  {status:>3}  {took:>6}  {queue}  {host}  {job_id}  {outcome}{label}")
}
