//! Reads variables, and keeps a warning for each that it cannot use. No warning repeats a value: it may be a secret in
//! the wrong place.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Queue, Temporality};

/// Items. The queue is allocated at the start: 300 MB at this length.
const QUEUE_LENGTH_MAX: u64 = 1_000_000;
const DAY_MILLIS: u64 = 24 * 3600 * 1000;

pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, warnings: vec![] }
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let value = value.trim();
        if value.is_empty() { None } else { Some(value.to_owned()) }
    }

    /// In lower case: the values of an enumeration are not case-sensitive (the specification, §Enum).
    pub(super) fn word(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.to_ascii_lowercase())
    }

    /// Once, also where several signals read the same variable.
    pub(super) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn enabled(&mut self) -> bool {
        let enabled = self.switch("OTEL_ENABLED");
        let disabled = self.boolean("OTEL_SDK_DISABLED");
        enabled && !disabled
    }

    /// A switch that is not the specification's: all usual words are understood.
    pub(super) fn switch(&mut self, name: &str) -> bool {
        match self.word(name).as_deref() {
            None | Some("false" | "0" | "no" | "off") => false,
            Some("true" | "1" | "yes" | "on") => true,
            Some(_) => {
                self.warn(format!("{name} is neither true nor false, it counts as false; set it to `true`"));
                false
            }
        }
    }

    /// A switch of the specification's: only `true`, in any case, is true.
    pub(super) fn boolean(&mut self, name: &str) -> bool {
        match self.word(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.warn(format!("{name} is neither `true` nor `false`, it counts as false"));
                false
            }
        }
    }

    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(name)?;
        let number = value.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            self.warn(format!("{name} is not a whole number from {least} to {most}, its default is used"));
        }
        number
    }

    pub(super) fn millis(&mut self, name: &str, default: Duration) -> Duration {
        self.number(name, 1..=DAY_MILLIS).map_or(default, Duration::from_millis)
    }

    pub(super) fn queue(&mut self, processor: &str, capacity: u64, delay: Duration) -> Queue {
        let variable = |what: &str| format!("OTEL_{processor}_{what}");
        let (queue, batch) = (variable("MAX_QUEUE_SIZE"), variable("MAX_EXPORT_BATCH_SIZE"));
        let capacity = self.number(&queue, 1..=QUEUE_LENGTH_MAX).unwrap_or(capacity);
        let given = self.number(&batch, 1..=QUEUE_LENGTH_MAX);
        if given.is_some_and(|given| given > capacity) {
            self.warn(format!("{batch} is more than {queue}, which is used for both"));
        }
        Queue {
            capacity: capacity as usize,
            batch: given.unwrap_or(512).min(capacity) as usize,
            delay: self.millis(&variable("SCHEDULE_DELAY"), delay),
        }
    }

    pub(super) fn temporality(&mut self) -> Temporality {
        const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        match self.word(NAME).as_deref() {
            None | Some("cumulative") => Temporality::Cumulative,
            Some("delta") => Temporality::Delta,
            Some("lowmemory") => Temporality::LowMemory,
            Some(_) => {
                self.warn(format!(
                    "{NAME} knows `cumulative`, `delta` and `lowmemory`, `cumulative` is used"
                ));
                Temporality::Cumulative
            }
        }
    }

    pub(super) fn sdk_log(&mut self) -> Option<&'static str> {
        const NAME: &str = "OTEL_LOG_LEVEL";
        match self.word(NAME).as_deref() {
            None | Some("none" | "off") => None,
            Some("error") => Some("error"),
            Some("warn" | "warning") => Some("warn"),
            Some("info") => Some("info"),
            Some("debug") => Some("debug"),
            Some("trace" | "verbose" | "all") => Some("trace"),
            Some(_) => {
                self.warn(format!("{NAME} is not a level (none, error, warn, info, debug), it is ignored"));
                None
            }
        }
    }

    /// Warns where a destination is set and the switch is not.
    pub(super) fn warn_if_off_by_oversight(&mut self) {
        // An explicit `false` is no oversight.
        if self.get("OTEL_SDK_DISABLED").is_some() || self.get("OTEL_ENABLED").is_some() {
            return;
        }
        let exporters = ["", "TRACES_", "METRICS_", "LOGS_"].into_iter().flat_map(|signal| {
            ["ENDPOINT", "PROTOCOL", "HEADERS", "CERTIFICATE"]
                .map(|what| format!("OTEL_EXPORTER_OTLP_{signal}{what}"))
        });
        let kinds = ["TRACES", "METRICS", "LOGS"].map(|signal| format!("OTEL_{signal}_EXPORTER"));
        let asked = |name: &String| self.word(name).is_some_and(|value| value != "none");
        let name = exporters.chain(kinds).find(asked);
        if let Some(name) = name {
            self.warn(format!("{name} is set but telemetry is off; OTEL_ENABLED=true turns it on"));
        }
    }
}
