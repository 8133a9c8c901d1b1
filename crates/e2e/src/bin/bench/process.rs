//! The processor time and the memory of another process, from `/proc`.

use std::fs;
use std::time::Duration;

use e2e::drain::command;
use e2e::resp::Connection;

/// `USER_HZ`: the kernel counts in hundredths of a second for programs, whatever it uses itself.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// In user mode and in the kernel, all threads, those that ended included.
    pub(crate) time: Duration,
    /// It has ended, and its owner has not taken note of it yet.
    pub(crate) ended: bool,
}

/// What the process has used until now.
///
/// # Panics
///
/// When there is no such process.
pub(crate) fn usage(process: u32) -> Usage {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    parse(&text).unwrap_or_else(|| panic!("{path} is not as proc(5) says: {text}"))
}

/// The most memory that it has had resident, in MiB; none when it has ended.
pub(crate) fn peak_memory(process: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kibibytes: f64 =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// The process of a Redis server.
///
/// # Panics
///
/// When it does not say.
pub(crate) fn of_server(connection: &mut Connection) -> u32 {
    let info = command(connection, &["INFO", "server"]).text();
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
    process.expect("INFO server of Redis has a process_id")
}

/// The name of the program, the second field, stands in brackets and may contain anything.
fn parse(stat: &str) -> Option<Usage> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u32>().ok();
    // Fields 14 and 15 of proc(5); the first here is the third there.
    let (user, system) = (ticks(11)?, ticks(12)?);
    Some(Usage { time: TICK * (user + system), ended: ["Z", "X"].contains(fields.first()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20";
        assert_eq!(parse(stat), Some(Usage { time: Duration::from_millis(1750), ended: false }));
    }

    #[test]
    fn a_process_that_ended_keeps_its_time() {
        assert!(parse("42 (a) Z 1 2 3 4 5 6 7 8 9 10 1 1 0").unwrap().ended);
    }
}
