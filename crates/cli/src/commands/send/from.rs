//! `postrider send --from`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use postrider_queue::Redis;
use postrider_worker::shutdown;
use serde_json::json;
use telemetry::Telemetry;

use super::super::Usage;
use super::super::render::count;
use super::SendArgs;
use super::batch::{Done, Sending};
use super::check::{check, style};
use super::lines::Lines;

#[derive(Debug, Args)]
pub(super) struct FromArgs {
    /// Enqueue a job for each line of this file, or of standard input (`-`). A line is a JSON object:
    /// {"url": "https://example.org/", "body": {"hello": 1}}
    #[arg(
        long = "from",
        value_name = "FILE",
        conflicts_with_all = [
            "target", "headers", "data", "label", "key", "retry", "order", "flow", "delay", "at", "timeout", "secret", "on_success", "on_failure", "max_attempts", "wait", "wait_timeout",
        ]
    )]
    pub(super) file: Option<PathBuf>,
    /// Skip this many lines first, to continue after an error
    #[arg(
        long,
        requires = "file",
        conflicts_with = "target",
        default_value_t = 0,
        hide_default_value = true,
        value_name = "N"
    )]
    skip: u64,
}

/// Enqueues the jobs of a file.
pub(super) async fn run(
    args: &SendArgs,
    file: &Path,
    telemetry: &Telemetry,
) -> Result<ExitCode, Box<dyn Error>> {
    let (skip, stop) = (args.from.skip, shutdown::listen(None)?.stop);
    let mut lines = Lines::open(file, skip, args.limits).await?;
    let bar = match lines.extent {
        Some(_) => {
            let jobs = check(&mut lines, &stop).await?;
            within(&lines, skip)?;
            lines.rewind().await?;
            ProgressBar::new(jobs)
        }
        // The writer of a pipe waits for its reader, so the whole input cannot be checked first.
        None => ProgressBar::no_length().with_style(style("{human_pos} jobs")),
    };
    let redis = Redis::connect(args.redis.url(), telemetry).await?;
    let (queue, done) = (&args.queue, Done { lines: skip, ..Done::default() });
    let mut sending = Sending { redis: &redis, queue, key_ttl: args.key_ttl, cap: args.cap, bar, done };
    let sent = sending.run(&mut lines, &stop).await;
    sending.bar.finish_and_clear();
    redis.close().await;
    if args.json {
        print_line!("{}", sending.done.json(queue.as_str()));
    }
    match sent {
        Ok(()) => within(&lines, skip)?,
        Err(error) => return Err(sending.done.stopped(error.as_ref())),
    }
    if !args.json {
        print_line!("{}", sending.done.text(queue.as_str()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses to skip more lines than the file has: that is a mistake.
fn within(lines: &Lines, skip: u64) -> Result<(), Usage> {
    if skip <= lines.number {
        return Ok(());
    }
    let there = count(lines.number as usize, "line", "lines");
    Err(Usage(format!("--skip {skip}: {} has {there}", lines.name)))
}

impl Done {
    fn json(&self, queue: &str) -> serde_json::Value {
        json!({"queue": queue, "enqueued": self.enqueued, "known": self.known, "lines": self.lines})
    }

    fn text(&self, queue: &str) -> String {
        let text = format!("{} enqueued in {queue}", count(self.enqueued as usize, "job", "jobs"));
        match self.known {
            0 => text,
            known => format!("{text}; {known} known by their keys, and not enqueued again"),
        }
    }

    /// An error in the middle, with the progress and the way to continue.
    fn stopped(&self, error: &(dyn Error + 'static)) -> Box<dyn Error> {
        let jobs = self.enqueued + self.known;
        let (done, lines) = (count(jobs as usize, "job is enqueued", "jobs are enqueued"), self.lines);
        let done = match (jobs, self.unsure) {
            (0, false) => "nothing was enqueued".to_owned(),
            (_, false) => format!("{done}; continue with --skip {lines}"),
            (_, true) => format!(
                "{done}, and perhaps those lines, too; continue with --skip {lines} (jobs of those lines without a \
                 `key` may then be enqueued twice)"
            ),
        };
        let text = format!("{error}\n{done}");
        if error.is::<Usage>() { Usage(text).into() } else { text.into() }
    }
}
