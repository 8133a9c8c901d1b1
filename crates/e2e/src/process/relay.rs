//! `postrider relay` as a process.

use super::{Build, Postrider};
use crate::postgres::PostgresServer;
use crate::redis::RedisServer;

impl Postrider {
    /// Starts `postrider relay` between these servers.
    ///
    /// # Panics
    ///
    /// If there is no binary.
    pub fn relay(
        build: Build,
        postgres: &PostgresServer,
        redis: &RedisServer,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Postrider {
        let (postgres, redis) = (postgres.url(), redis.url());
        let mut variables =
            vec![("POSTRIDER_POSTGRES", postgres.as_str()), ("POSTRIDER_REDIS_URL", redis.as_str())];
        variables.extend_from_slice(environment);
        Postrider::spawn(build.command(&[&["relay"], arguments].concat(), &variables))
    }
}
