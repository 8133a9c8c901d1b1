//! What came, and how the receiver treats what comes.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

/// What a client is told about items that it should not send again.
pub(crate) const PARTIAL_MESSAGE: &str = "the test said so";

/// See `e2e::otlp::Mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Ok,
    Refuse,
    Unimplemented,
    Hang,
    Slow(Duration),
    Partial(u64),
}

impl Mode {
    /// `ok`, `refuse`, `unimplemented`, `hang`, `slow MS` or `partial N`.
    pub(crate) fn parse(text: &str) -> Option<Mode> {
        let (word, number) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match word {
            "ok" => Some(Mode::Ok),
            "refuse" => Some(Mode::Refuse),
            "unimplemented" => Some(Mode::Unimplemented),
            "hang" => Some(Mode::Hang),
            "slow" => number.parse().ok().map(|milliseconds| Mode::Slow(Duration::from_millis(milliseconds))),
            "partial" => number.parse().ok().map(Mode::Partial),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Taken, but for so many items.
    Taken { rejected: u64 },
    /// Not now.
    Unavailable,
    /// Never.
    Unimplemented,
}

#[derive(Default)]
pub(crate) struct Store {
    mode: Mutex<Mode>,
    spans: Mutex<Vec<Value>>,
    metrics: Mutex<Vec<Value>>,
    counts: Mutex<[[Counts; 2]; 2]>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    requests: u64,
    accepted: u64,
    refused: u64,
}

impl Store {
    pub(crate) fn set_mode(&self, mode: Mode) {
        *self.mode.lock().expect("no one panics with this lock") = mode;
    }

    /// Takes `items` as the mode says; never returns while it hangs.
    pub(crate) async fn take(&self, protocol: Protocol, signal: Signal, items: Vec<Value>) -> Verdict {
        let mode = *self.mode.lock().expect("no one panics with this lock");
        let count = items.len() as u64;
        let (taken, rejected) = match mode {
            Mode::Ok | Mode::Slow(_) => (true, 0),
            Mode::Partial(rejected) => (true, rejected.min(count)),
            Mode::Refuse | Mode::Unimplemented | Mode::Hang => (false, count),
        };
        {
            let mut counts = self.counts.lock().expect("no one panics with this lock");
            let counts = &mut counts[protocol as usize][signal as usize];
            counts.requests += 1;
            counts.accepted += count - rejected;
            counts.refused += rejected;
        }
        if taken {
            self.list(signal).lock().expect("no one panics with this lock").extend(items);
        }
        match mode {
            Mode::Ok | Mode::Partial(_) => Verdict::Taken { rejected },
            Mode::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Verdict::Taken { rejected }
            }
            Mode::Refuse => Verdict::Unavailable,
            Mode::Unimplemented => Verdict::Unimplemented,
            Mode::Hang => std::future::pending().await,
        }
    }

    pub(crate) fn items(&self, signal: Signal) -> Value {
        Value::Array(self.list(signal).lock().expect("no one panics with this lock").clone())
    }

    pub(crate) fn stats(&self) -> Value {
        let counts = self.counts.lock().expect("no one panics with this lock");
        let mut rows = Vec::new();
        for (protocol, protocol_name) in [(Protocol::Grpc, "grpc"), (Protocol::Http, "http")] {
            for (signal, signal_name) in [(Signal::Traces, "traces"), (Signal::Metrics, "metrics")] {
                let counts = counts[protocol as usize][signal as usize];
                rows.push(json!({
                    "protocol": protocol_name,
                    "signal": signal_name,
                    "requests": counts.requests,
                    "accepted": counts.accepted,
                    "refused": counts.refused,
                }));
            }
        }
        Value::Array(rows)
    }

    fn list(&self, signal: Signal) -> &Mutex<Vec<Value>> {
        match signal {
            Signal::Traces => &self.spans,
            Signal::Metrics => &self.metrics,
        }
    }
}
