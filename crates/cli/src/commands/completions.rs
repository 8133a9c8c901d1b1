//! `postrider completions`, and the names of queues that its scripts ask for.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::shells::{Bash, Fish, Zsh};
use postrider_queue::admin::Inspector;
use telemetry::Telemetry;
use tokio::time::timeout;

use super::arguments::without_empty_variables;
use super::{Cli, RedisArgs};

/// Print a script that completes commands, options and values in a shell
///
/// Names of queues are completed from the Redis of POSTRIDER_REDIS_URL or POSTRIDER_REDIS_URL_FILE, if it answers within
/// 200 ms. Load the script where your shell does it: `source <(postrider completions bash)`,
/// `source <(postrider completions zsh)`, or `postrider completions fish | source`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What the scripts call. It is no command of [`Cli`]: the scripts would suggest it, also if it were hidden.
#[derive(Debug, Parser)]
#[command(name = "postrider complete")]
pub(super) struct Complete {
    #[command(subcommand)]
    values: Values,
}

#[derive(Debug, Subcommand)]
enum Values {
    /// Print the names of the queues, and nothing if Redis does not answer in time
    Queues(RedisArgs),
}

/// How long a shell may wait for names.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);
const NAME: &str = "postrider";
/// The only value of each option that takes the name of a queue, in the scripts of clap.
const PLACE: &str = "__QUEUES__";
/// What a script runs instead.
const QUEUES: &str = "postrider complete queues 2>/dev/null";

impl CompletionsArgs {
    pub(super) fn run(&self) -> ExitCode {
        // The reader may have gone.
        let _ = io::stdout().write_all(script(self.shell).as_bytes());
        ExitCode::SUCCESS
    }
}

impl Complete {
    /// The arguments, if this is the command.
    pub(super) fn from_args() -> Option<Result<Self, clap::Error>> {
        let arguments = std::env::args_os().skip(1);
        let matches = || without_empty_variables(Self::command()).try_get_matches_from(arguments);
        let is_meant = std::env::args_os().nth(1).is_some_and(|word| word == "complete");
        is_meant.then(|| Self::from_arg_matches(&matches()?))
    }

    /// Prints no error: it would spoil the line that is being typed.
    pub(super) async fn run(self) -> ExitCode {
        let Values::Queues(redis) = &self.values;
        let names = timeout(ANSWER_WITHIN, queues(redis.url())).await.ok().flatten().unwrap_or_default();
        names.iter().for_each(|name| print_line!("{name}"));
        ExitCode::SUCCESS
    }
}

async fn queues(url: &str) -> Option<BTreeSet<String>> {
    let inspector = Inspector::connect(url, &Telemetry::disabled()).await.ok()?;
    let found = inspector.queues().await.ok()?;
    Some(found.shards.iter().map(|shard| shard.queue.to_string()).collect())
}

fn script(shell: Shell) -> String {
    let (mut command, mut written) = (with_place(Cli::command()), Vec::new());
    let place = match shell {
        Shell::Bash | Shell::Zsh => PLACE.to_owned(),
        Shell::Fish => format!("{PLACE}\\t''"),
    };
    let call = match shell {
        Shell::Bash | Shell::Zsh => format!("$({QUEUES})"),
        Shell::Fish => format!("({QUEUES})"),
    };
    match shell {
        Shell::Bash => clap_complete::generate(Bash, &mut command, NAME, &mut written),
        Shell::Zsh => clap_complete::generate(Zsh, &mut command, NAME, &mut written),
        Shell::Fish => clap_complete::generate(Fish, &mut command, NAME, &mut written),
    }
    String::from_utf8_lossy(&written).replace(&place, &call)
}

fn with_place(command: clap::Command) -> clap::Command {
    let place = || PossibleValuesParser::new([PLACE]);
    command
        .mut_args(|arg| match arg.get_id().as_str() {
            "queue" => arg.value_parser(place()).default_value(None::<&'static str>),
            _ => arg,
        })
        .mut_subcommands(with_place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_for_a_queue_asks_for_the_names() {
        for (shell, asks) in [
            (Shell::Bash, "compgen -W \"$(postrider complete queues 2>/dev/null)\""),
            (Shell::Zsh, "]:NAME:($(postrider complete queues 2>/dev/null))'"),
            (Shell::Fish, "-l queue -d 'Queue' -r -f -a \"(postrider complete queues 2>/dev/null)\""),
        ] {
            let script = script(shell);
            assert!(script.contains(asks) && !script.contains(PLACE), "{shell:?}");
        }
    }
}
