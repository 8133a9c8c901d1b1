//! `bench [MODE] [--rounds=N] [--jobs=N] [--in-flight=N] [--plot=FILE] [--json]`

use std::path::PathBuf;

/// What one call measures.
pub(crate) struct Arguments {
    /// Which question is answered.
    pub(crate) mode: Mode,
    /// How often each variant runs.
    pub(crate) rounds: usize,
    /// Jobs of one run.
    pub(crate) jobs: usize,
    /// Jobs in the works at once, where that was given.
    pub(crate) in_flight: Option<usize>,
    /// Prints JSON instead of a table.
    pub(crate) json: bool,
    /// Where the plot of [`Mode::SinkLatency`] is written to.
    pub(crate) plot: Option<PathBuf>,
}

/// The questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What the worker costs compared with the bare loop.
    Compare,
    /// Allocations and instructions alone, which are the same whatever else the machine does.
    Counts,
    /// How the throughput grows with the requests in flight, to destinations that take so many milliseconds.
    SinkLatency(Vec<u64>),
    /// What a job costs with more workers, and with more nodes of a cluster.
    Scale,
    /// What a job costs when very many wait.
    Backlog,
    /// What very many requests in flight take, to a destination that takes a second.
    SlowSink,
    /// What a worker without jobs takes, and how soon it has the next.
    Idle,
    /// How long a worker takes from its start to its first request.
    Startup,
}

const KNOWN: &str = "--rounds=N, --jobs=N, --in-flight=N, --json, --plot=FILE and the modes --sink-latency=MS,MS, \
                     --counts, --scale, --backlog, --slow-sink, --idle and --startup";

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments {
            mode: Mode::Compare,
            rounds: 5,
            jobs: 50_000,
            in_flight: None,
            json: false,
            plot: None,
        };
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            let number = || match value.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("`{word}`: `{name}=` needs a number of at least 1")),
            };
            match name {
                "--rounds" => arguments.rounds = number()?,
                "--jobs" => arguments.jobs = number()?,
                "--in-flight" => arguments.in_flight = Some(number()?),
                "--json" => arguments.json = true,
                "--plot" => arguments.plot = Some(value.into()),
                _ => arguments.mode = mode(name, value).ok_or(format!("`{word}`: there are {KNOWN}"))?,
            }
        }
        Ok(arguments)
    }
}

fn mode(name: &str, value: &str) -> Option<Mode> {
    Some(match name {
        "--sink-latency" => {
            let latencies: Result<_, _> = value.split(',').map(str::parse).collect();
            Mode::SinkLatency(latencies.ok()?)
        }
        "--counts" => Mode::Counts,
        "--scale" => Mode::Scale,
        "--backlog" => Mode::Backlog,
        "--slow-sink" => Mode::SlowSink,
        "--idle" => Mode::Idle,
        "--startup" => Mode::Startup,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn a_number_is_taken_and_the_rest_keeps_its_default() {
        let arguments = parse(&["--jobs=7", "--json"]).unwrap();
        assert_eq!((arguments.jobs, arguments.rounds, arguments.json), (7, 5, true));
        assert_eq!(arguments.mode, Mode::Compare);
    }

    #[test]
    fn zero_jobs_can_not_be_measured() {
        assert!(parse(&["--jobs=0"]).is_err());
    }

    #[test]
    fn a_mode_is_one_of_those_that_there_are() {
        assert_eq!(parse(&["--sink-latency=0,20"]).unwrap().mode, Mode::SinkLatency(vec![0, 20]));
        assert!(parse(&["--sink-latency=soon"]).is_err());
        assert!(parse(&["--scales"]).is_err());
    }
}
