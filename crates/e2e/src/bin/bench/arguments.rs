//! `bench [MODE] [--rounds=N] [--jobs=N] [--in-flight=N] [--keys=N] [--plot=FILE] [--json]`

use std::path::PathBuf;

use crate::peer::{self, Peer};

/// The settings of one call.
pub(crate) struct Arguments {
    /// What to measure.
    pub(crate) mode: Mode,
    /// Runs of each variant.
    pub(crate) rounds: usize,
    /// Jobs per run.
    pub(crate) jobs: usize,
    /// Jobs in flight at most, if given.
    pub(crate) in_flight: Option<usize>,
    /// Order keys of [`Mode::Order`].
    pub(crate) keys: usize,
    /// Prints JSON instead of a table.
    pub(crate) json: bool,
    /// The file for the plot of [`Mode::SinkLatency`].
    pub(crate) plot: Option<PathBuf>,
}

/// The measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The cost of the worker compared with the bare loop.
    Compare,
    /// Only allocations and instructions of the variants that have a limit. Other load of the machine changes neither.
    Counts,
    /// Throughput by requests in flight, for destinations with these latencies in milliseconds.
    SinkLatency(Vec<u64>),
    /// The cost of a job with more workers, and with more nodes of a cluster.
    Scale,
    /// The cost of a job while very many wait.
    Backlog,
    /// The time from enqueue to the request, with all processes on all cores and with some of them kept apart.
    Latency,
    /// What a thread that stands still costs the jobs of the other threads.
    Blocked,
    /// The cost of a megabyte in bodies of several lengths.
    Bodies,
    /// The cost of very many requests in flight to destinations that take long.
    SlowSink,
    /// What flows that hang, and jobs that always fail, cost the others.
    Fairness,
    /// The cost of an idle worker, and how soon it starts the next job.
    Idle,
    /// The time from a worker's start to its first request.
    Startup,
    /// What the delivery log costs a job.
    DeliveryLog,
    /// The cost of a job to destinations with TLS, compared with the bare loop.
    Https,
    /// The same jobs by these other systems.
    Peers(Vec<&'static Peer>),
    /// What it costs to enqueue over HTTP.
    Enqueue,
    /// How many jobs a second are enqueued where many are at once.
    EnqueueAll,
    /// What the relay costs.
    Outbox,
    /// What the readers of a console cost a worker.
    Readers,
    /// What the counters cost Redis.
    Settlements,
    /// How long the console takes for its lists and searches while very many jobs wait.
    Lists,
    /// What order keys cost.
    Order,
    /// How long the sweeper blocks Redis while very many jobs wait.
    Sweep,
}

const KNOWN: &str = "--rounds=N, --jobs=N, --in-flight=N, --keys=N, --json, --plot=FILE and the modes --sink-latency=MS,MS, \
                     --counts, --scale, --backlog, --blocked, --bodies, --latency, --slow-sink, --fairness, --idle, --startup, --delivery-log, --https, --enqueue, --enqueue-all, --outbox, \
                     --readers, --settlements, --lists, --order, --sweep, and --peers or --peers=NAME,NAME with names of \
                     apalis, bullmq, asyncio-tuned, asyncio-httpx and celery";

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments {
            mode: Mode::Compare,
            rounds: 5,
            jobs: 50_000,
            in_flight: None,
            keys: 1_000_000,
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
                "--keys" => arguments.keys = number()?,
                "--json" => arguments.json = true,
                "--plot" => arguments.plot = Some(value.into()),
                _ => arguments.mode = mode(name, value).ok_or(format!("`{word}`: use {KNOWN}"))?,
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
        "--peers" => Mode::Peers(peer::named(value)?),
        "--counts" => Mode::Counts,
        "--scale" => Mode::Scale,
        "--backlog" => Mode::Backlog,
        "--latency" => Mode::Latency,
        "--blocked" => Mode::Blocked,
        "--bodies" => Mode::Bodies,
        "--slow-sink" => Mode::SlowSink,
        "--fairness" => Mode::Fairness,
        "--idle" => Mode::Idle,
        "--startup" => Mode::Startup,
        "--delivery-log" => Mode::DeliveryLog,
        "--https" => Mode::Https,
        "--enqueue" => Mode::Enqueue,
        "--enqueue-all" => Mode::EnqueueAll,
        "--outbox" => Mode::Outbox,
        "--readers" => Mode::Readers,
        "--settlements" => Mode::Settlements,
        "--lists" => Mode::Lists,
        "--order" => Mode::Order,
        "--sweep" => Mode::Sweep,
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
    fn a_number_is_read_and_the_rest_keeps_its_default() {
        let arguments = parse(&["--jobs=7", "--json"]).unwrap();
        assert_eq!((arguments.jobs, arguments.rounds, arguments.json), (7, 5, true));
        assert_eq!((arguments.mode, arguments.keys), (Mode::Compare, 1_000_000));
        assert_eq!(parse(&["--order", "--keys=9"]).unwrap().keys, 9);
    }

    #[test]
    fn zero_jobs_are_rejected() {
        assert!(parse(&["--jobs=0"]).is_err());
    }

    #[test]
    fn an_unknown_mode_is_rejected() {
        assert_eq!(parse(&["--sink-latency=0,20"]).unwrap().mode, Mode::SinkLatency(vec![0, 20]));
        assert!(parse(&["--sink-latency=soon"]).is_err());
        assert!(parse(&["--scales"]).is_err());
    }

    #[test]
    fn peers_are_all_or_those_that_are_named() {
        let names = |word: &str| match parse(&[word]).map(|arguments| arguments.mode) {
            Ok(Mode::Peers(peers)) => peers.iter().map(|peer| peer.name).collect(),
            other => vec![if other.is_err() { "refused" } else { "another mode" }],
        };
        let all = names("--peers");
        assert_eq!(names("--peers=celery,apalis"), ["celery", "apalis"]);
        assert_eq!(names("--peers=celery,sidekiq"), ["refused"]);
        let Err(message) = parse(&["--peers=sidekiq"]) else { panic!("an unknown peer is accepted") };
        assert!(all.len() == 5 && all.iter().all(|name| message.contains(name)), "{all:?}: {message}");
    }
}
