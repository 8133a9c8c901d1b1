//! What a server reports of itself, and streams beside those of queues.

use std::collections::HashMap;
use std::fmt;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, StreamsInterface};
use fred::types::Key;
use fred::types::{CustomCommand, Value};
use fred_otel::Command;

use super::connection::Connection;
use super::keys::QueueName;

/// The reply of INFO, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo(HashMap<String, String>);

impl ServerInfo {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    pub(crate) async fn read(redis: &Connection) -> Result<Self, Error> {
        let call = |client: Client| async move {
            let info: String =
                client.custom(CustomCommand::new_static("INFO", None, false), Vec::<Value>::new()).await?;
            Ok(info)
        };
        Ok(Self::parse(&redis.run(None, Command::new("INFO"), call).await?))
    }

    /// One entry; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether the server reported nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Redis 7.0.15`, `Valkey 8.1.0`; empty if the server does not report it.
    pub fn version(&self) -> String {
        match (self.get("valkey_version"), self.get("redis_version")) {
            ("", "") => String::new(),
            ("", redis) => format!("Redis {redis}"),
            (valkey, _) => format!("Valkey {valkey}"),
        }
    }

    /// Settings of the server that can lose jobs, each with what to do.
    pub fn dangers(&self) -> Vec<String> {
        let mut dangers = Vec::new();
        let policy = self.get("maxmemory_policy");
        if policy.starts_with("allkeys-") {
            dangers.push(format!(
                "Redis evicts: maxmemory-policy {policy} deletes whole queues when its memory is full; set noeviction"
            ));
        }
        if self.get("aof_enabled") == "0" {
            dangers.push(
                "Redis has no append-only file: a crash loses the jobs since its last snapshot, if it makes any; set \
                 appendonly yes"
                    .to_owned(),
            );
        }
        dangers
    }
}

/// A key that is meant to be the stream of a queue and is none: most often its braces are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray(String);

impl Stray {
    /// By its key.
    pub(crate) fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Looks for the stream of a queue without braces.
    pub(crate) async fn of(redis: &Connection, queue: &QueueName) -> Result<Option<Self>, Error> {
        let key = format!("postrider:{queue}:jobs");
        let name = Key::from(key.as_str());
        let count = |client: Client| {
            let name = name.clone();
            async move { client.xlen::<u64, _>(name).await }
        };
        let (entries, pending) = redis.defer(&name, Command::new("XLEN"), count).await;
        pending.discard();
        Ok((entries? > 0).then_some(Self(key)))
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.escape_debug();
        let name = self.0.strip_prefix("postrider:").and_then(|rest| rest.strip_suffix(":jobs"));
        let name: String =
            name.unwrap_or_default().chars().filter(|character| !"{}".contains(*character)).collect();
        match name.parse::<QueueName>() {
            Ok(name) => write!(
                f,
                "no worker reads {key}: the braces are part of the key; write postrider:{{{name}}}:jobs (in a Python \
                 f-string, each brace twice)"
            ),
            Err(error) => write!(f, "no worker reads {key}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_can_lose_jobs_is_named_with_the_remedy() {
        let dangers = |info: &str| ServerInfo::parse(info).dangers();
        assert_eq!(dangers("# Memory\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n"), [""; 0]);
        assert_eq!(dangers(""), [""; 0], "a user without the right learns nothing");
        let both = dangers("maxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n");
        assert!(both[0].contains("allkeys-lru") && both[0].contains("noeviction"), "{both:?}");
        assert!(both[1].contains("appendonly yes"), "{both:?}");
        assert_eq!(ServerInfo::parse("redis_version:7.0.15\r\n").version(), "Redis 7.0.15");
        assert_eq!(
            ServerInfo::parse("redis_version:7.2.4\nvalkey_version:8.1.0\n").version(),
            "Valkey 8.1.0"
        );
    }

    #[test]
    fn a_stray_stream_is_named_with_the_right_key() {
        let text = Stray::new("postrider:mail:jobs").to_string();
        assert!(text.starts_with("no worker reads postrider:mail:jobs: "), "{text}");
        assert!(text.contains("write postrider:{mail}:jobs"), "{text}");
        assert!(Stray::new("postrider:{{mail}}:jobs").to_string().contains("write postrider:{mail}:jobs"));
        assert!(Stray::new("postrider:{a b}:jobs").to_string().contains("a queue's name must be"));
    }
}
