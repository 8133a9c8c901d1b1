//! Instructions per job, counted by valgrind's callgrind. The count does not depend on other load of the
//! machine.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::child::OwnedChild;
use crate::drain::{self, Drain, STREAM};
use crate::late::Late;
use crate::redis::RedisServer;

/// Jobs of the two runs. The result is their difference. The first run is long enough for all one-time work:
/// connections, the slow start of a destination, growing tables.
const JOBS: [usize; 2] = [300, 1_800];
/// A held job takes five times as long.
const HELD_JOBS: [usize; 2] = [100, 400];
const PATIENCE: Duration = Duration::from_secs(300);
/// callgrind counts a repeated instruction once per repetition. A copy of a kilobyte by `rep movsb`, a few
/// cycles on a processor, would count as a thousand instructions. Without it glibc copies in a loop.
const NO_REPETITIONS: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS,-FSRM");

/// The set-up for measuring programs.
pub struct Bench<'a> {
    /// The path of `valgrind`.
    pub valgrind: &'a Path,
    /// The server they fetch jobs from.
    pub redis: &'a RedisServer,
    /// The proxy and the destination they connect to.
    pub late: &'a Late,
}

impl Bench<'_> {
    /// Instructions of a worker per job, with one job in flight, on all threads, in user mode. Each job may be held once.
    ///
    /// # Panics
    ///
    /// As [`Drain::run`].
    pub fn worker(&self, program: &Path, environment: &[(&str, &str)], is_held: bool) -> f64 {
        let environment = [environment, &[NO_REPETITIONS]].concat();
        self.difference(if is_held { HELD_JOBS } else { JOBS }, |jobs, file| {
            let line = self.command_line(program, file);
            let (program, late) = (&line, self.late);
            let drain = Drain { program, environment: &environment, in_flight: 1, late, is_held };
            drain.run(self.redis, jobs);
        })
    }

    /// Instructions of the bare loop per job.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn bare_loop(&self, program: &Path) -> f64 {
        self.difference(JOBS, |jobs, file| {
            drain::preload(&mut self.redis.connect(), STREAM, &[self.late.url()], jobs);
            let line = self.command_line(program, file);
            let mut command = Command::new(&line[0]);
            command.args(&line[1..]).args([&self.late.proxy.redis_url(), "1", &jobs.to_string()]);
            command.envs([NO_REPETITIONS]);
            if let Some(certificate) = self.late.certificate() {
                command.arg("https").env("SSL_CERT_FILE", certificate);
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let status = OwnedChild::spawn(&mut command).wait(PATIENCE).expect("the bare loop ends");
            assert!(status.success(), "the bare loop ended with {status}");
        })
    }

    /// The cost of one more job: the difference of a run with few jobs and one with many, per job.
    fn difference(&self, jobs: [usize; 2], run: impl Fn(usize, &Path)) -> f64 {
        let [few, many] = jobs.map(|jobs| {
            let file = tempfile::NamedTempFile::new().expect("the folder for temporary files can be written");
            run(jobs, file.path());
            total(file.path())
        });
        (many - few) / (jobs[1] - jobs[0]) as f64
    }

    fn command_line(&self, program: &Path, output: &Path) -> Vec<OsString> {
        let mut file = OsString::from("--callgrind-out-file=");
        file.push(output);
        // Without `--fair-sched=yes` a thread that waits for another may spin for any time.
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
    fn the_total_is_found_near_the_end() {
        assert_eq!(totals("events: Ir\nfn=(1) main\n16 400\n\ntotals: 401\n"), Some(401.0));
    }
}
