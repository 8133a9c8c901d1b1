//! The worker's scripts, called by EVAL from their own files, with the arguments that their headers define.

mod by_hand;
mod callback;
mod control;
mod flows;
mod log;
mod stage;

pub use callback::{CALLBACK_ID, REPORT};
pub use control::CONTROL;
pub use flows::{Ask, Report, flow_key};
pub use log::LOG_BOUNDS;
pub use stage::{Copies, RunningJob, Stage};

const GROUP: &str = "postrider";

/// The mark of the shard `default`.
pub const MARK: &str = "mark-of-the-shard";

/// The id of a flow, as it appears in Redis keys.
pub const FLOW: &str = "0123456789abcdef";

macro_rules! scripts {
    ($($variant:ident $name:literal),+ $(,)?) => {
        /// One of the scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Script {
            $(
                #[doc = concat!("`", $name, ".lua`")]
                $variant,
            )+
        }

        impl Script {
            /// All of them.
            pub const ALL: &[Script] = &[$(Script::$variant,)+];

            fn file(self) -> &'static str {
                match self {
                    $(Script::$variant => {
                        include_str!(concat!("../../queue/src/redis/lua/", $name, ".lua"))
                    })+
                }
            }
        }
    };
}

scripts! {
    Join "join",
    Complete "complete",
    CompleteWithResult "complete_with_result",
    Count "count",
    Postpone "postpone",
    HandBack "hand_back",
    DeadLetter "dead_letter",
    DeadLetterEntry "dead_letter_entry",
    Extend "extend",
    Reclaim "reclaim",
    Promote "promote",
    Sweep "sweep",
    Requeue "requeue",
    ClaimLost "claim_lost",
    Admit "admit",
    FlowAcquire "flow_acquire",
    FlowReport "flow_report",
    FlowRelease "flow_release",
    CronTick "cron_tick",
    TakeTurns "take_turns",
    Leave "leave",
    Enqueue "enqueue",
    EnqueueAll "enqueue_all",
    EnqueueInSeries "enqueue_in_series",
    KeyHomes "key_homes",
    ClaimKeys "claim_keys",
    Reshard "reshard",
    CancelReady "cancel_ready",
    CancelWaiting "cancel_waiting",
    RunNow "run_now",
    Replay "replay",
    Search "search",
    SearchWaiting "search_waiting",
    SearchLog "search_log",
    Control "control",
    Pause "pause",
    Resume "resume",
}

impl Script {
    /// The scripts that end the lease of one job.
    pub const SETTLING: [Script; 6] = [
        Script::Complete,
        Script::CompleteWithResult,
        Script::Postpone,
        Script::HandBack,
        Script::DeadLetter,
        Script::DeadLetterEntry,
    ];

    /// The parts of the prelude that the file names, and the file.
    fn parts(self) -> Vec<&'static str> {
        let prelude = include_str!("../../queue/src/redis/lua/prelude.lua");
        let uses = self.file().lines().find_map(|line| line.strip_prefix("-- Uses ")).unwrap_or_default();
        let part = |name: &str| {
            let mut parts = prelude.split("\n---- ").filter_map(|part| part.split_once('\n'));
            parts.find(|(own, _)| *own == name).map(|(_, part)| part).expect("the prelude has this part")
        };
        let names = uses.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(part).chain([self.file()]).collect()
    }

    /// The text that a worker sends.
    pub fn source(self) -> String {
        self.parts().join("\n")
    }

    /// The commands that the script may call, from its text.
    pub fn commands(self) -> Vec<&'static str> {
        let mut commands: Vec<&str> = Vec::new();
        for text in self.parts().into_iter().flat_map(|part| part.split("call('").skip(1)) {
            let command = text.split('\'').next().unwrap_or_default();
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}

/// One call of a script.
#[derive(Clone, Debug)]
pub struct Call {
    /// The script to call.
    pub script: Script,
    /// KEYS
    pub keys: Vec<String>,
    /// ARGV
    pub args: Vec<Vec<u8>>,
}

impl Call {
    fn new(script: Script, keys: &[&str], args: &[&str]) -> Call {
        let keys = keys.iter().map(|what| key(what)).collect();
        Call { script, keys, args: args.iter().map(|arg| arg.as_bytes().to_vec()).collect() }
    }

    /// Settles one running job with `script`: schedules it for now, dead-letters it or hands it back with
    /// `fields`, or stores a result.
    ///
    /// # Panics
    ///
    /// If the script does not settle jobs.
    pub fn settle(script: Script, held: &RunningJob, fields: &[(&str, &str)]) -> Call {
        let own = [GROUP, &held.consumer, &held.id, &held.count];
        let call = |keys: &[&str], more: &[&str]| Call::new(script, keys, &[&own, more].concat());
        let result = format!("result:{}", held.id);
        match script {
            Script::Complete => {
                Call::new(script, &["jobs", "stats"], &[GROUP, &held.consumer, "100000", "", "0", &held.id])
            }
            Script::CompleteWithResult => call(&["jobs", &result, "stats"], &["60000", "{}"]),
            Script::Postpone => {
                let keys = ["jobs", "waiting", "scheduled", "scheduled", "scheduled", "stats"];
                call(&keys, &[&held.job_id, "retry", "0", "0", "0", "0", "0", MARK]).with_fields(fields)
            }
            Script::HandBack => call(&["jobs"], &[]).with_fields(fields),
            Script::DeadLetter => {
                call(&["jobs", "dead", "sizes", &result, "stats"], &by_hand::BOUNDS).with_fields(fields)
            }
            Script::DeadLetterEntry => call(
                &["jobs", "dead", "sizes", &result, "stats"],
                &[&by_hand::BOUNDS[..], &["65536", "1", MARK]].concat(),
            )
            .with_fields(
                &fields.iter().filter(|(name, _)| name.starts_with('_')).copied().collect::<Vec<_>>(),
            ),
            other => panic!("{other:?} settles nothing"),
        }
    }

    /// The same for succeeded jobs that must still be held at this delivery count, as those of a line.
    #[must_use]
    pub fn still_held(mut self, count: &str) -> Call {
        if self.script == Script::Complete {
            self.args[3] = count.as_bytes().to_vec();
        }
        self
    }

    /// Extends one lease.
    pub fn extend(held: &RunningJob) -> Call {
        let args = [GROUP, &held.consumer, r#"{"lease_ms":1000}"#, "100000", &held.id, &held.count];
        Call::new(Script::Extend, &["jobs", "workers"], &args)
    }

    /// Asks for the turn of an ordered job with this place.
    pub fn take_turns(held: &RunningJob, place: &str) -> Call {
        let args = [GROUP, &held.consumer, MARK, "100000", &held.id, &held.count, place];
        Call::new(Script::TakeTurns, &["jobs", "order", "order_waiting"], &args)
    }

    /// Takes over up to ten jobs with an expired lease, suspects or not, at any Redis time. `lease_ms` is the
    /// lease of a worker that stored none.
    pub fn reclaim(consumer: &str, lease_ms: u32) -> Call {
        let args =
            [GROUP, consumer, &lease_ms.to_string(), "10", "10", "0", "0", "9999999999999", "4194304", "5"];
        Call::new(Script::Reclaim, &["jobs", "workers"], &args)
    }

    /// Moves up to a hundred due jobs to the stream.
    pub fn promote() -> Call {
        let keys = ["jobs", "waiting", "scheduled", "rejected", "flows", "expiring", "stats"];
        Call::new(Script::Promote, &keys, &["100", "1000"])
    }

    /// Removes a consumer from the list.
    pub fn leave(consumer: &str) -> Call {
        Call::new(Script::Leave, &["jobs", "workers"], &[GROUP, consumer, MARK])
    }

    /// Creates the group.
    pub fn join() -> Call {
        Call::new(Script::Join, &["jobs", "mark"], &[GROUP, MARK])
    }

    fn with_fields(mut self, fields: &[(&str, &str)]) -> Call {
        for (name, value) in fields {
            self.args.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        }
        self
    }

    fn command(&self) -> Vec<Vec<u8>> {
        let mut command: Vec<Vec<u8>> =
            vec![b"EVAL".to_vec(), self.script.source().into(), self.keys.len().to_string().into()];
        command.extend(self.keys.iter().map(|key| key.clone().into_bytes()));
        command.extend(self.args.iter().cloned());
        command
    }
}

/// The key of the queue `default` with that last part, in its first shard.
pub fn key(what: &str) -> String {
    key_of(0, what)
}

/// The key of a shard of the queue `default` with that last part.
pub fn key_of(shard: u32, what: &str) -> String {
    let tag = if shard == 0 { "default".to_owned() } else { format!("default/{shard}") };
    format!("postrider:{{{tag}}}:{what}")
}
