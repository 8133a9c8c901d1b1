//! `postrider certify`

mod progress;

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postrider_certify::{Options, Progress, Report};
use postrider_worker::shutdown;
use telemetry::Telemetry;
use tokio::sync::watch;

use super::terminal::print;
use super::{RedisArgs, Usage};

/// Prove on this Redis that no job is lost: kill workers under load, and account for every job
///
/// Starts its own workers, destination and producer, and a proxy before each worker. For the given time it
/// enqueues numbered jobs of every kind, kills, stops and pauses workers at named points and at random, and breaks their
/// connections. Then it accounts for every job: delivered, a dead letter, or lost, and each duplicate by its fault.
///
/// It uses keys of queues and flows whose names begin with `certify-`, refuses a Redis where it could harm others, and
/// removes its keys at the end. It neither kills nor pauses Redis: do that yourself during a run, and it is accounted for.
/// Exit codes: 0 certified; 1 a promise was broken; 2 wrong usage; 4 there was no run, or it was stopped.
#[derive(Debug, Args)]
pub(super) struct CertifyArgs {
    #[command(flatten)]
    redis: RedisArgs,
    /// How long jobs are enqueued and faults happen; a fraction is allowed
    #[arg(long, default_value = "30", value_parser = minutes, value_name = "N")]
    minutes: Duration,
    /// Workers that run at a time, at least 2
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u16).range(2..=64), value_name = "N")]
    workers: u16,
    /// Repeat the plan of this seed [default: a new one, which the report has]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Jobs enqueued per second
    #[arg(long, default_value = "80", value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    rate: u32,
    /// Workers killed per second, on average. For 3, use 12 workers
    #[arg(long, default_value = "0.5", value_parser = per_second, value_name = "N")]
    kills_per_second: f64,
    /// Also do what others on this server may notice: flush its scripts, pause queues of the run, fail over, move slots
    #[arg(long)]
    may_disturb_server: bool,
    /// Program for workers in place of this one, with the same command line; repeatable, used in turn
    #[arg(long = "worker", value_name = "PROGRAM")]
    programs: Vec<PathBuf>,
    /// Only remove what a run has left that was killed
    #[arg(long, conflicts_with_all = ["json", "html"])]
    clean: bool,
    /// Write the report as JSON into this file, or to standard output (`-`) in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as a page into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Become another program that ends with the process of this id: how a run starts its workers.
    #[arg(long, hide = true, num_args = 2.., allow_hyphen_values = true)]
    execute: Vec<OsString>,
}

impl CertifyArgs {
    /// Whether it only becomes another program.
    pub(super) fn executes(&self) -> bool {
        !self.execute.is_empty()
    }

    /// Becomes another program.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn execute(&self) -> Result<ExitCode, Box<dyn Error>> {
        let error = postrider_certify::execute(&self.execute);
        Err(format!("cannot start a worker: {error}").into())
    }

    pub(super) async fn run(self, _telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let shutdown = shutdown::listen(None)?;
        if self.clean {
            let removed = Box::pin(postrider_certify::clean(self.redis.url())).await?;
            print_line!("removed {removed} keys");
            return Ok(ExitCode::SUCCESS);
        }
        let options = self.options()?;
        for path in self.files() {
            can_be_written(path)?;
        }
        let (progress, shown) = watch::channel(Progress::default());
        let bar = tokio::spawn(progress::show(shown, options.time));
        let report = Box::pin(postrider_certify::run(&options, shutdown.stop, progress)).await;
        // It ends with the sender of the progress.
        let _ = bar.await;
        self.write(&report?)
    }

    fn options(&self) -> Result<Options, Box<dyn Error>> {
        let starter =
            std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
        let programs = if self.programs.is_empty() { vec![starter.clone()] } else { self.programs.clone() };
        if let Some(program) = programs.iter().find(|program| !program.is_file()) {
            return Err(Usage(format!("there is no program {}; give its path", program.display())).into());
        }
        Ok(Options {
            redis_url: self.redis.url().to_owned(),
            // A seed that people can type.
            seed: self.seed.unwrap_or_else(|| u64::from(std::process::id()) * 1_000 + seconds() % 1_000),
            time: self.minutes,
            workers: self.workers.into(),
            rate: self.rate,
            kills_per_second: self.kills_per_second,
            may_disturb_server: self.may_disturb_server,
            programs,
            starter,
        })
    }

    /// The files for the report.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.html.iter().chain(self.json.iter().filter(|path| *path != Path::new("-")))
    }

    fn write(&self, report: &Report) -> Result<ExitCode, Box<dyn Error>> {
        if let Some(path) = &self.html {
            write(path, &report.html())?;
        }
        match &self.json {
            Some(path) if path == Path::new("-") => print(&serde_json::to_string(report)?),
            Some(path) => {
                write(path, &format!("{}\n", serde_json::to_string_pretty(report)?))?;
                report.to_string().lines().for_each(print);
            }
            None => report.to_string().lines().for_each(print),
        }
        Ok(ExitCode::from(u8::from(!report.certified)))
    }
}

/// Looks before a run of half an hour whether its report has a place.
fn can_be_written(path: &Path) -> Result<(), String> {
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

/// Minutes from a tenth of one to a week.
fn minutes(text: &str) -> Result<Duration, &'static str> {
    const WEEK: f64 = 7.0 * 24.0 * 60.0;
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.1..=WEEK).contains(minutes));
    minutes
        .map(|minutes| Duration::from_secs_f64(minutes * 60.0))
        .ok_or("write a number of minutes: 0.1 to 10080")
}

fn per_second(text: &str) -> Result<f64, &'static str> {
    let number = text.parse::<f64>().ok().filter(|number| (0.01..=20.0).contains(number));
    number.ok_or("write a number per second: 0.01 to 20")
}
