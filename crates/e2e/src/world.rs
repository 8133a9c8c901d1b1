//! What most tests need: a Redis server, a destination, and the `postrider` binary of one build.

use crate::process::{Build, Output, Postrider};
use crate::queue::Queue;
use crate::redis::RedisServer;
use crate::sink::Sink;
use crate::wait::DEADLINE;

/// The surroundings of the processes of a test.
pub struct World {
    /// The Redis server of all processes.
    pub redis: RedisServer,
    /// The destination of the jobs.
    pub sink: Sink,
    build: Build,
    environment: Vec<(String, String)>,
}

impl World {
    /// Starts a Redis server and a destination.
    ///
    /// # Panics
    ///
    /// If one of them does not start.
    pub fn new(build: Build) -> World {
        World::on(build, RedisServer::start())
    }

    /// Like [`World::new`], on a Redis server that runs already.
    ///
    /// # Panics
    ///
    /// If the destination does not start.
    pub fn on(build: Build, redis: RedisServer) -> World {
        let environment = vec![("POSTRIDER_REDIS_URL".to_owned(), redis.url())];
        World { redis, sink: Sink::start(), build, environment }
    }

    /// Sets an environment variable of all processes that are started from now on.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> World {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The queue `default`.
    pub fn queue(&self) -> Queue<'_> {
        Queue::new(&self.redis, "default")
    }

    /// Starts a worker and waits until it reads its queue.
    ///
    /// # Panics
    ///
    /// With its log if it does not.
    pub fn worker(&self, arguments: &[&str]) -> Postrider {
        self.worker_with(arguments, &[])
    }

    /// Like [`World::worker`], with more environment variables, which take precedence.
    ///
    /// # Panics
    ///
    /// With its log if it does not.
    pub fn worker_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Postrider {
        let environment = [&self.environment()[..], environment].concat();
        Postrider::ready_worker(self.build, &self.redis, arguments, &environment)
    }

    /// Starts a worker through another program that executes it, for example `["prlimit", "--nofile=36"]`.
    ///
    /// # Panics
    ///
    /// With its log if it does not read its queue.
    pub fn worker_through(&self, program: &[&str], arguments: &[&str]) -> Postrider {
        Postrider::ready_worker_through(program, self.build, &self.redis, arguments, &self.environment())
    }

    /// Runs a command that ends by itself.
    ///
    /// # Panics
    ///
    /// With its output if it does not end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Postrider::run(self.build, arguments, &self.environment(), DEADLINE)
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}
