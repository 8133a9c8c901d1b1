//! The log subscriber: `tracing` events as lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat};
use crate::imp;
use crate::start::StartError;

pub(crate) fn install(log: &Log, bridge: imp::Bridge) -> Result<(), StartError> {
    let filter: Targets = format!("{}{}", imp::QUIET, log.filter)
        .parse()
        .map_err(|_| StartError::LogFilter(log.filter.clone()))?;
    // A single word that is no level would name a module and silence all others.
    let is_level = |word: &str| word.trim().parse::<LevelFilter>().is_ok();
    if log.filter.split(',').any(|part| !part.contains('=') && !is_level(part)) {
        return Err(StartError::LogFilter(log.filter.clone()));
    }
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(colours()).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(bridge)
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|_| StartError::LogInstalled)
}

/// <https://no-color.org>
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
