//! Stores received telemetry and decides how the receiver responds.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

/// The message to a client about items that it should not send again.
pub(crate) const PARTIAL_MESSAGE: &str = "set by the test";

/// See `e2e::otlp::Mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Ok,
    Refuse,
    /// Once for each protocol and signal.
    Later(Duration),
    Unimplemented,
    Unknown(Signal),
    Page,
    Count,
    Hang,
    Slow(Duration),
    Partial(u64),
}

impl Mode {
    /// `ok`, `refuse`, `later MS`, `unimplemented`, `unknown SIGNAL`, `page`, `count`, `hang`, `slow MS` or `partial N`.
    pub(crate) fn parse(text: &str) -> Option<Mode> {
        let (word, number) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match word {
            "ok" => Some(Mode::Ok),
            "refuse" => Some(Mode::Refuse),
            "unimplemented" => Some(Mode::Unimplemented),
            "unknown" => Signal::ALL.into_iter().find(|signal| signal.name() == number).map(Mode::Unknown),
            "later" => {
                number.parse().ok().map(|milliseconds| Mode::Later(Duration::from_millis(milliseconds)))
            }
            "page" => Some(Mode::Page),
            "count" => Some(Mode::Count),
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
    Logs,
}

impl Signal {
    const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }
}

/// The response to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Accepted, except `rejected` items.
    Taken { rejected: u64 },
    /// Refused; the client may retry.
    Unavailable,
    /// Refused; the client may retry after this time.
    Later(Duration),
    /// An HTML page with status 200.
    Page,
    /// Refused; the client must not retry.
    Unimplemented,
}

#[derive(Default)]
pub(crate) struct Store {
    mode: Mutex<Mode>,
    spans: Mutex<Vec<Value>>,
    metrics: Mutex<Vec<Value>>,
    logs: Mutex<Vec<Value>>,
    requests: Mutex<Vec<Value>>,
    counts: Mutex<[[Counts; 3]; 2]>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    requests: u64,
    accepted: u64,
    refused: u64,
    put_off: bool,
}

impl Store {
    pub(crate) fn set_mode(&self, mode: Mode) {
        *self.mode.lock().expect("no one panics with this lock") = mode;
    }

    /// Takes `count` items according to the mode; never returns while it hangs.
    pub(crate) async fn take(
        &self,
        protocol: Protocol,
        signal: Signal,
        count: usize,
        items: impl FnOnce() -> Vec<Value>,
    ) -> Verdict {
        let mode = *self.mode.lock().expect("no one panics with this lock");
        let count = count as u64;
        let mut verdict = match mode {
            Mode::Ok | Mode::Count | Mode::Slow(_) => Verdict::Taken { rejected: 0 },
            Mode::Partial(rejected) => Verdict::Taken { rejected: rejected.min(count) },
            Mode::Unknown(unknown) if unknown != signal => Verdict::Taken { rejected: 0 },
            Mode::Unimplemented | Mode::Unknown(_) => Verdict::Unimplemented,
            Mode::Later(wait) => Verdict::Later(wait),
            Mode::Page => Verdict::Page,
            Mode::Refuse | Mode::Hang => Verdict::Unavailable,
        };
        {
            let mut counts = self.counts.lock().expect("no one panics with this lock");
            let counts = &mut counts[protocol as usize][signal as usize];
            if matches!(verdict, Verdict::Later(_)) && std::mem::replace(&mut counts.put_off, true) {
                verdict = Verdict::Taken { rejected: 0 };
            }
            let rejected = if let Verdict::Taken { rejected } = verdict { rejected } else { count };
            counts.requests += 1;
            counts.accepted += count - rejected;
            counts.refused += rejected;
        }
        if matches!(verdict, Verdict::Taken { .. }) && mode != Mode::Count {
            let items = items();
            self.list(signal).lock().expect("no one panics with this lock").extend(items);
        }
        match mode {
            Mode::Slow(delay) => tokio::time::sleep(delay).await,
            Mode::Hang => std::future::pending().await,
            _ => {}
        }
        verdict
    }

    /// Stores a request's protocol, path and headers.
    pub(crate) fn keep(&self, protocol: Protocol, path: &str, headers: &http::HeaderMap) {
        let headers = headers.iter().map(|(name, value)| {
            (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned()))
        });
        let protocol = if protocol == Protocol::Grpc { "grpc" } else { "http" };
        let headers = Value::Object(headers.collect());
        let request = json!({ "protocol": protocol, "path": path, "headers": headers });
        self.requests.lock().expect("no one panics with this lock").push(request);
    }

    pub(crate) fn requests(&self) -> Value {
        Value::Array(self.requests.lock().expect("no one panics with this lock").clone())
    }

    pub(crate) fn items(&self, signal: Signal) -> Value {
        Value::Array(self.list(signal).lock().expect("no one panics with this lock").clone())
    }

    pub(crate) fn stats(&self) -> Value {
        let counts = self.counts.lock().expect("no one panics with this lock");
        let mut rows = Vec::new();
        for (protocol, protocol_name) in [(Protocol::Grpc, "grpc"), (Protocol::Http, "http")] {
            for signal in Signal::ALL {
                let counts = counts[protocol as usize][signal as usize];
                rows.push(json!({
                    "protocol": protocol_name,
                    "signal": signal.name(),
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
            Signal::Logs => &self.logs,
        }
    }
}
