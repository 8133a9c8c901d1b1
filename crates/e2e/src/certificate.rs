//! Runs of `postrider certify` while the server fails, and their reports.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Build, Postrider};
use crate::redis::RedisServer;

/// How long a run may take for what is left at its end, besides the time of its plan.
const DRAIN: Duration = Duration::from_secs(400);

/// A run: how long and which plan.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed of the plan, and of the server's faults.
    pub seed: u64,
    /// For how long jobs are enqueued and faults happen.
    pub time: Duration,
    /// More arguments of the command.
    pub arguments: Vec<String>,
    /// Whether the server is killed and paused.
    pub server_fails: bool,
}

impl Run {
    /// `CERTIFY_SEED` and `CERTIFY_SECONDS`, or a seed from the clock and `seconds`.
    ///
    /// # Panics
    ///
    /// If one of them is not a number.
    pub fn from_env(seconds: u64) -> Run {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
        };
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
        Run {
            seed: number("CERTIFY_SEED").unwrap_or_else(clock),
            time: Duration::from_secs(number("CERTIFY_SECONDS").unwrap_or(seconds)),
            arguments: vec![],
            server_fails: false,
        }
    }

    /// The arguments of the command, with the report as JSON in this file.
    pub fn command(&self, json: &Path) -> Vec<String> {
        let minutes = self.time.as_secs_f64() / 60.0;
        let mut arguments = vec![
            format!("--seed={}", self.seed),
            format!("--minutes={minutes}"),
            format!("--json={}", json.display()),
        ];
        arguments.extend(self.arguments.iter().cloned());
        arguments
    }

    /// Executes it, and returns the exit code and the report.
    ///
    /// # Panics
    ///
    /// If it does not end, or has no report.
    pub fn execute(&self, build: Build, server: &mut RedisServer) -> (i32, Value) {
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written");
        let json: PathBuf = folder.path().join("report.json");
        let arguments = self.command(&json);
        println!("certify {}", arguments.join(" "));
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut certify = Postrider::certify(build, &server.url(), &words);
        if self.server_fails {
            self.fail(&mut certify, server);
        }
        let status = certify.wait_exit(self.time + DRAIN);
        let text = std::fs::read_to_string(&json)
            .unwrap_or_else(|error| panic!("no report ({error}):\n{}", certify.log().join("\n")));
        (status.code().unwrap_or(-1), serde_json::from_str(&text).expect("the report is JSON"))
    }

    /// Kills and restarts the server, and pauses it, each a few seconds after the one before.
    fn fail(&self, certify: &mut Postrider, server: &mut RedisServer) {
        let end = Instant::now() + self.time;
        let mut dice = self.seed | 1;
        let mut millis = |from: u64, to: u64| {
            // Xorshift: a few lines, and the same numbers in every version.
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            Duration::from_millis(from + dice % (to - from))
        };
        while certify.exited().is_none() {
            let pause = millis(2500, 6000);
            if Instant::now() + pause >= end {
                return;
            }
            std::thread::sleep(pause);
            if millis(0, 4) < Duration::from_millis(3) {
                server.restart();
            } else {
                server.signal(Signal::SIGSTOP);
                std::thread::sleep(millis(200, 2500));
                server.signal(Signal::SIGCONT);
            }
        }
    }
}

/// Where the script that settles successful jobs has room: its description, up to a line that must stay.
const ROOM: [&[u8]; 2] = [b"-- Removes succeeded jobs. ", b"-- A repeated call returns g"];

/// A program in which one of this number of calls that settle successful jobs does nothing and reports success. The script is
/// in the program as a text, whose description makes room for the fault.
///
/// # Panics
///
/// If the program has no such text.
pub fn program_that_skips_settlements(folder: &Path, one_in: u32) -> PathBuf {
    let mut program = std::fs::read(Build::Lean.program()).expect("the program is there");
    let find = |program: &[u8], part: &[u8]| program.windows(part.len()).position(|window| window == part);
    let from = find(&program, ROOM[0]).expect("the program has the script");
    let to = from + find(&program[from..], ROOM[1]).expect("the script has this line");
    let mut fault = format!(
        "if redis.call('TIME')[2] % {one_in} == 0 then return string.rep('o', #ARGV - (KEYS[3] and 10 or 6) + 1) end\n--"
    )
    .into_bytes();
    assert!(fault.len() < to - from, "the fault fits into the description");
    fault.resize(to - from - 1, b' ');
    fault.push(b'\n');
    program[from..to].copy_from_slice(&fault);
    let path = folder.join("postrider-with-a-fault");
    std::fs::write(&path, program).expect("the folder can be written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).expect("an own file can be made executable");
    path
}
