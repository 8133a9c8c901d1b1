//! Executes the plan: starts everything, takes the steps at their times, and waits until the queue is
//! drained.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::account::{self, Ledger};
use super::crew::Crew;
use super::destination::Destination;
use super::faults::{Faults, Window};
use super::hanging::Hanging;
use super::peer::Processes;
use super::plan::{Action, Step};
use super::producer::Producer;
use super::{Homes, LEASE, Options};
use crate::process::Signal;
use crate::queue::Queue;
use crate::redis::RedisServer;
use crate::scripts::Script;
use crate::wait;

/// Every waiting job is due or expires within half a minute. The rest of the time is for a loaded machine.
const DRAIN_DEADLINE: Duration = Duration::from_secs(120);

/// The calls that move jobs. A proxy can search for them.
const MOVING: [Script; 10] = [
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
];

struct Scene {
    redis: RedisServer,
    homes: Homes,
    crew: Crew,
    faults: Faults,
    /// How often each action was taken.
    taken: BTreeMap<&'static str, usize>,
}

pub(super) fn play(options: &Options, plan: &[Step]) -> Ledger {
    let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let processes = Processes::default();
    let destination = Destination::start(processes.clone());
    let crew = Crew::new(&redis, options.workers, options.homes, processes, calls(&redis));
    let homes = options.homes;
    let mut scene = Scene { redis, homes, crew, faults: Faults::default(), taken: BTreeMap::new() };
    scene.prepare();
    scene.crew.start_all(&scene.redis);
    let keys = scene.queues().map(|queue| queue.key("jobs")).collect();
    let hanging = if options.hostile { Hanging::start() } else { Hanging::default() };
    let producer = Producer::start(scene.redis.port, keys, destination.url(), hanging, options.rate);
    let start = Instant::now();
    for step in plan {
        scene.wait_until(start + step.at);
        scene.take(step.action);
    }
    scene.wait_until(start + options.time);
    scene.crew.start_all(&scene.redis);
    let jobs = producer.stop();
    let drained = scene.drain();
    if drained.is_ok() {
        scene.crew.stop();
    }
    scene.taken.insert("start of a worker without Redis", scene.crew.false_starts);
    let dead: Vec<_> = scene.queues().flat_map(|queue| queue.dead()).collect();
    let visits = destination.visits();
    let mut ledger = account::close(options, &jobs, &visits, &dead, &scene.faults, scene.taken);
    if let Err(state) = drained {
        let logs = scene.crew.logs();
        ledger.problems.insert(0, format!("not drained within {DRAIN_DEADLINE:?}: {state}\n{logs}"));
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

impl Scene {
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
            self.crew.look_after(&self.redis);
            let left = time.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LEASE / 10));
        }
    }

    fn take(&mut self, action: Action) {
        let (crew, faults) = (&mut self.crew, &mut self.faults);
        match action {
            Action::Kill(worker) => crew.end(worker, Signal::SIGKILL, faults),
            Action::Leave(worker) => crew.end(worker, Signal::SIGTERM, faults),
            Action::Start(worker) => crew.start(&self.redis, worker),
            Action::Pause(worker) => crew.pause(worker, faults),
            Action::Resume(worker) => crew.resume(worker, faults),
            Action::Cut(worker) => crew.cut(worker, faults),
            Action::Break(worker, way) => crew.break_connections(worker, way, faults),
            Action::Sweep(worker) => crew.sweep(worker, faults),
            Action::FlushScripts => drop(self.redis.command(&["SCRIPT", "FLUSH"])),
            Action::RestartRedis => self.restart_redis(),
            Action::PauseRedis => {
                faults.begin(Window::RedisPaused, None);
                self.redis.signal(Signal::SIGSTOP);
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

    fn restart_redis(&mut self) {
        self.faults.begin(Window::RedisRestarted, None);
        self.redis.restart();
        self.faults.end(None);
    }

    /// # Errors
    ///
    /// The jobs that are left.
    fn drain(&mut self) -> Result<(), String> {
        let crew = &mut self.crew;
        wait::poll(DRAIN_DEADLINE, || {
            crew.look_after(&self.redis);
            let left = |home: &&str| Queue::new(&self.redis, home).drained();
            self.homes.iter().try_for_each(|home| left(home).map_err(|left| format!("{home}: {left}")))
        })
    }
}
