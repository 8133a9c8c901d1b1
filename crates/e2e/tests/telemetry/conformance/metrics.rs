//! The rules of the conventions, version 1.44.0, for a worker's metrics.
//!
//! `docs/http/http-metrics.md`, `docs/db/database-metrics.md`, `docs/messaging/messaging-metrics.md`,
//! `docs/system/process-metrics.md`; and our own documentation for those under `postrider.`.

use e2e::otlp::{MetricKind, MetricRecord, Temporality};

/// The instrument of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instrument {
    Counter,
    UpDownCounter,
    Gauge,
    Histogram(&'static [u32]),
}

use Instrument::{Counter, Gauge, Histogram, UpDownCounter};

/// The bounds of buckets, in milliseconds.
const REQUEST: &[u32] = &[5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];
const DATABASE: &[u32] = &[1, 5, 10, 50, 100, 500, 1000, 5000, 10_000];
const WAIT: &[u32] = &[
    5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
    14_400_000, 86_400_000,
];

/// Name, instrument, unit, attributes that each point has, attributes that it may have.
type Row = (&'static str, Instrument, &'static str, &'static [&'static str], &'static [&'static str]);

const QUEUE: &[&str] = &["messaging.destination.name"];
const CONSUMED: &[&str] = &[
    "messaging.system",
    "messaging.operation.name",
    "messaging.destination.name",
    "messaging.consumer.group.name",
    "server.address",
    "server.port",
];
const ERROR: &[&str] = &["error.type"];

/// The test has points of all these metrics.
pub(crate) const ROWS: &[Row] = &[
    (
        "http.client.request.duration",
        Histogram(REQUEST),
        "s",
        &["http.request.method", "server.address", "server.port"],
        &["http.response.status_code", "network.protocol.version", "error.type"],
    ),
    (
        "db.client.operation.duration",
        Histogram(DATABASE),
        "s",
        &["db.system.name", "db.operation.name", "server.address"],
        &[
            "db.namespace",
            "server.port",
            "db.response.status_code",
            "error.type",
            "db.stored_procedure.name",
            "network.peer.address",
            "network.peer.port",
        ],
    ),
    (
        "messaging.client.operation.duration",
        Histogram(REQUEST),
        "s",
        &[
            "messaging.system",
            "messaging.operation.name",
            "messaging.operation.type",
            "messaging.destination.name",
            "server.address",
            "server.port",
        ],
        &["messaging.consumer.group.name", "error.type"],
    ),
    ("messaging.client.consumed.messages", Counter, "{message}", CONSUMED, ERROR),
    ("messaging.process.duration", Histogram(REQUEST), "s", CONSUMED, ERROR),
    ("postrider.job.wait_duration", Histogram(WAIT), "s", QUEUE, &[]),
    ("postrider.job.end_to_end_duration", Histogram(WAIT), "s", QUEUE, &[]),
    ("postrider.flow.wait_duration", Histogram(WAIT), "s", QUEUE, &[]),
    ("postrider.job.in_flight", UpDownCounter, "{job}", QUEUE, &[]),
    ("postrider.worker.in_flight.usage", UpDownCounter, "By", &[], &[]),
    ("postrider.worker.in_flight.limit", UpDownCounter, "By", &[], &[]),
    ("postrider.job.unsettled", UpDownCounter, "{job}", QUEUE, &[]),
    (
        "postrider.job.attempts",
        Counter,
        "{attempt}",
        &["messaging.destination.name", "postrider.job.outcome", "postrider.response.status_class"],
        &[],
    ),
    ("postrider.job.retries", Counter, "{job}", QUEUE, &[]),
    ("postrider.job.reclaimed", Counter, "{job}", QUEUE, &[]),
    (
        "postrider.job.dead",
        Counter,
        "{job}",
        &["messaging.destination.name", "postrider.job.dead_reason"],
        &[],
    ),
    (
        "postrider.job.callbacks",
        Counter,
        "{job}",
        &["messaging.destination.name", "postrider.callback.event"],
        &[],
    ),
    ("postrider.job.unknown_fields", Counter, "{job}", QUEUE, &[]),
    ("postrider.job.holds", Counter, "{job}", QUEUE, &[]),
    ("postrider.notices", Counter, "{notice}", &["postrider.notice.kind"], &[]),
    ("postrider.config.reloads", Counter, "{reload}", &["postrider.config.outcome"], &[]),
    ("postrider.token.requests", Counter, "{request}", &["postrider.token.outcome"], &[]),
    (
        "postrider.cron.ticks",
        Counter,
        "{tick}",
        &["messaging.destination.name", "postrider.cron.outcome"],
        &[],
    ),
    ("postrider.flow.breakers", Gauge, "{flow}", &["postrider.breaker.state"], &[]),
    ("postrider.queue.depth", Gauge, "{job}", &["messaging.destination.name", "postrider.queue.state"], &[]),
    ("postrider.queue.oldest_age", Gauge, "s", QUEUE, &[]),
    ("postrider.queue.stopped_keys", Gauge, "{key}", QUEUE, &[]),
    ("postrider.queue.counted_at", Gauge, "s", QUEUE, &[]),
    ("postrider.queue.paused", Gauge, "{queue}", QUEUE, &[]),
    ("postrider.flow.paused", Gauge, "{flow}", &[], &[]),
    ("postrider.queue.troubled_shards", Gauge, "{shard}", QUEUE, &[]),
    (
        "postrider.queue.deleted",
        Counter,
        "{job}",
        &["messaging.destination.name", "postrider.queue.state"],
        &[],
    ),
    ("postrider.job.leases_lost", Counter, "{job}", QUEUE, &[]),
    ("postrider.job.settlements_refused", Counter, "{job}", QUEUE, &[]),
    ("postrider.flow.breaker_trips", Counter, "{trip}", QUEUE, &[]),
    ("postrider.runtime.tasks", UpDownCounter, "{task}", &[], &[]),
    ("postrider.runtime.queued_tasks", UpDownCounter, "{task}", &[], &[]),
    ("postrider.runtime.busy_time", Counter, "s", &[], &[]),
    ("process.cpu.time", Counter, "s", &["cpu.mode"], &[]),
    ("process.memory.usage", UpDownCounter, "By", &[], &[]),
    ("process.memory.virtual", UpDownCounter, "By", &[], &[]),
    ("process.thread.count", UpDownCounter, "{thread}", &[], &[]),
    ("process.unix.file_descriptor.count", UpDownCounter, "{file_descriptor}", &[], &[]),
    ("process.context_switches", Counter, "{context_switch}", &["process.context_switch.type"], &[]),
    ("process.uptime", Gauge, "s", &[], &[]),
];

/// Those of a relay.
pub(crate) const RELAY: &[Row] = &[
    ("postrider.relay.rows", Counter, "{row}", &["postrider.relay.outcome"], &[]),
    ("postrider.relay.wait_duration", Histogram(WAIT), "s", &[], &[]),
];

/// Metrics that libraries record of themselves, each with its own tests.
pub(crate) const OTHERS: &[&str] = &["otel.sdk.", "http.client.", "dns.lookup."];

/// What is wrong with a metric.
pub(crate) fn faults(metric: &MetricRecord) -> Vec<String> {
    let mut faults = vec![];
    let mut check = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    let is_unit = !metric.unit.is_empty() && !metric.unit.contains(' ');
    check(is_unit, format!("its unit is {:?}", metric.unit));
    check(!metric.description.is_empty(), "it has no description".to_owned());
    for name in metric.points.iter().flat_map(|point| point.attributes.keys()) {
        check(name.contains('.'), format!("{name} has no namespace"));
    }
    let row = ROWS.iter().chain(RELAY).find(|row| row.0 == metric.name);
    let Some((_, instrument, unit, required, optional)) = row else {
        let is_others = OTHERS.iter().any(|prefix| metric.name.starts_with(prefix));
        check(is_others, "no row knows it".to_owned());
        return faults;
    };
    check(metric.unit == *unit, format!("its unit is {:?}", metric.unit));
    check(instrument_of(metric, *instrument), format!("it is {:?}, {:?}", metric.kind, metric.temporality));
    for point in &metric.points {
        for name in *required {
            check(point.attributes.contains_key(*name), format!("a point lacks {name}: {point:?}"));
        }
        for name in point.attributes.keys().filter(|name| !required.contains(&name.as_str())) {
            check(optional.contains(&name.as_str()), format!("{name} is not known"));
        }
        if let Histogram(bounds) = instrument {
            let bounds: Vec<f64> = bounds.iter().map(|millis| f64::from(*millis) / 1000.0).collect();
            check(point.bounds == bounds, format!("its buckets are {:?}", point.bounds));
        }
    }
    check(metric.schema_url == super::spans::SCHEMA_URL, format!("its schema is {:?}", metric.schema_url));
    let scope = match metric.name.split('.').next() {
        Some("db") => "fred-otel",
        Some("http") => "hyper-otel",
        _ => "postrider",
    };
    check(metric.scope_name == scope, format!("its scope is {:?}", metric.scope_name));
    faults
}

fn instrument_of(metric: &MetricRecord, instrument: Instrument) -> bool {
    let cumulative = metric.temporality == Temporality::Cumulative;
    match instrument {
        Counter => metric.kind == MetricKind::Sum && metric.is_monotonic && cumulative,
        UpDownCounter => metric.kind == MetricKind::Sum && !metric.is_monotonic && cumulative,
        Gauge => metric.kind == MetricKind::Gauge,
        Histogram(_) => metric.kind == MetricKind::Histogram && cumulative,
    }
}
