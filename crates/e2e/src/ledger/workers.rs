//! The workers, each behind its own proxy, and the faults applied to them.

use std::time::Duration;

use super::Homes;
use super::faults::{Faults, Window};
use super::job::LIMITED;
use super::peer::Processes;
use super::plan::Break;
use crate::process::{Build, Postrider, Signal};
use crate::proxy::{Mode, Proxy};
use crate::redis::RedisServer;
use crate::text_file::TextFile;

const EXIT_DEADLINE: Duration = Duration::from_secs(40);

/// Configures a flow whose limits are below a burst of jobs but above the rate of a long run.
fn config() -> TextFile {
    TextFile::new(&format!("[flows.{LIMITED}]\nconcurrency = 4\nrate = \"25/s\"\nburst = 2\n"))
}

/// A slot for a worker. A dead worker is replaced by another.
pub(super) struct Place {
    proxy: Proxy,
    build: Build,
    worker: Option<Postrider>,
    /// The plan has ended the worker and will start another.
    ended: bool,
}

pub(super) struct Workers {
    pub(super) places: Vec<Place>,
    processes: Processes,
    /// Parts of calls as they appear on the wire, which a proxy can search for.
    calls: Vec<Vec<u8>>,
    /// `--queue` of each queue.
    queues: Vec<String>,
    config: TextFile,
    /// The number of workers that ended because there was no Redis when they started.
    pub(super) false_starts: usize,
}

impl Workers {
    pub(super) fn new(
        redis: &RedisServer,
        count: usize,
        homes: Homes,
        processes: Processes,
        calls: Vec<Vec<u8>>,
    ) -> Workers {
        let places = (0..count).map(|index| Place {
            proxy: Proxy::start(redis.port),
            build: Build::ALL[index % 2],
            worker: None,
            ended: true,
        });
        let queues = homes.iter().filter(|home| !home.contains('/')).map(|home| format!("--queue={home}"));
        let (places, queues) = (places.collect(), queues.collect());
        Workers { places, processes, calls, queues, config: config(), false_starts: 0 }
    }

    pub(super) fn start(&mut self, redis: &RedisServer, index: usize) {
        let place = &mut self.places[index];
        if let Some(mut old) = place.worker.take() {
            let status = old.wait_exit(EXIT_DEADLINE);
            let killed = status.code().is_none();
            assert!(killed || status.success(), "a worker exited with {status}:\n{}", old.log().join("\n"));
        }
        let url = place.proxy.redis_url();
        let config = format!("--config={}", self.config.path());
        let mut arguments =
            vec!["--lease=1s", "--retry-base=50ms", "--retry-cap=1s", "--concurrency=16", &config];
        arguments.extend(self.queues.iter().map(String::as_str));
        let worker =
            Postrider::worker(place.build, redis, &arguments, &[("POSTRIDER_REDIS_URL", url.as_str())]);
        self.processes.add(worker.pid());
        (place.worker, place.ended) = (Some(worker), false);
    }

    /// Starts all workers that the plan has ended.
    pub(super) fn start_all(&mut self, redis: &RedisServer) {
        for index in 0..self.places.len() {
            if self.places[index].ended {
                self.start(redis, index);
            }
        }
    }

    /// Does a supervisor's work: restarts a worker that logs that it finds no Redis at its start and exits.
    /// No worker may end by itself in another way.
    pub(super) fn restart_exited(&mut self, redis: &RedisServer) {
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            let Some(worker) = place.worker.as_mut().filter(|_| !place.ended) else { continue };
            let Some(status) = worker.exited() else { continue };
            let log = worker.log().join("\n");
            let began = log.contains("worker is ready");
            assert!(status.code() == Some(4) && !began, "a worker ended by itself with {status}:\n{log}");
            self.false_starts += 1;
            place.worker = None;
            self.start(redis, index);
        }
    }

    pub(super) fn end(&mut self, index: usize, signal: Signal, faults: &mut Faults) {
        let pid = self.pid(index);
        if signal == Signal::SIGKILL {
            faults.begin(Window::Killed, pid);
        }
        self.places[index].ended = true;
        self.signal(index, signal);
        faults.end(pid);
    }

    pub(super) fn pause(&mut self, index: usize, faults: &mut Faults) {
        faults.begin(Window::Paused, self.pid(index));
        self.signal(index, Signal::SIGSTOP);
    }

    pub(super) fn resume(&mut self, index: usize, faults: &mut Faults) {
        self.signal(index, Signal::SIGCONT);
        faults.end(self.pid(index));
    }

    pub(super) fn cut(&mut self, index: usize, faults: &mut Faults) {
        faults.begin(Window::Cut, self.pid(index));
        self.places[index].proxy.cut();
    }

    pub(super) fn break_connections(&mut self, index: usize, way: Break, faults: &mut Faults) {
        let call = |choice: usize| self.calls[choice % self.calls.len()].clone();
        let (window, mode) = match way {
            Break::HalfOpen => (Window::HalfOpen, Mode::HalfOpen),
            Break::RequestsAfter(bytes) => (Window::CutInMessage, Mode::CutRequestsAfter(bytes)),
            Break::RepliesAfter(bytes) => (Window::CutInMessage, Mode::CutRepliesAfter(bytes)),
            Break::LoseReply(choice) => (Window::ReplyLost, Mode::LoseReplyTo(call(choice))),
            Break::Withhold(choice) => (Window::Withheld, Mode::Withhold(call(choice))),
        };
        faults.begin(window, self.pid(index));
        self.places[index].proxy.set(mode);
    }

    pub(super) fn sweep(&mut self, index: usize, faults: &mut Faults) {
        self.places[index].proxy.set(Mode::Pass);
        faults.end(self.pid(index));
    }

    /// Stops all workers gracefully. Each must report success.
    pub(super) fn stop(&mut self) {
        let workers = self.places.iter_mut().filter_map(|place| place.worker.as_mut());
        let mut workers: Vec<&mut Postrider> = workers.collect();
        for worker in &mut workers {
            worker.signal(Signal::SIGTERM);
        }
        for worker in workers {
            let status = worker.wait_exit(EXIT_DEADLINE);
            assert!(status.success(), "a worker exited with {status}:\n{}", worker.log().join("\n"));
        }
    }

    /// The last lines of each log.
    pub(super) fn logs(&self) -> String {
        let tail = |worker: &Postrider| {
            let log = worker.log();
            format!("worker {}:\n{}\n", worker.pid(), log[log.len().saturating_sub(25)..].join("\n"))
        };
        self.places.iter().filter_map(|place| place.worker.as_ref()).map(tail).collect()
    }

    fn pid(&self, index: usize) -> Option<u32> {
        self.places[index].worker.as_ref().map(Postrider::pid)
    }

    fn signal(&mut self, index: usize, signal: Signal) {
        if let Some(worker) = &mut self.places[index].worker {
            worker.signal(signal);
        }
    }
}
