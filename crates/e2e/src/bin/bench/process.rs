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
    mebibytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "VmHWM:")
}

/// The resident memory now, in MiB, or `None` once the process has ended.
pub(crate) fn resident(process: u32) -> Option<f64> {
    mebibytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "VmRSS:")
}

/// The kibibytes after this name, in MiB.
fn mebibytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

/// A process and all that it has started, directly or not.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let parents = entries.filter_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        // It may have ended since.
        Some((process, parent(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
    });
    let parents: Vec<(u32, u32)> = parents.collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&process) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == process).map(|(child, _)| child));
        next += 1;
    }
    found
}

/// The ids of a process' threads. The first one has that of the process.
pub(crate) fn threads(process: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The memory of a process now, in MiB: what it shares with others counts in proportion. `None` once it has ended.
pub(crate) fn memory(process: u32) -> Option<f64> {
    mebibytes(&fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?, "Pss:")
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

fn has_ended(stat: &str) -> Option<bool> {
    Some(["Z", "X"].contains(&fields(stat)?.next()?))
}

fn parent(stat: &str) -> Option<u32> {
    fields(stat)?.nth(1)?.parse().ok()
}

/// The program's name, the second field, is in parentheses and may contain anything. The state and the parent follow it.
fn fields(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_have_brackets() {
        assert_eq!(has_ended("42 (a) Z) S 1 2 3"), Some(false));
        assert_eq!(has_ended("42 (a) Z 1 2 3"), Some(true));
        assert_eq!(has_ended(""), None);
        assert_eq!(parent("42 (a) Z) S 17 2 3"), Some(17));
    }

    #[test]
    fn the_memory_is_the_line_of_that_name() {
        assert_eq!(mebibytes("Rss:  9 kB\nPss:  2048 kB\nPss_Anon: 1 kB\n", "Pss:"), Some(2.0));
        assert_eq!(mebibytes("", "Pss:"), None);
    }

    #[test]
    fn a_tree_has_the_processes_of_processes() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let sleeper = e2e::wait::eventually("two processes", Duration::from_secs(10), || {
            let tree = tree(child.id());
            (tree.len() == 2 && tree[0] == child.id() && memory(tree[1]).is_some()).then(|| tree[1])
        });
        assert!(tree(std::process::id()).contains(&sleeper));
        let sleeper = Pid::from_raw(i32::try_from(sleeper).unwrap());
        nix::sys::signal::kill(sleeper, nix::sys::signal::Signal::SIGKILL).unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_thread_is_among_those_of_its_process() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let own = nix::unistd::gettid().as_raw();
                assert!(threads(std::process::id()).contains(&own.try_into().unwrap()));
            });
        });
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
