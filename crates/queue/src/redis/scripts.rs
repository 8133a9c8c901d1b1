//! The Lua scripts, one for each transition. Each file documents its KEYS, ARGV and result.

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::{Key, Value};
use fred_otel::{Command, Pending, TracedClient};
use telemetry::Context;

/// A script: its name in spans, and the SHA-1 under which servers cache it.
#[derive(Debug)]
pub(crate) struct Script {
    name: &'static str,
    source: &'static str,
    sha1: String,
}

impl Script {
    fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, sha1: sha1_smol::Sha1::from(source).digest().to_string() }
    }

    /// Calls the script once, under a child span of `parent`. Sends the source to a server that does not know
    /// the script.
    ///
    /// # Errors
    /// fred's, and those of the script. Callers never take them for a malformed job.
    pub(crate) async fn call(
        &self,
        redis: &TracedClient,
        parent: &Context,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let (result, pending) = self.ask(redis, keys, args).await;
        pending.record(parent, result.as_ref().err());
        result
    }

    /// Calls the script once, for loops that poll: it creates a span only for an error.
    ///
    /// # Errors
    /// As [`Script::call`].
    pub(crate) async fn poll(
        &self,
        redis: &TracedClient,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let (result, pending) = self.ask(redis, keys, args).await;
        match &result {
            Ok(_) => pending.discard(),
            Err(error) => pending.record(&Context::none(), Some(error)),
        }
        result
    }

    /// Calls the script once. The caller decides on the span when it knows the result.
    pub(crate) async fn ask<'a>(
        &'a self,
        redis: &'a TracedClient,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> (Result<Value, Error>, Pending<'a>) {
        let (result, pending) = self.evalsha(redis, keys.clone(), args.clone()).await;
        if is_unknown(&result) {
            // This is no error: EVAL sends the script.
            pending.discard();
            return self.eval(redis, keys, args).await;
        }
        (result, pending)
    }

    async fn evalsha<'a>(
        &'a self,
        redis: &'a TracedClient,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> (Result<Value, Error>, Pending<'a>) {
        let sha1 = self.sha1.clone();
        let call = |client: Client| async move { client.evalsha(sha1, keys, args).await };
        redis.defer(Command::new("EVALSHA").script_name(self.name), call).await
    }

    /// EVAL runs the script and makes the server cache it, on the right node of a cluster.
    async fn eval<'a>(
        &'a self,
        redis: &'a TracedClient,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> (Result<Value, Error>, Pending<'a>) {
        let source = self.source;
        let call = |client: Client| async move { client.eval(source, keys, args).await };
        redis.defer(Command::new("EVAL").script_name(self.name), call).await
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
        }

        impl Scripts {
            pub(crate) fn new() -> Self {
                Self {
                    $($name: Script::new(
                        stringify!($name),
                        include_str!(concat!("lua/", stringify!($name), ".lua")),
                    ),)+
                }
            }
        }
    };
}

scripts! {
    join, complete, complete_with_result, postpone, release, dead_letter, extend, reclaim, promote, sweep, admit,
    flow_acquire, flow_report, flow_release, leave, enqueue, enqueue_all, reshard, reopen, shrunk, survey, peek,
    peek_waiting, cancel_ready, cancel_waiting, run_now, replay, stats,
}
