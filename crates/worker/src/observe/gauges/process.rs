//! The process as the kernel sees it, from `/proc`. If that is missing, nothing is reported.
//!
//! The exporter's thread reads it at most once a second, which takes some ten microseconds.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use telemetry::{Observable, Observer, Telemetry, semconv};

/// Linux reports times to programs in hundredths of a second, whatever its internal clock.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long one sample serves all instruments.
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    user_seconds: f64,
    system_seconds: f64,
    memory_bytes: f64,
    virtual_bytes: f64,
    threads: f64,
    file_descriptors: f64,
    voluntary_switches: f64,
    involuntary_switches: f64,
    uptime_seconds: f64,
}

/// The last sample, shared by all instruments.
#[derive(Debug, Default)]
struct Last(Mutex<Option<(Instant, Option<Sample>)>>);

impl Last {
    fn get(&self) -> Option<Sample> {
        let mut last = self.0.lock().ok()?;
        match *last {
            Some((at, sample)) if at.elapsed() < SAMPLE_AGE_MAX => sample,
            _ => {
                let sample = read();
                *last = Some((Instant::now(), sample));
                sample
            }
        }
    }
}

/// Registers the instruments of the process.
pub(super) fn register(telemetry: &Telemetry) {
    use Observable as O;
    let last = Arc::new(Last::default());
    let observe = |what: Observable, record: fn(&Observer<'_>, &Sample)| {
        let last = last.clone();
        telemetry.observe(what, move |to| {
            if let Some(sample) = last.get() {
                record(to, &sample);
            }
        });
    };
    observe(
        O::counter(semconv::PROCESS_CPU_TIME, "s", "Processor time by mode").fractional(),
        |to, sample| {
            to.record(sample.user_seconds, |attributes| attributes.set(semconv::CPU_MODE, "user"));
            to.record(sample.system_seconds, |attributes| attributes.set(semconv::CPU_MODE, "system"));
        },
    );
    observe(
        O::up_down_counter(semconv::PROCESS_MEMORY_USAGE, "By", "Physical memory in use"),
        |to, sample| {
            to.record(sample.memory_bytes, |_| ());
        },
    );
    observe(O::up_down_counter(semconv::PROCESS_MEMORY_VIRTUAL, "By", "Virtual memory"), |to, sample| {
        to.record(sample.virtual_bytes, |_| ());
    });
    observe(O::up_down_counter(semconv::PROCESS_THREAD_COUNT, "{thread}", "Threads"), |to, sample| {
        to.record(sample.threads, |_| ());
    });
    let descriptors = "Open file descriptors, sockets among them";
    let descriptors =
        O::up_down_counter(semconv::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT, "{file_descriptor}", descriptors);
    observe(descriptors, |to, sample| to.record(sample.file_descriptors, |_| ()));
    let switches = O::counter(semconv::PROCESS_CONTEXT_SWITCHES, "{context_switch}", "Context switches");
    observe(switches, |to, sample| {
        let kinds = [("voluntary", sample.voluntary_switches), ("involuntary", sample.involuntary_switches)];
        for (kind, switches) in kinds {
            to.record(switches, |attributes| attributes.set(semconv::PROCESS_CONTEXT_SWITCH_TYPE, kind));
        }
    });
    let uptime = O::gauge(semconv::PROCESS_UPTIME, "s", "How long the process has run");
    observe(uptime.fractional(), |to, sample| to.record(sample.uptime_seconds, |_| ()));
}

fn read() -> Option<Sample> {
    let text = |path: &str| fs::read_to_string(path).ok();
    let descriptors = fs::read_dir("/proc/self/fd").ok()?.count();
    let sample = parse(&text("/proc/self/stat")?, &text("/proc/self/status")?, &text("/proc/uptime")?)?;
    // Without the descriptor that was open to count them.
    Some(Sample { file_descriptors: descriptors.saturating_sub(1) as f64, ..sample })
}

/// Manual page `proc_pid_stat(5)`: the fields after the program's name in brackets are counted from 3. The
/// name may contain anything.
fn parse(stat: &str, status: &str, uptime: &str) -> Option<Sample> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    let line = |name: &str| -> Option<f64> {
        let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    let since_boot: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        user_seconds: ticks(14)?,
        system_seconds: ticks(15)?,
        memory_bytes: line("VmRSS")? * 1024.0,
        virtual_bytes: line("VmSize")? * 1024.0,
        threads: line("Threads")?,
        file_descriptors: 0.0,
        voluntary_switches: line("voluntary_ctxt_switches")?,
        involuntary_switches: line("nonvoluntary_ctxt_switches")?,
        uptime_seconds: (since_boot - ticks(22)?).max(0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_from_what_the_kernel_writes() {
        let stat = "7 (a )b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 1000 9 9";
        let status = "Name:\ta\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n\
                      voluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t4\n";
        let sample = parse(stat, status, "70.50 3.00\n").unwrap();
        assert_eq!((sample.user_seconds, sample.system_seconds), (2.5, 0.5));
        assert_eq!((sample.memory_bytes, sample.virtual_bytes), (1_048_576.0, 2_097_152.0));
        assert_eq!((sample.voluntary_switches, sample.involuntary_switches), (12.0, 4.0));
        assert_eq!((sample.threads, sample.uptime_seconds), (3.0, 60.5));
        assert_eq!(parse("", status, "1 1"), None);
    }

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let sample = read().expect("the tests run on Linux");
        assert!(sample.memory_bytes > 0.0 && sample.threads >= 1.0 && sample.file_descriptors >= 3.0);
    }
}
