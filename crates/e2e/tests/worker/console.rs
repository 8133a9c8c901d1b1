//! The HTTP API of `postrider console`.

mod access;
mod audit;
mod beside;
mod browser;
mod change;
mod counts;
mod cron;
mod document;
mod enqueue;
mod find;
mod hostile;
mod order;
mod pages;
mod pause;
mod pictures;
mod sign_in;
mod strange;
mod tail;

use std::net::SocketAddr;
use std::time::Duration;

use e2e::http_call::exchange;
use e2e::process::{Build, Postrider};
use e2e::wait::DEADLINE;
use e2e::world::World;
use serde_json::Value;

const BUILD: Build = Build::Lean;
const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
/// Nothing listens on this port.
const NOWHERE: &str = "http://127.0.0.1:9/x";

/// A console that runs.
struct Console {
    process: Postrider,
    address: SocketAddr,
}

impl Console {
    fn start(world: &World) -> Console {
        Console::with(world, &[])
    }

    fn with(world: &World, arguments: &[&str]) -> Console {
        let variables = [("POSTRIDER_REDIS_URL", &*world.redis.url())];
        let (process, address) = Postrider::console(BUILD, arguments, &variables);
        Console { process, address }
    }

    /// The status, and the JSON of the body.
    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let answer = exchange(
            self.address,
            method,
            path,
            headers,
            body.as_bytes(),
            DEADLINE + Duration::from_secs(30),
        );
        let answer = answer.expect("an answer");
        let body = serde_json::from_slice(&answer.body);
        (
            answer.status,
            body.unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&answer.body))),
        )
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, &[], "")
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call("POST", path, &[JSON], &body.to_string())
    }

    #[track_caller]
    fn refuses(&self, request: (&str, &str, &[(&str, &str)], &str), status: u16, part: &str) {
        let (method, path, headers, body) = request;
        let (answered, problem) = self.call(method, path, headers, body);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(answered == status && detail.contains(part), "{method} {path}: {answered} {problem}");
        assert_eq!(problem["status"], status);
    }
}
