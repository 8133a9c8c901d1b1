//! The workers, each behind a proxy, and the faults applied to them.

mod calls;
mod process;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use postrider_queue::admin::{Inspector, Topology, Upstream};
use rustix::process::Signal;

use super::error::CertifyError;
use super::faults::{Faults, Window};
use super::options::Options;
use super::peer::addresses_of;
use super::plan::{Break, Point};
use super::proxy::{Caught, Mode, Proxy};
use calls::calls;
use process::{Start, Worker};

/// How long a worker may take to end after SIGTERM: longer than its own deadline.
const EXIT_DEADLINE: Duration = Duration::from_secs(40);
/// How long a supervisor waits before it starts a worker again.
const START_PAUSE: Duration = Duration::from_millis(500);
/// The exit code of a worker that finds no Redis.
const NO_REDIS: i32 = 4;

/// Why a connection is not broken.
const NO_PROXY: &str = "no proxy can be put before a cluster or behind Sentinel, since clients follow the addresses that are announced";

const NO_WORKER: &str = "the worker was not running, since it had found no Redis";

/// A slot for a worker. A dead worker is replaced by another.
struct Place {
    proxy: Option<Proxy>,
    worker: Option<Worker>,
    /// The plan has ended the worker and will start another.
    ended: bool,
    /// The point at which it is to be killed.
    trap: Option<Point>,
    /// When a worker is started again that found no Redis.
    again_at: Option<Instant>,
}

/// All workers.
pub(crate) struct Workers {
    places: Vec<Place>,
    starts: Vec<Start>,
    /// Names of calls, and parts of them as they appear on the wire, which a proxy can search for.
    calls: Vec<(&'static str, Vec<u8>)>,
    /// How many workers were killed where.
    pub(crate) kills: BTreeMap<String, u64>,
    /// How many workers ended because there was no Redis when they started.
    pub(crate) false_starts: u64,
    /// Workers that ended by themselves.
    pub(crate) problems: Vec<String>,
}

impl Workers {
    pub(crate) async fn new(
        options: &Options,
        upstream: &Upstream,
        caught: &Caught,
    ) -> Result<Workers, CertifyError> {
        let (mut places, mut starts) = (Vec::new(), Vec::new());
        for index in 0..options.workers {
            let proxy = match upstream.topology() {
                Topology::Single => {
                    let started = Proxy::start(index, upstream.clone(), caught.clone()).await;
                    Some(started.map_err(|error| CertifyError::System("a proxy cannot listen", error))?)
                }
                _ => None,
            };
            let url = proxy.as_ref().map(|proxy| upstream.through(proxy.address()));
            let program = options.programs[index % options.programs.len()].clone();
            starts.push(Start::new(options, program, url.unwrap_or_else(|| options.redis_url.clone())));
            places.push(Place { proxy, worker: None, ended: true, trap: None, again_at: None });
        }
        let (kills, problems) = (BTreeMap::new(), Vec::new());
        Ok(Workers { places, starts, calls: calls(), kills, false_starts: 0, problems })
    }

    /// Starts a worker. If the one before it still runs, waits for its end.
    pub(crate) async fn start(&mut self, index: usize) -> Result<(), CertifyError> {
        if let Some(mut old) = self.places[index].worker.take() {
            match old.wait(EXIT_DEADLINE).await {
                Some(status) if status.code().is_none_or(|code| code == 0) => {}
                // It was stopped before it had found Redis.
                Some(status) if status.code() == Some(NO_REDIS) && !old.log().was_ready => {}
                Some(status) => {
                    self.problems.push(format!("a worker exited with {status}:\n{}", old.log().text()))
                }
                None => self.problems.push(format!("a worker does not exit:\n{}", old.log().text())),
            }
        }
        let place = &mut self.places[index];
        if let Some(proxy) = place.proxy.as_ref().filter(|_| place.trap.is_some()) {
            proxy.set(Mode::Pass);
        }
        let worker = Worker::start(&self.starts[index])
            .map_err(|error| CertifyError::System("a worker cannot be started", error))?;
        (place.worker, place.ended, place.trap, place.again_at) = (Some(worker), false, None, None);
        Ok(())
    }

    /// Starts all workers that the plan has ended.
    pub(crate) async fn start_all(&mut self) -> Result<(), CertifyError> {
        for index in 0..self.places.len() {
            if self.places[index].ended {
                self.start(index).await?;
            }
        }
        Ok(())
    }

    /// Restarts a worker that finds no Redis at its start and exits, as a supervisor would. No worker may end by itself in
    /// another way.
    pub(crate) async fn restart_exited(&mut self, faults: &mut Faults) -> Result<(), CertifyError> {
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            if !place.ended && place.again_at.is_some_and(|at| at <= Instant::now()) {
                self.start(index).await?;
                continue;
            }
            let Some(worker) = place.worker.as_mut().filter(|_| !place.ended) else { continue };
            let Some(status) = worker.exited() else { continue };
            // Its connections are no longer broken.
            faults.end(Some(worker.pid));
            let (was_ready, log) = worker.log().state();
            if status.code() == Some(NO_REDIS) && !was_ready {
                self.false_starts += 1;
                (place.worker, place.again_at) = (None, Some(Instant::now() + START_PAUSE));
                continue;
            } else if !was_ready {
                return Err(CertifyError::Setup(format!("a worker does not start ({status}):\n{log}")));
            } else {
                self.problems.push(format!("a worker ended by itself with {status}:\n{log}"));
            }
            place.worker = None;
            self.start(index).await?;
        }
        Ok(())
    }

    /// SIGKILL, if it still runs.
    pub(crate) fn kill(&mut self, index: usize, faults: &mut Faults) {
        self.kill_where(index, "at any time".to_owned(), faults);
    }

    fn kill_where(&mut self, index: usize, place: String, faults: &mut Faults) {
        let was_ended = std::mem::replace(&mut self.places[index].ended, true);
        let pid = self.pid(index);
        if was_ended || pid.is_none() {
            return;
        }
        faults.begin(Window::Killed, pid);
        self.signal(index, Signal::KILL);
        faults.end(pid);
        *self.kills.entry(place).or_default() += 1;
    }

    /// Makes the proxy wait for the call at which the worker is to be killed.
    pub(crate) fn set_trap(&mut self, index: usize, point: Point) {
        let call = self.calls[point.call % self.calls.len()].1.clone();
        let place = &mut self.places[index];
        if let Some(proxy) = &place.proxy {
            proxy.set(if point.has_run { Mode::TrapAfter(call) } else { Mode::TrapBefore(call) });
            place.trap = Some(point);
        }
    }

    /// The worker has come to that call: kills it.
    pub(crate) fn kill_at_trap(&mut self, index: usize, faults: &mut Faults) {
        let Some(point) = self.places[index].trap else { return };
        let (name, _) = self.calls[point.call % self.calls.len()];
        let when = if point.has_run { "after" } else { "before" };
        self.kill_where(index, format!("{when} {name}"), faults);
    }

    /// SIGTERM.
    pub(crate) fn leave(&mut self, index: usize) {
        self.places[index].ended = true;
        self.signal(index, Signal::TERM);
    }

    pub(crate) fn pause(&mut self, index: usize, faults: &mut Faults) {
        let Some(pid) = self.pid(index) else { return };
        faults.begin(Window::Paused, Some(pid));
        self.signal(index, Signal::STOP);
    }

    pub(crate) fn resume(&mut self, index: usize, faults: &mut Faults) {
        self.signal(index, Signal::CONT);
        faults.end(self.pid(index));
    }

    /// Closes its connections: by its proxy, or by the server where no proxy can be put.
    pub(crate) async fn cut(
        &mut self,
        index: usize,
        inspector: &Inspector,
        faults: &mut Faults,
    ) -> Result<(), String> {
        let pid = self.running(index)?;
        if let Some(proxy) = &self.places[index].proxy {
            faults.begin(Window::Cut, Some(pid));
            proxy.cut();
            return Ok(());
        }
        // Behind a translation of addresses, the server sees others than the machine does.
        let seen = inspector.own_address().await.map_err(|error| error.details().to_owned())?;
        if !addresses_of(std::process::id()).contains(&seen) {
            return Err(format!("the server sees this machine at {seen}, which is none of its addresses"));
        }
        faults.begin(Window::Cut, Some(pid));
        let killed = inspector.kill_clients(&addresses_of(pid)).await;
        killed.map(drop).map_err(|error| error.details().to_owned())
    }

    /// Breaks its connections, if it has a proxy.
    pub(crate) fn break_connections(
        &mut self,
        index: usize,
        way: Break,
        faults: &mut Faults,
    ) -> Result<(), String> {
        let call = |choice: usize| self.calls[choice % self.calls.len()].1.clone();
        let (window, mode) = match way {
            Break::HalfOpen => (Window::HalfOpen, Mode::HalfOpen),
            Break::RequestsAfter(bytes) => (Window::CutInMessage, Mode::CutRequestsAfter(bytes)),
            Break::RepliesAfter(bytes) => (Window::CutInMessage, Mode::CutRepliesAfter(bytes)),
            Break::LoseReply(choice) => (Window::ReplyLost, Mode::LoseReplyTo(call(choice))),
            Break::Withhold(choice) => (Window::Withheld, Mode::Withhold(call(choice))),
        };
        let Some(proxy) = &self.places[index].proxy else { return Err(NO_PROXY.to_owned()) };
        faults.begin(window, Some(self.running(index)?));
        proxy.set(mode);
        Ok(())
    }

    pub(crate) fn mend(&mut self, index: usize, faults: &mut Faults) {
        if let Some(proxy) = &self.places[index].proxy {
            proxy.set(Mode::Pass);
        }
        faults.end(self.pid(index));
    }

    /// Stops all workers with SIGTERM. Each must report success.
    pub(crate) async fn stop(&mut self) {
        for index in 0..self.places.len() {
            self.signal(index, Signal::TERM);
        }
        for worker in self.places.iter_mut().filter_map(|place| place.worker.as_mut()) {
            match worker.wait(EXIT_DEADLINE).await {
                Some(status) if status.success() => {}
                Some(status) => {
                    self.problems.push(format!("a worker exited with {status}:\n{}", worker.log().text()))
                }
                None => self.problems.push(format!("a worker does not exit:\n{}", worker.log().text())),
            }
        }
    }

    /// Kills all workers, waits for their end, and closes the proxies.
    pub(crate) async fn end(mut self) {
        for index in 0..self.places.len() {
            self.signal(index, Signal::KILL);
        }
        for worker in self.places.iter_mut().filter_map(|place| place.worker.as_mut()) {
            worker.wait(EXIT_DEADLINE).await;
        }
    }

    /// The last lines of each log.
    pub(crate) fn logs(&self) -> String {
        let tail = |worker: &Worker| format!("worker {}:\n{}\n", worker.pid, worker.log().text());
        self.places.iter().filter_map(|place| place.worker.as_ref()).map(tail).collect()
    }

    /// The process id of a worker that is to lose its connections.
    fn running(&self, index: usize) -> Result<u32, String> {
        self.pid(index).ok_or_else(|| NO_WORKER.to_owned())
    }

    fn pid(&self, index: usize) -> Option<u32> {
        self.places[index].worker.as_ref().map(|worker| worker.pid)
    }

    fn signal(&mut self, index: usize, signal: Signal) {
        if let Some(worker) = &mut self.places[index].worker {
            worker.signal(signal);
        }
    }
}
