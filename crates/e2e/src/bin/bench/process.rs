//! The processor time and the memory of another process.

use std::fs;
use std::time::Duration;

use e2e::drain::command;
use e2e::resp::Connection;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// The resources that a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// In user mode and in the kernel, of all threads including ended ones.
    pub(crate) time: Duration,
    /// The process has ended, but its parent has not reaped it.
    pub(crate) ended: bool,
}

/// The usage so far. The process's own clock counts in nanoseconds; `/proc/PID/stat` only has hundredths of a
/// second.
///
/// # Panics
///
/// If there is no such process.
pub(crate) fn usage(process: u32) -> Usage {
    let id = Pid::from_raw(i32::try_from(process).expect("a process id is a positive i32"));
    let time = clock_getcpuclockid(id).and_then(|clock| clock.now());
    let time = time.unwrap_or_else(|error| panic!("the processor time of process {process}: {error}"));
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let ended = has_ended(&text).unwrap_or_else(|| panic!("{path} is not as in proc(5): {text}"));
    Usage { time: time.into(), ended }
}

/// The processor time so far of a process' first thread, on which a worker works.
///
/// # Panics
///
/// If there is no such process.
pub(crate) fn thread_time(process: u32) -> Duration {
    let path = format!("/proc/{process}/task/{process}/schedstat");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_else(|| panic!("{path} is not as in proc(5): {text}")))
}

/// The peak resident memory, in MiB, or `None` once the process has ended.
pub(crate) fn peak_memory(process: u32) -> Option<f64> {
    kibibytes(process, "VmHWM:").map(|peak| peak / 1024.0)
}

/// The resident memory in bytes, or `None` once the process has ended.
pub(crate) fn memory(process: u32) -> Option<f64> {
    kibibytes(process, "VmRSS:").map(|now| now * 1024.0)
}

fn kibibytes(process: u32, name: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// The process id of a Redis server.
///
/// # Panics
///
/// If the reply does not contain it.
pub(crate) fn of_server(connection: &mut Connection) -> u32 {
    let info = command(connection, &["INFO", "server"]).text();
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
    process.expect("INFO server of Redis has a process_id")
}

/// The program's name, the second field, is in parentheses and may contain anything. The state follows it.
fn has_ended(stat: &str) -> Option<bool> {
    let (_, fields) = stat.rsplit_once(')')?;
    Some(["Z", "X"].contains(&fields.split_whitespace().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_have_brackets() {
        assert_eq!(has_ended("42 (a) Z) S 1 2 3"), Some(false));
        assert_eq!(has_ended("42 (a) Z 1 2 3"), Some(true));
        assert_eq!(has_ended(""), None);
    }

    #[test]
    fn a_process_that_ended_keeps_its_time() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = child.id();
        let ended = e2e::wait::eventually("an end", Duration::from_secs(10), || {
            Some(usage(process)).filter(|usage| usage.ended)
        });
        assert!(ended.time > Duration::ZERO, "{ended:?}");
        child.wait().unwrap();
    }
}
