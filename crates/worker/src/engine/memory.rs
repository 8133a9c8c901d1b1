//! The memory that this process may use, and the part of it for jobs in flight; `shard::byte_budget` holds it.

use std::fs;
use std::path::Path;

use tracing::warn;

/// Jobs in flight use up to this part of the memory: a read needs its reply a second time while it arrives, and other
/// parts need the rest.
const PART: usize = 4;
/// Assumed where the memory is not known.
const MEMORY: u64 = 1 << 30;

/// The bytes that jobs in flight may use: a quarter of the memory, or `wanted` if that is less.
pub(super) fn bytes_in_flight(wanted: Option<usize>, entry_bytes_max: usize, threads: usize) -> usize {
    let memory = usize::try_from(available().unwrap_or(MEMORY)).unwrap_or(usize::MAX);
    let bytes = wanted.unwrap_or(usize::MAX).min(memory / PART);
    if let Some(wanted) = wanted.filter(|wanted| *wanted > bytes) {
        warn!("{wanted} bytes in flight are more than a quarter of the memory: the limit is {bytes}");
    }
    if bytes / threads < 4 * entry_bytes_max {
        warn!(
            "{bytes} bytes in flight are too few to read two jobs of up to {entry_bytes_max} bytes at once in each of \
             {threads} threads, so jobs are read one by one; allow more memory (--max-bytes-in-flight) or smaller jobs (--max-job-bytes)"
        );
    }
    bytes
}

/// The smallest limit of the process's control group and those above it, else the memory of the machine; `None` if
/// neither is known.
fn available() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = limit(Path::new("/sys/fs/cgroup"), &groups);
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    limit.into_iter().chain(total).min()
}

/// `groups` is the text of `/proc/self/cgroup`: `0::/PATH` in version 2, and `N:memory:/PATH` in version 1. A container
/// may see its own group at the root, whatever the path.
fn limit(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let (_, group) = line.split_once(':').unwrap_or_default();
        let (controllers, path) = group.split_once(':').unwrap_or_default();
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return vec![],
        };
        let path = Path::new(path.trim_start_matches('/'));
        // `max`, and the huge number of version 1, are no limit: the machine's memory is less.
        path.ancestors().filter_map(|group| read(&root.join(group).join(file))).collect()
    });
    limits.min()
}

fn read(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The line of `/proc/meminfo` is `MemTotal: N kB`.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(root: &Path, group: &str, file: &str, text: &str) {
        fs::create_dir_all(root.join(group)).unwrap();
        fs::write(root.join(group).join(file), text).unwrap();
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_those_above_counts() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path();
        group(root, "pods/one/main", "memory.max", "max\n");
        group(root, "pods/one", "memory.max", "268435456\n");
        group(root, "pods", "memory.max", "536870912\n");
        assert_eq!(limit(root, "1:name=x:/y\n0::/pods/one/main\n"), Some(268_435_456));
        assert_eq!(limit(root, "0::/pods\n"), Some(536_870_912));
        assert_eq!(limit(root, "0::/\n"), None, "the root has no limit");
        group(root, "", "memory.max", "1000\n");
        assert_eq!(limit(root, "0::/not/seen/here\n"), Some(1000), "a container's own view");
    }

    #[test]
    fn the_limit_of_version_1_is_known() {
        let folder = tempfile::TempDir::new().unwrap();
        group(folder.path(), "memory/docker/x", "memory.limit_in_bytes", "1000\n");
        group(folder.path(), "memory", "memory.limit_in_bytes", "9223372036854771712\n");
        let groups = "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n0::/docker/x\n";
        assert_eq!(limit(folder.path(), groups), Some(1000));
        assert_eq!(limit(folder.path(), "4:cpu:/docker/x\nwrong\n"), None);
    }

    #[test]
    fn the_memory_of_the_machine_is_in_kibibytes() {
        assert_eq!(total("MemTotal:       16314640 kB\nMemFree: 1 kB\n"), Some(16_314_640 * 1024));
        assert_eq!(total("nothing"), None);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn jobs_use_what_is_set_up_to_a_quarter_of_the_memory() {
        let quarter = bytes_in_flight(None, 1, 1);
        assert_eq!(quarter, available().unwrap() as usize / 4);
        assert_eq!(
            (bytes_in_flight(Some(5000), 1, 1), bytes_in_flight(Some(usize::MAX), 1, 1)),
            (5000, quarter)
        );
    }
}
