//! The log subscriber: `tracing` events as lines on standard error.

mod line;
mod printable;
mod stderr;

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Config, Log, LogFormat};
use crate::error::StartError;
use crate::imp;
use line::Line;
use stderr::Stderr;

pub use printable::{Escape, is_unprintable, printable};
pub use stderr::{flush_lines, print_line};

/// A layer of the subscriber, beside the lines on standard error.
pub(crate) type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

pub(crate) fn install(log: &Log, config: &Config, layers: Vec<BoxedLayer>) -> Result<(), StartError> {
    subscriber(log, config, layers)?.try_init().map_err(|_| StartError::LogInstalled)
}

fn subscriber(
    log: &Log,
    config: &Config,
    mut layers: Vec<BoxedLayer>,
) -> Result<impl Subscriber + for<'a> LookupSpan<'a> + use<>, StartError> {
    let filter = filter(log, config)?;
    let writer = fmt::layer().with_writer(Stderr::new);
    let lines = match log.format {
        LogFormat::Text => {
            let format = Line::Text(fmt::format().with_target(false).with_ansi(colours()));
            writer.with_ansi(colours()).event_format(format).boxed()
        }
        LogFormat::Json => {
            let format = Line::Json(fmt::format().json().flatten_event(true));
            writer.fmt_fields(fmt::format::JsonFields::new()).event_format(format).boxed()
        }
    };
    // One list of layers with a filter each: then a line that no filter accepts costs only the look at its place in the
    // code. Beside a layer without a filter, the filters would be asked each time.
    layers.push(lines.with_filter(filter).boxed());
    Ok(tracing_subscriber::registry().with(layers))
}

/// The program's filter, and for the SDK the level that its own variable sets.
pub(crate) fn filter(log: &Log, config: &Config) -> Result<Targets, StartError> {
    let wrong = || StartError::LogFilter(log.filter.clone());
    // An empty part, or a blank, would name a module and silence all others.
    let parts: Vec<&str> = log.filter.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    // So would a single word that is no level.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_part = |part: &&str| match part.split_once('=') {
        Some((module, level)) => {
            !module.is_empty()
                && !module.contains(char::is_whitespace)
                && !level.is_empty()
                && is_level(level)
        }
        None => is_level(part),
    };
    // And so would a list of modules only.
    let has_level = parts.iter().any(|part| !part.contains('='));
    if !has_level || !parts.iter().all(is_part) {
        return Err(wrong());
    }
    let filter: Targets = parts.join(",").parse().map_err(|_| wrong())?;
    // The SDK logs each failed export; this crate logs one line for each change of a receiver's state.
    let level = config.sdk_log.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::OFF);
    let named: Vec<String> = filter.iter().map(|(target, _)| target.to_owned()).collect();
    let unnamed = imp::SDK_TARGETS.iter().filter(|target| !named.iter().any(|name| name == *target));
    Ok(filter.with_targets(unnamed.map(|target| (*target, level))))
}

/// <https://no-color.org>
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::metadata::Kind;
    use tracing::{Callsite, Level, callsite};

    use super::*;

    #[test]
    fn a_filter_is_understood_or_refused_and_never_silences_all() {
        let config = Config::from_lookup(|_| None);
        let of = |text: &str| filter(&Log { filter: text.to_owned(), format: LogFormat::Json }, &config);
        for text in ["info", "info,", " info", "info\n", ",info", "info, my_crate=debug ,", "INFO"] {
            let filter = of(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert!(filter.would_enable("any", &tracing::Level::INFO), "{text:?}");
        }
        for text in [
            "",
            ",",
            " ",
            "loud",
            "info,loud",
            "=info",
            "info,my crate=info",
            "info debug",
            "info,a=",
            "my_crate=info",
        ] {
            assert!(of(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_internal_span_is_not_asked_for_where_lines_begin_at_info() {
        let config = Config::from_lookup(|_| None);
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = Log { filter: "info".to_owned(), format };
            let subscriber = subscriber(&log, &config, vec![]).expect("the filter is one");
            // With this hint the macros of a lower level compare two numbers and go on.
            assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
            tracing::subscriber::with_default(subscriber, || {
                assert!(tracing::debug_span!("internal").is_disabled());
                assert!(!tracing::info_span!("louder").is_disabled(), "or the above would prove nothing");
            });
        }
    }

    /// The hint alone does not help: an exporter's subscriber wants events of lower levels.
    #[test]
    fn no_filter_is_asked_for_a_line_that_none_accepts() {
        let config = Config::from_lookup(|_| None);
        let log = Log { filter: "info".to_owned(), format: LogFormat::Text };
        let other: BoxedLayer = fmt::layer().with_filter(LevelFilter::WARN).boxed();
        let quiet = callsite! { name: "quiet", kind: Kind::EVENT, level: Level::DEBUG, fields: };
        let loud = callsite! { name: "loud", kind: Kind::EVENT, level: Level::ERROR, fields: };
        for layers in [vec![], vec![other]] {
            let subscriber = subscriber(&log, &config, layers).expect("the filter is one");
            let is_never =
                |line: &'static dyn Callsite| subscriber.register_callsite(line.metadata()).is_never();
            assert!(is_never(quiet) && !is_never(loud));
        }
    }
}
