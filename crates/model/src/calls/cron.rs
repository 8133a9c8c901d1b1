//! Periodic jobs.

use super::{Call, Shard};
use crate::redis::Bytes;

/// How long other workers leave a due tick to the one that has found it, ms.
pub(crate) const HOLD_MS: u64 = 5_000;
/// How many definitions a queue may have, and of how many bytes.
const DEFINITIONS_MAX: &str = "1000";
const DEFINITIONS_BYTES_MAX: &str = "4194304";

/// What a worker has read of a definition that is due.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tick {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Unix ms, or empty.
    pub(crate) tick: String,
    pub(crate) last_job: String,
}

fn digest(text: &str) -> String {
    sha1_smol::Sha1::from(text).digest().to_string()
}

impl Shard {
    /// The definitions that are due, and, if wanted, those that have lost their next tick.
    pub(crate) fn cron_due(self, looks_for_lost: bool) -> Call {
        let own = [HOLD_MS, 16, looks_for_lost.into()].map(|number| number.to_string());
        self.call("cron_due", &["cron", "cron_due"], &own)
    }

    /// Makes these jobs of a definition, and sets its next tick.
    pub(crate) fn cron_tick(
        self,
        due: &Tick,
        next: Option<u64>,
        [missed, skipped]: [u64; 2],
        jobs: &[Vec<Bytes>],
    ) -> Call {
        let Tick { name, text, tick, last_job } = due.clone();
        let next = next.map_or_else(String::new, |next| next.to_string());
        let own = [name, digest(&text), tick, last_job, next, missed.to_string(), skipped.to_string()];
        let mut call = self.call("cron_tick", &["jobs", "cron", "cron_due"], &own);
        for fields in jobs {
            call.arguments.push(fields.len().to_string().into_bytes());
            call.arguments.extend_from_slice(fields);
        }
        call
    }

    /// Sets a definition whose text was `before`, and its next tick unless that is kept; removes others.
    pub(crate) fn cron_apply(
        self,
        set: Option<(&str, &str, &str)>,
        next: Option<u64>,
        removed: &[&str],
    ) -> Call {
        let count = removed.len().to_string();
        let mut arguments: Vec<String> =
            [DEFINITIONS_MAX, DEFINITIONS_BYTES_MAX, &count].map(str::to_owned).into();
        arguments.extend(removed.iter().map(|name| (*name).to_owned()));
        if let Some((name, before, text)) = set {
            let before = if before.is_empty() { String::new() } else { digest(before) };
            let next = next.map_or_else(String::new, |next| next.to_string());
            arguments.extend([name.to_owned(), before, text.to_owned(), next]);
        }
        self.call("cron_apply", &["cron", "cron_due"], &arguments)
    }

    /// Pauses a definition, or resumes it with its next tick.
    pub(crate) fn cron_pause(self, name: &str, next: Option<u64>) -> Call {
        let next = next.map_or_else(String::new, |next| next.to_string());
        self.call("cron_pause", &["cron", "cron_due"], &[name, &next])
    }
}
