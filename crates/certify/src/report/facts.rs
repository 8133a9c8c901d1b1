//! The server and the machine of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::server::Claimed;

/// The server.
#[derive(Debug, Serialize)]
pub struct ServerFacts {
    /// `Redis 7.0.15`, `Valkey 9.1.0`.
    pub version: String,
    /// `one server`, `cluster` or `Sentinel`.
    pub topology: &'static str,
    /// How many servers have the keys.
    pub nodes: usize,
    /// How long a command takes, ms.
    pub round_trip_ms: u64,
    /// The settings that decide whether it can lose what it has acknowledged.
    pub settings: BTreeMap<&'static str, String>,
}

/// The machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The operating system and its kernel.
    pub system: String,
    /// The architecture.
    pub architecture: &'static str,
    /// The processor.
    pub processor: String,
    /// How many processors may be used.
    pub processors: usize,
    /// Memory, MiB.
    pub memory_mib: u64,
}

impl ServerFacts {
    pub(crate) fn of(claimed: &Claimed) -> Self {
        let text =
            |name: &str| claimed.nodes.first().and_then(|info| info.get(name)).cloned().unwrap_or_default();
        let version = match (text("valkey_version"), text("redis_version")) {
            (valkey, redis) if valkey.is_empty() => format!("Redis {redis}"),
            (valkey, _) => format!("Valkey {valkey}"),
        };
        let on_or_off = |text: String| if text == "1" { "yes" } else { "no" }.to_owned();
        let mut settings = BTreeMap::from([
            ("appendonly", on_or_off(text("aof_enabled"))),
            ("maxmemory", text("maxmemory")),
            ("maxmemory-policy", text("maxmemory_policy")),
            ("connected_slaves", text("connected_slaves")),
        ]);
        if let Some(fsync) = claimed.server.config.get("appendfsync") {
            settings.insert("appendfsync", fsync.clone());
        }
        settings.retain(|_, value| !value.is_empty());
        let (topology, nodes) = (claimed.topology(), claimed.nodes.len());
        Self { version, topology, nodes, round_trip_ms: claimed.server.round_trip_ms, settings }
    }
}

impl Machine {
    /// This one.
    pub(crate) fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kibibytes = memory.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        Self {
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            architecture: std::env::consts::ARCH,
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kibibytes.unwrap_or(0) >> 10,
        }
    }
}
