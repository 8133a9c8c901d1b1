//! Tests of the two instrumentation crates as other programs use them, without the worker: the telemetry of a hyper
//! client and of a fred client at an OTLP receiver.

use std::future::Future;

use e2e::otlp::{MetricRecord, PointRecord, Receiver, SpanRecord};
use e2e::wait::DEADLINE;
use telemetry::{Config, Running, Telemetry};

mod allocations;
mod connections;
mod global;
mod http;
mod redis;

/// A program that records.
struct Program {
    receiver: Receiver,
    running: Running,
    runtime: tokio::runtime::Runtime,
}

/// The receiver's contents when the program has ended.
struct Got {
    spans: Vec<SpanRecord>,
    metrics: Vec<MetricRecord>,
}

impl Program {
    fn start() -> Program {
        let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
        let endpoint = receiver.grpc_endpoint();
        let config = Config::from_lookup(|name| match name {
            "OTEL_ENABLED" => Some("true".to_owned()),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            _ => None,
        });
        let running = telemetry::start(config).expect("telemetry starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Program { receiver, running, runtime }
    }

    fn telemetry(&self) -> Telemetry {
        self.running.handle()
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(DEADLINE, work).await.expect("it ends in time") })
    }

    /// Ends the program, so that the receiver has all that was recorded.
    fn end(self) -> Got {
        self.runtime.block_on(self.running.shutdown(DEADLINE)).expect("all is delivered");
        Got { spans: self.receiver.spans(), metrics: self.receiver.metrics() }
    }
}

impl Got {
    /// The one span there is.
    fn span(&self) -> &SpanRecord {
        let [span] = self.spans.as_slice() else { panic!("one span: {:#?}", self.spans) };
        span
    }

    fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|span| span.name.as_str()).collect()
    }

    /// The points of a metric; none where there is no such metric.
    fn points(&self, name: &str) -> Vec<&PointRecord> {
        self.metrics.iter().filter(|metric| metric.name == name).flat_map(|metric| &metric.points).collect()
    }
}

fn text<'a>(point: &'a PointRecord, key: &str) -> Option<&'a str> {
    point.attributes.get(key)?.as_str()
}
