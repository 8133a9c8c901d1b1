//! The Lua scripts, one for each transition. Each file documents its KEYS, ARGV and result, and names the parts of
//! `lua/prelude.lua` that are put before it.

use fred::bytes_utils::Str;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::{Key, Value};
use fred_otel::{Command, Pending};
use telemetry::Context;

use super::connection::Connection;
use super::reply::of_command;

/// A script: its name in spans, and the SHA-1 under which servers cache it.
#[derive(Debug)]
pub(crate) struct Script {
    name: &'static str,
    source: String,
    sha1: Str,
}

/// What scripts share, in parts. A line `---- NAME` begins each part.
const PRELUDE: &str = include_str!("lua/prelude.lua");
/// Begins the line of a script's header that names its parts of the prelude.
const USES: &str = "-- Uses ";

/// Settles ordered jobs: the text of another script is put into it.
const IN_LINE: &str = include_str!("lua/in_line.lua");
/// Where.
const HERE: &str = "  -- HERE\n";

/// A script with its parts of the prelude before it, in the order in which it names them, each once.
///
/// # Panics
/// If there is no such part.
fn with_prelude(script: &str) -> String {
    let part = |name: &str| {
        let parts = PRELUDE.split("\n---- ").skip(1);
        parts.filter_map(|part| part.split_once('\n')).find(|(own, _)| *own == name).map(|(_, text)| text)
    };
    let uses = script.lines().filter_map(|line| line.strip_prefix(USES));
    let mut names: Vec<&str> = vec![];
    for name in uses.flat_map(|names| names.split(',')).map(str::trim) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let parts =
        names.into_iter().map(|name| part(name).unwrap_or_else(|| panic!("the prelude has no part {name}")));
    parts.chain([script]).collect::<Vec<_>>().join("\n")
}

impl Script {
    fn new(name: &'static str, script: &str) -> Self {
        let source = with_prelude(script);
        Self { name, sha1: sha1_smol::Sha1::from(&source).digest().to_string().into(), source }
    }

    /// Calls the script once, under a child span of `parent`. Sends the source to a server that does not know
    /// the script.
    ///
    /// # Errors
    /// fred's, and those of the script. Callers never take them for a malformed job.
    pub(crate) async fn call(
        &self,
        redis: &Connection,
        parent: &Context,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let (result, pending) = self.call_deferred(redis, keys, args).await;
        pending.record(parent, result.as_ref().err());
        result
    }

    /// [`Script::call`] for frequent calls: makes keys and arguments when they are sent, so that nothing is copied in
    /// case the call is repeated. `key` is one of the keys.
    ///
    /// # Errors
    /// As [`Script::call`].
    pub(crate) async fn call_with(
        &self,
        redis: &Connection,
        parent: &Context,
        key: &Key,
        make: impl Fn() -> (Vec<Key>, Vec<Value>) + Sync,
    ) -> Result<Value, Error> {
        let (result, pending) = self.send(redis, key, make).await;
        pending.record(parent, result.as_ref().err());
        result
    }

    /// Calls the script once, for loops that poll: it creates a span only for an error.
    ///
    /// # Errors
    /// As [`Script::call`].
    pub(crate) async fn poll(
        &self,
        redis: &Connection,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let (result, pending) = self.call_deferred(redis, keys, args).await;
        match &result {
            Ok(_) => pending.discard(),
            Err(error) => pending.record(&Context::none(), Some(error)),
        }
        result
    }

    /// Calls the script once. The caller decides on the span when it knows the result.
    pub(crate) async fn call_deferred<'a>(
        &'a self,
        redis: &'a Connection,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> (Result<Value, Error>, Pending<'a>) {
        self.send(redis, &keys[0], || (keys.clone(), args.clone())).await
    }

    /// `make` makes keys and arguments.
    async fn send<'a>(
        &'a self,
        redis: &'a Connection,
        key: &Key,
        make: impl Fn() -> (Vec<Key>, Vec<Value>) + Sync,
    ) -> (Result<Value, Error>, Pending<'a>) {
        let call = |client: Client| {
            let (sha1, (keys, args)) = (self.sha1.clone(), make());
            async move { client.evalsha(sha1, keys, args).await }
        };
        let (result, pending) = redis.defer(key, Command::new("EVALSHA").script_name(self.name), call).await;
        if !is_unknown(&result) {
            return (result.map_err(of_command), pending);
        }
        // This is no error. EVAL runs the script and makes the server cache it, on the right node of a cluster.
        pending.discard();
        let call = |client: Client| {
            let (source, (keys, args)) = (self.source.clone(), make());
            async move { client.eval(source, keys, args).await }
        };
        let (result, pending) = redis.defer(key, Command::new("EVAL").script_name(self.name), call).await;
        (result.map_err(of_command), pending)
    }
}

/// Whether the server does not have the script: it is new, was restarted, or got SCRIPT FLUSH.
fn is_unknown(result: &Result<Value, Error>) -> bool {
    result.as_ref().is_err_and(|error| error.details().starts_with("NOSCRIPT"))
}

macro_rules! scripts {
    ($($name:ident),+ $(,)?) => {
        /// All scripts of the queue.
        #[derive(Debug)]
        pub(crate) struct Scripts {
            $(pub(crate) $name: Script,)+
            /// The same for ordered jobs.
            pub(crate) in_line: InLine,
        }

        impl Scripts {
            pub(crate) fn new() -> Self {
                Self {
                    in_line: InLine::new(),
                    $($name: Script::new(
                        stringify!($name),
                        include_str!(concat!("lua/", stringify!($name), ".lua")),
                    ),)+
                }
            }

            fn all(&self) -> Vec<&Script> {
                [vec![$(&self.$name,)+], self.in_line.all()].concat()
            }
        }
    };
}

macro_rules! in_line_scripts {
    ($($name:ident),+ $(,)?) => {
        /// The scripts that settle ordered jobs: those of the transitions, in `lua/in_line.lua`.
        #[derive(Debug)]
        pub(crate) struct InLine {
            $(pub(crate) $name: Script,)+
        }

        impl InLine {
            fn new() -> Self {
                Self {
                    $($name: Script::new(
                        concat!(stringify!($name), "_in_line"),
                        &IN_LINE.replace(HERE, include_str!(concat!("lua/", stringify!($name), ".lua"))),
                    ),)+
                }
            }

            fn all(&self) -> Vec<&Script> {
                vec![$(&self.$name,)+]
            }
        }
    };
}

in_line_scripts! {
    complete, complete_with_result, dead_letter, dead_letter_entry, hand_back, cancel_ready, cancel_waiting,
}

scripts! {
    join, complete, complete_with_result, count, postpone, hand_back, dead_letter, dead_letter_entry, extend, reclaim, promote, sweep, requeue, claim_lost, admit,
    flow_acquire, flow_report, flow_release, leave, enqueue, enqueue_all, enqueue_in_series, key_homes, claim_keys, reshard, reopen, shrunk, survey,
    peek, peek_waiting, search, search_waiting, search_log, cancel_ready, cancel_waiting, run_now, replay, stats, control, watch, pause, resume,
    cron_apply, cron_due, cron_pause, cron_tick, notice, take_turns, sweep_lines, sweep_order_waiting, drop_places, resume_line,
}

/// The name and the text of every script, as it is sent to Redis.
pub fn script_sources() -> Vec<(&'static str, String)> {
    Scripts::new().all().into_iter().map(|script| (script.name, script.source.clone())).collect()
}

/// The name of every script, and the SHA-1 by which calls name it.
pub fn script_digests() -> Vec<(&'static str, String)> {
    Scripts::new().all().into_iter().map(|script| (script.name, script.sha1.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_the_parts_that_it_uses_and_no_other() {
        let Scripts { complete, join, flow_release, .. } = Scripts::new();
        assert!(complete.source.contains("function settled(") && complete.source.ends_with("} or letters\n"));
        assert!(!complete.source.contains("function add_dead("));
        assert!(join.source.starts_with("-- Redis' time, Unix ms.\nlocal function clock()"));
        assert_eq!(flow_release.source, include_str!("lua/flow_release.lua"));
    }

    #[test]
    fn the_error_of_a_command_has_its_code_also_from_redis_6() {
        let code = |text: &str| {
            let error = of_command(Error::new(fred::error::ErrorKind::Unknown, text.to_owned()));
            fred_otel::reply_code(&error).map(str::to_owned)
        };
        let six = |text: &str| code(&format!("ERR Error running script (call to f_1d2a): {text}"));
        assert_eq!(six("@user_script:12: NOGROUP No such key 'x'").unwrap(), "NOGROUP");
        assert_eq!(six("@user_script:1: @user_script: 1: -OOM command not allowed").unwrap(), "OOM");
        assert_eq!(six("@user_script:1: @user_script: 1: The user executing the script").unwrap(), "ERR");
        assert_eq!(six("@user_script:7: attempt to index a nil value").unwrap(), "ERR");
        assert_eq!(code("@user_script: 33: -NOPERM this user has no permissions").unwrap(), "NOPERM");
        assert_eq!(code("@user_script: 33: The user executing the script can't run this").unwrap(), "ERR");
        assert_eq!(code("NOGROUP No such key 'x' script: 1d2a, on @user_script:12.").unwrap(), "NOGROUP");
    }

    /// A name that no part defines is an error in Lua only when the line runs.
    #[test]
    fn a_script_names_the_parts_whose_functions_it_calls() {
        let functions: Vec<&str> = PRELUDE
            .lines()
            .filter_map(|line| line.strip_prefix("local function ")?.split_once('('))
            .map(|(name, _)| name)
            .collect();
        assert!(functions.len() > 5, "{functions:?}");
        for script in Scripts::new().all() {
            let calls = |name: &&&str| script.source.contains(&format!("{name}("));
            for name in functions.iter().filter(calls) {
                let defined = script.source.contains(&format!("local function {name}("));
                assert!(defined, "{} calls {name} and does not use its part", script.name);
            }
        }
    }
}
