//! The server's version, settings, clock and rights, as far as this user may ask for them.

use std::collections::HashMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fred::types::Value;

use super::{Inspector, ShardName, array, text};
use crate::job::FlowId;
use crate::redis::{Error, GROUP, Keys, Topology};

/// A server, or one node of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Its INFO, by name; empty if the user may not call INFO.
    pub info: HashMap<String, String>,
    /// Its settings from CONFIG GET; empty if the user may not call that.
    pub config: HashMap<String, String>,
    /// How far its clock is ahead of this machine's, ms.
    pub ahead_ms: i64,
    /// How long a command takes, ms.
    pub round_trip_ms: u64,
    /// How it was found. Of a cluster, this is one node.
    pub topology: Topology,
}

/// The reply of ACL DRYRUN for an allowed command.
const MAY: &str = "OK";

/// A command that the worker or the tools need, with arguments that do nothing.
#[derive(Clone, Debug)]
struct Probe(&'static str, Vec<Value>);

impl Inspector {
    /// Reads the server's INFO, settings and clock.
    ///
    /// # Errors
    /// fred's, if not even TIME works.
    pub async fn server(&self) -> Result<Server, Error> {
        let (before, began) = (SystemTime::now(), Instant::now());
        let theirs = self.now().await? as i64;
        let took = began.elapsed();
        let ours = (before + took / 2).duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        let info = self.command("INFO", None, vec![]).await;
        let info = info.and_then(|info| text(&info)).unwrap_or_default();
        Ok(Server {
            info: parse_info(&info),
            config: self.config().await.unwrap_or_default(),
            ahead_ms: theirs - ours,
            round_trip_ms: took.as_millis() as u64,
            topology: self.redis.topology(),
        })
    }

    /// Redis' clock, Unix ms.
    ///
    /// # Errors
    /// fred's.
    pub async fn now(&self) -> Result<u64, Error> {
        let time = array(self.command("TIME", None, vec![]).await?)?;
        let part = |index: usize| time.get(index).and_then(Value::as_u64).unwrap_or(0);
        Ok(part(0) * 1000 + part(1) / 1000)
    }

    async fn config(&self) -> Result<HashMap<String, String>, Error> {
        let mut config = HashMap::new();
        for name in ["maxmemory-policy", "appendonly", "appendfsync", "save", "min-replicas-to-write"] {
            let reply = self.command("CONFIG", None, vec!["GET".into(), name.into()]).await?;
            // A map in RESP3, else a list of name and value.
            let value = match reply {
                Value::Map(map) => map.inner().into_values().next(),
                list => array(list)?.pop(),
            };
            if let Some(value) = value {
                config.insert(name.to_owned(), text(&value)?);
            }
        }
        Ok(config)
    }

    /// The commands that the worker and the tools need and this user may not call, with the server's message.
    ///
    /// # Errors
    /// fred's, if the connection breaks.
    pub async fn refused(&self, queue: &ShardName) -> Result<Vec<(String, String)>, Error> {
        let user = match self.command("ACL", None, vec!["WHOAMI".into()]).await {
            Ok(user) => text(&user).ok(),
            Err(_) => None,
        };
        let mut refused = Vec::new();
        for Probe(name, args) in probes(queue) {
            let named = match args.first().and_then(Value::as_str) {
                Some(part) if ["XINFO", "XGROUP", "CLIENT"].contains(&name) => format!("{name}|{part}"),
                _ => name.to_owned(),
            };
            let answer = match self.dry_run(user.as_deref(), name, &args).await {
                Some(answer) => answer,
                None => self.try_out(name, args).await?,
            };
            if answer != MAY {
                refused.push((named, answer));
            }
        }
        Ok(refused)
    }

    /// The reply of ACL DRYRUN, which does not run the command; `None` if the server or the user cannot call
    /// it.
    async fn dry_run(&self, user: Option<&str>, name: &'static str, args: &[Value]) -> Option<String> {
        let mut call: Vec<Value> = vec!["DRYRUN".into(), user?.into(), name.into()];
        call.extend(args.iter().cloned());
        text(&self.command("ACL", None, call).await.ok()?).ok()
    }

    /// Calls the command with arguments that do nothing. Redis checks the right before the arguments.
    async fn try_out(&self, name: &'static str, args: Vec<Value>) -> Result<String, Error> {
        match self.command(name, None, args).await {
            Ok(_) => Ok(MAY.to_owned()),
            Err(error) => match fred_otel::reply_code(&error) {
                Some("NOPERM") => Ok(error.details().to_owned()),
                // Refused for its arguments, as intended.
                Some(_) => Ok(MAY.to_owned()),
                None => Err(error),
            },
        }
    }
}

/// The fields of INFO, by name.
pub(super) fn parse_info(info: &str) -> HashMap<String, String> {
    let fields = info.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// All use keys that do not exist, and none creates one: a command that would gets arguments that Redis
/// refuses after it has checked the right.
fn probes(queue: &ShardName) -> Vec<Probe> {
    let key = format!("postrider:{{{queue}}}:doctor");
    let of = |name: &'static str, args: &[&str]| {
        let args = args.iter().map(|arg| if *arg == "KEY" { key.as_str().into() } else { (*arg).into() });
        Probe(name, args.collect())
    };
    vec![
        of("XADD", &["KEY", "NOMKSTREAM", "*", "a", "b"]),
        of("XREADGROUP", &["GROUP", GROUP, "doctor", "COUNT", "1", "STREAMS", "KEY", ">"]),
        of("XACK", &["KEY", GROUP, "0-1"]),
        of("XDEL", &["KEY", "0-1"]),
        of("XCLAIM", &["KEY", GROUP, "doctor", "0", "0-1", "JUSTID"]),
        of("XPENDING", &["KEY", GROUP]),
        of("XRANGE", &["KEY", "-", "+", "COUNT", "1"]),
        of("XREVRANGE", &["KEY", "+", "-", "COUNT", "1"]),
        of("XTRIM", &["KEY", "MAXLEN", "0"]),
        of("XLEN", &["KEY"]),
        of("XGROUP", &["CREATE", "KEY", GROUP, "0"]),
        of("XGROUP", &["DELCONSUMER", "KEY", GROUP, "doctor"]),
        of("XINFO", &["STREAM", "KEY"]),
        of("XINFO", &["GROUPS", "KEY"]),
        of("XINFO", &["CONSUMERS", "KEY", GROUP]),
        of("HSET", &["KEY", "a", "b", "c"]),
        of("HGET", &["KEY", "a"]),
        of("HMGET", &["KEY", "a"]),
        of("HGETALL", &["KEY"]),
        of("HEXISTS", &["KEY", "a"]),
        of("HKEYS", &["KEY"]),
        of("HLEN", &["KEY"]),
        of("HSCAN", &["KEY", "0"]),
        of("HDEL", &["KEY", "a"]),
        of("PEXPIRE", &["KEY", "1"]),
        of("ZADD", &["KEY", "XX", "1", "a"]),
        of("ZREM", &["KEY", "a"]),
        of("ZRANGE", &["KEY", "0", "0"]),
        of("ZRANGEBYSCORE", &["KEY", "0", "0"]),
        of("ZSCORE", &["KEY", "a"]),
        of("ZCARD", &["KEY"]),
        of("GET", &["KEY"]),
        of("SET", &["KEY", "a", "XX", "PX", "1"]),
        of("EXISTS", &["KEY"]),
        of("EVAL", &["return 1", "1", "KEY"]),
        of("EVALSHA", &["0000000000000000000000000000000000000000", "1", "KEY"]),
        of("SCAN", &["0", "COUNT", "1"]),
        // These end a blocking read. No client has the id 0.
        of("CLIENT", &["ID"]),
        of("CLIENT", &["UNBLOCK", "0"]),
        of("TIME", &[]),
        of("PING", &[]),
        // These keys have other patterns than those of queues.
        Probe("HSET", vec![Keys::limits(FlowId::of("doctor")).into(), "a".into(), "b".into(), "c".into()]),
        Probe("HSET", vec![Keys::control().into(), "a".into(), "b".into(), "c".into()]),
    ]
}
