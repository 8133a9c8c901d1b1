//! Instructions for each job, by valgrind's callgrind: the same in each run, whatever else the machine does.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child::OwnedChild;
use crate::drain::{self, Drain, STREAM};
use crate::proxy::{Mode, Proxy};
use crate::quick_sink::QuickSink;
use crate::redis::RedisServer;

/// Jobs of the two runs whose difference counts. The first is long enough for all that is done once: connections,
/// the slow start of a destination, tables that grow.
const JOBS: [usize; 2] = [300, 1_800];
const PATIENCE: Duration = Duration::from_secs(300);
/// After how long Redis and the destination answer: longer than what the program does in between takes it under
/// valgrind, and not the same, so that the two answers do not come together.
const ANSWERS_AFTER: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(5)];

/// callgrind counts an instruction that repeats itself once for each repetition, so that a copy of a kilobyte by
/// `rep movsb`, which a processor does in some cycles, would be a thousand. Without it glibc copies in a loop.
const NO_REPETITIONS: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM");

/// What programs are measured with: a Redis and a destination that answer only when the program has nothing else to do.
/// Whether an answer is there at the first look differs from run to run where they answer at once, by some percent of
/// all instructions.
pub struct Bench<'a> {
    valgrind: &'a Path,
    redis: &'a RedisServer,
    proxy: Proxy,
    sink: QuickSink,
}

impl Bench<'_> {
    /// A bench with that Redis.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn new<'a>(valgrind: &'a Path, redis: &'a RedisServer) -> Bench<'a> {
        let [of_redis, of_sink] = ANSWERS_AFTER;
        let proxy = Proxy::start(redis.port);
        proxy.set(Mode::Slow(of_redis));
        Bench { valgrind, redis, proxy, sink: QuickSink::start(of_sink) }
    }

    /// Instructions that a worker needs for one job, one being in flight, on all threads, in user mode.
    ///
    /// # Panics
    ///
    /// When it does not drain its queue, or not in one go.
    pub fn worker(&self, program: &Path, environment: &[(&str, &str)]) -> f64 {
        let environment = [environment, &[NO_REPETITIONS]].concat();
        self.difference(|jobs, file| {
            let line = self.command_line(program, file);
            let (environment, proxy) = (&environment, Some(&self.proxy));
            let drain = Drain { program: &line, environment, in_flight: 1, proxy };
            drain.run(self.redis, &self.sink, jobs);
        })
    }

    /// The same of the bare loop.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn bare_loop(&self, program: &Path) -> f64 {
        self.difference(|jobs, file| {
            drain::preload(&mut self.redis.connect(), STREAM, self.sink.url(), jobs);
            let line = self.command_line(program, file);
            let mut command = Command::new(&line[0]);
            command.args(&line[1..]).args([&self.proxy.redis_url(), "1", &jobs.to_string()]);
            command.envs([NO_REPETITIONS]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let status = OwnedChild::spawn(&mut command).wait(PATIENCE).expect("the bare loop ends");
            assert!(status.success(), "the bare loop ended with {status}");
        })
    }

    /// What one more job costs, from a run with few jobs and one with many.
    fn difference(&self, run: impl Fn(usize, &Path)) -> f64 {
        let [few, many] = JOBS.map(|jobs| {
            let file = tempfile::NamedTempFile::new().expect("the folder for temporary files can be written");
            run(jobs, file.path());
            total(file.path())
        });
        (many - few) / (JOBS[1] - JOBS[0]) as f64
    }

    fn command_line(&self, program: &Path, output: &Path) -> Vec<OsString> {
        let mut file = OsString::from("--callgrind-out-file=");
        file.push(output);
        // Else a thread that waits for another may spin for as long as it likes.
        let options = ["--tool=callgrind", "--fair-sched=yes", "--quiet"].map(OsString::from);
        let mut line = vec![self.valgrind.as_os_str().to_owned()];
        line.extend(options);
        line.extend([file, program.as_os_str().to_owned()]);
        line
    }
}

/// The total at the end of the file that callgrind writes.
fn total(path: &Path) -> f64 {
    let text = std::fs::read_to_string(path).expect("callgrind writes its file");
    totals(&text)
        .unwrap_or_else(|| panic!("{} has no total; it ends with {:?}", path.display(), text.lines().last()))
}

fn totals(text: &str) -> Option<f64> {
    text.lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:"))?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_stands_near_the_end() {
        assert_eq!(totals("events: Ir\nfn=(1) main\n16 400\n\ntotals: 401\n"), Some(401.0));
    }
}
