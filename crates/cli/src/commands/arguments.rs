//! What is wrong with the arguments, and variables that count as unset.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Arg, CommandFactory, ValueEnum};
use telemetry::print_line;

use super::failure::{Usage, failed_as_line};
use super::{Cli, Format, LogArgs};

/// Prints help to standard output, or what is wrong with the arguments to standard error: as the lines of the command
/// would be.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && own_lines_are_json() {
        return failed_as_line(&Usage(first_paragraphs(&error.render().to_string())));
    }
    if error.use_stderr() && !std::io::stderr().is_terminal() {
        print_line(error.render().to_string().trim_end());
    } else {
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether the lines of this process are JSON, also if its arguments are wrong.
pub(super) fn own_lines_are_json() -> bool {
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    lines_are_json(&arguments.collect::<Vec<_>>())
}

/// Whether the lines of the command are JSON. The arguments are looked through, since some are wrong.
fn lines_are_json(arguments: &[String]) -> bool {
    let command = Cli::command();
    let name = arguments.iter().skip(1).find(|argument| command.find_subcommand(argument).is_some());
    let given = arguments.iter().enumerate().find_map(|(index, argument)| match argument.as_str() {
        "--log-format" => arguments.get(index + 1).cloned(),
        _ => argument.strip_prefix("--log-format=").map(str::to_owned),
    });
    let given = given.or_else(|| std::env::var("POSTRIDER_LOG_FORMAT").ok());
    let log_format = given.and_then(|given| Format::from_str(&given, false).ok());
    name.is_some_and(|name| name == "worker" || name == "sink")
        && LogArgs { log_format, filter: None }.is_json()
}

/// What is wrong, without the usage that follows, in one line.
fn first_paragraphs(text: &str) -> String {
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    let text = text.split("\n\nFor more information").next().unwrap_or_default();
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An empty variable counts as unset, as OpenTelemetry's do: `POSTRIDER_QUEUE=` is common in files of variables.
pub(super) fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_reported_in_json_where_lines_are() {
        let json = |arguments: &[&str]| {
            let arguments = ["postrider"].iter().chain(arguments).map(|part| (*part).to_owned());
            lines_are_json(&arguments.collect::<Vec<_>>())
        };
        assert!(json(&["worker", "--log-format", "json", "--bogus"]));
        assert!(json(&["worker", "--log-format=json", "--concurrency", "many"]));
        assert!(json(&["--log-format", "json", "sink", "--listen"]));
        assert!(!json(&["worker", "--bogus", "--log-format", "text"]));
        assert!(!json(&["send", "--log-format", "json", "--bogus"]), "people read it");
        assert!(!json(&["wrong"]) && !json(&[]));
    }

    #[test]
    fn a_message_is_one_line_without_the_usage() {
        let arguments = ["postrider", "worker", "--concurency", "5"];
        let error = Cli::command().try_get_matches_from(arguments).unwrap_err();
        let text = first_paragraphs(&error.render().to_string());
        assert!(text.starts_with("unexpected argument '--concurency' found tip:"), "{text}");
        assert!(text.contains("'--concurrency'") && !text.contains("Usage"), "{text}");
    }
}
