//! `postrider dead replay`

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use postrider_console::view::DeadFilter;
use postrider_queue::admin::{DeadLetter, Replayed};
use postrider_worker::shutdown;
use serde_json::{Value, json};
use telemetry::Telemetry;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::audit;
use super::super::render::count;
use super::super::target::{LookArgs, View};
use super::select::{FilterArgs, confirm, missing, select};
use crate::units::{duration, rate};

/// Turn dead letters into new jobs
///
/// The new job has a new job id and all its attempts. It keeps the history, and `_replay_of` names the old job id. It
/// is sent at once, whatever its delay and expiry were.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    look: LookArgs,
    /// All dead letters
    #[arg(long)]
    all: bool,
    /// At most this rate, as in 50/s or 100/m [default: no limit]
    #[arg(long, value_parser = rate, value_name = "N/s")]
    rate: Option<f64>,
    /// Do not send the new jobs after this time
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    expires_in: Option<Duration>,
    /// Print the number and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short = 'y')]
    yes: bool,
    /// Print one JSON document: the lists `replayed` (with `job_id` and `replay_of`) and `failed`
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Report {
    replayed: Vec<Value>,
    failed: Vec<Value>,
    /// How many of each queue were replayed.
    changed: BTreeMap<String, u64>,
}

impl ReplayArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        self.filter.require(self.all)?;
        let view = self.look.open(telemetry).await?;
        let mut report = Report::default();
        let filter = self.filter.at(view.inspector.now().await?);
        let letters = self.letters(&view, &filter, &mut report).await?;
        let what = count(letters.len(), "dead letter", "dead letters");
        if self.dry_run {
            self.print_result(&format!("{what} of {} would be replayed", view.names()));
            return Ok(report.end(self.json));
        }
        let ask = self.filter.ids().is_empty() && !letters.is_empty();
        if ask && !confirm(&format!("Replay {what} of {}?", view.names()), self.yes)? {
            eprintln!("nothing was replayed");
            return Ok(ExitCode::from(1));
        }
        let signals = shutdown::listen(None)?;
        let stopped: Result<(), Box<dyn Error>> = tokio::select! {
            stopped = self.replay(&view, &letters, &mut report) => stopped.map_err(Into::into),
            () = signals.stop.cancelled() => Err("interrupted".into()),
        };
        for (queue, jobs) in &report.changed {
            audit::record(&view.inspector, "replay", queue, &filter.to_string(), *jobs).await;
        }
        view.inspector.close().await;
        let done = count(report.replayed.len(), "dead letter was", "dead letters were");
        self.print_result(&format!("{done} replayed"));
        let code = report.end(self.json);
        match stopped {
            Ok(()) => Ok(code),
            Err(error) => Err(format!("stopped, and the rest is unchanged: {error}").into()),
        }
    }

    async fn letters(
        &self,
        view: &View,
        filter: &DeadFilter,
        report: &mut Report,
    ) -> Result<Vec<DeadLetter>, Box<dyn Error>> {
        let letters = select(view, filter).await?;
        for id in missing(self.filter.ids(), &letters) {
            super::not_found(view, "entry id or job id (for a label, give --label)", id);
            report.failed.push(json!({"id": id, "outcome": "not_found"}));
        }
        Ok(letters)
    }

    async fn replay(
        &self,
        view: &View,
        letters: &[DeadLetter],
        report: &mut Report,
    ) -> Result<(), postrider_queue::Error> {
        // The bar is drawn on standard error, and only if that is a terminal.
        let bar = ProgressBar::new(letters.len() as u64);
        let mut pace = self.rate.map(pace);
        for letter in letters {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let (entry, queue) = (letter.entry.to_string(), letter.queue.to_string());
            match view.inspector.replay(letter, self.expires_in).await? {
                Replayed::As(job) => {
                    let (job_id, replay_of) = (job.to_string(), &letter.job_id);
                    if !self.filter.ids().is_empty() && !self.json {
                        print_line!("{replay_of}  replayed as {job_id}");
                    }
                    *report.changed.entry(letter.queue.queue.to_string()).or_default() += 1;
                    report.replayed.push(json!({"queue": queue, "job_id": job_id, "replay_of": replay_of}));
                }
                Replayed::Gone => {
                    report.failed.push(json!({"queue": queue, "entry": entry, "outcome": "gone"}));
                    bar.suspend(|| eprintln!("note: {entry} is gone: replayed or purged in the meantime"));
                }
                Replayed::NoJob => {
                    report.failed.push(json!({"queue": queue, "entry": entry, "outcome": "no_job"}));
                    let hint = "it has no `url`, or too many fields, so it cannot become a job; it is kept";
                    bar.suspend(|| eprintln!("error: {entry}: {hint}"));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn print_result(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { print_line!("{text}") }
    }
}

impl Report {
    fn end(&self, json: bool) -> ExitCode {
        if json {
            print_line!("{}", json!({"replayed": self.replayed, "failed": self.failed}));
        }
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
    }
}

fn pace(per_second: f64) -> Interval {
    let mut pace = interval(Duration::from_secs_f64(1.0 / per_second));
    // A pause must not be followed by a burst.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
