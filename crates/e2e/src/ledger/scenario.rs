//! Executes the plan: starts everything, takes the steps at their times, and waits until the queue is
//! drained.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::account::{self, Ledger};
use super::destination::Destination;
use super::faults::{Faults, Window};
use super::hanging::Hanging;
use super::order::{self, Disorder};
use super::peer::Processes;
use super::plan::{Action, Step};
use super::producer::Producer;
use super::stalls::Stalls;
use super::ticks::Ticks;
use super::workers::Workers;
use super::{Homes, LEASE, Options};
use crate::process::Signal;
use crate::queue::Queue;
use crate::redis::RedisServer;
use crate::scripts::{CONTROL, Script};
use crate::wait;

/// Every waiting job is due or expires within half a minute. The rest of the time is for a loaded machine, on which a long
/// run leaves a backlog.
const DRAIN_DEADLINE_MIN: Duration = Duration::from_secs(120);

/// The calls that move jobs. A proxy can search for them.
const MOVING: [Script; 12] = [
    Script::Complete,
    Script::CompleteWithResult,
    Script::Postpone,
    Script::DeadLetter,
    Script::Promote,
    Script::Extend,
    Script::Reclaim,
    Script::Admit,
    Script::FlowAcquire,
    Script::FlowReport,
    Script::CronTick,
    Script::TakeTurns,
];

struct Scenario {
    redis: RedisServer,
    homes: Homes,
    workers: Workers,
    faults: Faults,
    /// How often each action was taken.
    taken: BTreeMap<&'static str, usize>,
}

pub(super) fn run(options: &Options, plan: &[Step]) -> Ledger {
    let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let processes = Processes::default();
    let destination = Destination::start(processes.clone());
    let workers = Workers::new(&redis, options.workers, options.homes, processes, calls(&redis));
    let homes = options.homes;
    let stalls = Stalls::watch(redis.port);
    let mut scenario = Scenario { redis, homes, workers, faults: Faults::default(), taken: BTreeMap::new() };
    scenario.prepare();
    scenario.workers.start_all(&scenario.redis);
    let ticks = Ticks::start(&scenario.redis, homes, &destination.url(), destination.ticks());
    let keys = scenario.queues().map(|queue| queue.key("jobs")).collect();
    let hanging = if options.hostile { Hanging::start() } else { Hanging::default() };
    let producer = Producer::start(scenario.redis.port, keys, destination.url(), hanging, options.rate);
    let start = Instant::now();
    for step in plan {
        scenario.wait_until(start + step.at);
        scenario.take(step.action);
    }
    scenario.wait_until(start + options.time);
    scenario.workers.start_all(&scenario.redis);
    let jobs = producer.stop();
    let ends = ticks.end(&scenario.redis);
    let deadline = DRAIN_DEADLINE_MIN.max(options.time / 2);
    let drained = scenario.drain(deadline);
    if drained.is_ok() {
        scenario.workers.stop();
    }
    scenario.taken.insert("start of a worker without Redis", scenario.workers.false_starts);
    let dead: Vec<_> = scenario.queues().flat_map(|queue| queue.dead()).collect();
    let visits = destination.visits();
    scenario.faults.0.extend(stalls.end());
    let mut ledger = account::close(options, &jobs, &visits, &dead, &scenario.faults, scenario.taken);
    let Disorder { explained, problems } = order::check(&visits, &scenario.faults);
    ledger.late = explained;
    ledger.problems.extend(problems);
    let (made, problems) = ticks.account(&ends);
    ledger.ticks = made;
    ledger.problems.extend(problems);
    if let Err(state) = drained {
        let logs = scenario.workers.logs();
        ledger.problems.insert(0, format!("not drained within {deadline:?}: {state}\n{logs}"));
    }
    ledger
}

/// The SHA1 digests of the scripts in Redis, and the name of the read command.
fn calls(redis: &RedisServer) -> Vec<Vec<u8>> {
    let mut calls: Vec<Vec<u8>> = MOVING
        .iter()
        .map(|script| redis.command(&["SCRIPT", "LOAD", &script.source()]).bytes().to_vec())
        .collect();
    calls.push(b"XREADGROUP".to_vec());
    calls
}

impl Scenario {
    /// The shards. Each is read as its own queue.
    fn queues(&self) -> impl Iterator<Item = Queue<'_>> {
        self.homes.iter().map(|home| Queue::new(&self.redis, home))
    }

    /// Stores the number of shards of each queue that has several.
    fn prepare(&self) {
        for (queue, last) in self.homes.iter().filter_map(|home| home.split_once('/')) {
            let last: u32 = last.parse().expect("a shard has a number");
            let key = Queue::new(&self.redis, queue).key("meta");
            self.redis.command(&["HSET", &key, "shards", &(last + 1).to_string()]);
        }
    }

    fn wait_until(&mut self, time: Instant) {
        loop {
            self.workers.restart_exited(&self.redis);
            let left = time.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LEASE / 10));
        }
    }

    fn take(&mut self, action: Action) {
        let (workers, faults) = (&mut self.workers, &mut self.faults);
        match action {
            Action::Kill(worker) => workers.end(worker, Signal::SIGKILL, faults),
            Action::Leave(worker) => workers.end(worker, Signal::SIGTERM, faults),
            Action::Start(worker) => workers.start(&self.redis, worker),
            Action::Pause(worker) => workers.pause(worker, faults),
            Action::Resume(worker) => workers.resume(worker, faults),
            Action::Cut(worker) => workers.cut(worker, faults),
            Action::Break(worker, way) => workers.break_connections(worker, way, faults),
            Action::Sweep(worker) => workers.sweep(worker, faults),
            Action::FlushScripts => drop(self.redis.command(&["SCRIPT", "FLUSH"])),
            Action::RestartRedis => self.restart_redis(),
            Action::PauseRedis => {
                faults.begin(Window::RedisPaused, None);
                self.redis.signal(Signal::SIGSTOP);
            }
            Action::PauseQueue(home) => {
                self.redis.command(&["HSET", CONTROL, &self.pause_field(home), "0 0 {}"]);
            }
            Action::ResumeQueue(home) => {
                self.redis.command(&["HDEL", CONTROL, &self.pause_field(home)]);
            }
            Action::ResumeRedis => {
                self.redis.signal(Signal::SIGCONT);
                faults.end(None);
            }
        }
        if let Some(name) = action.name() {
            *self.taken.entry(name).or_default() += 1;
        }
    }

    /// The field that pauses the queue of a shard.
    fn pause_field(&self, home: usize) -> String {
        format!("q:{}", self.homes[home].split('/').next().unwrap_or_default())
    }

    fn restart_redis(&mut self) {
        self.faults.begin(Window::RedisRestarted, None);
        self.redis.restart();
        self.faults.end(None);
    }

    /// # Errors
    ///
    /// The jobs that are left.
    fn drain(&mut self, deadline: Duration) -> Result<(), String> {
        let workers = &mut self.workers;
        wait::poll(deadline, || {
            workers.restart_exited(&self.redis);
            let left = |home: &&str| Queue::new(&self.redis, home).drained();
            self.homes.iter().try_for_each(|home| left(home).map_err(|left| format!("{home}: {left}")))
        })
    }
}
