//! The queue is bounded however long a receiver accepts nothing.

use std::net::TcpListener;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use tokio::sync::watch;

use super::super::exporter::{ExporterBuilder, Kind};
use super::super::receiver::Receiver;
use super::*;
use crate::{Config, Protocol, Signal};

/// The spans of 20,000 units of work with four spans each.
const SPANS: usize = 20_000 * 4;
const QUEUE: Queue = Queue { capacity: 2048, batch: 512, delay: Duration::from_millis(1) };
/// Longer than the test: no export is given up.
const NEVER: Duration = Duration::from_secs(600);

fn span(number: usize) -> SpanData {
    let ids = (number as u64 + 1, number as u128 + 1);
    SpanData {
        span_context: SpanContext::new(
            ids.1.into(),
            ids.0.into(),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: "POST".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: vec![KeyValue::new("url.full", "http://127.0.0.1/"), KeyValue::new("a.b", 1_i64)],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

/// Spans that wait.
fn waiting(queue: &SpanQueue) -> usize {
    queue.shared.lock().iter().map(|batch| batch.spans.len()).sum()
}

fn stays_bounded(protocol: Protocol, address: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a thread can be had");
    let (_closing, closed) = watch::channel(false);
    let endpoint = format!("http://{address}");
    let signal = Signal { protocol, endpoint, timeout: NEVER, ..Config::from_env().traces };
    let _within = runtime.enter();
    let builder = ExporterBuilder::new(&signal).expect("it is a URL");
    let tally = Arc::new(Tally::new(Kind::Traces, QUEUE.capacity));
    let receiver = Receiver::new(Kind::Traces, &builder, tally.clone(), runtime.handle(), closed);
    let sender = SpanSender { exporter: builder.spans().expect("it can be built"), receiver };
    let queue = SpanQueue::new(sender, None, QUEUE, tally.clone(), runtime.handle());
    for number in 0..SPANS {
        queue.on_end(span(number));
        let spans = waiting(&queue);
        assert!(spans <= QUEUE.capacity, "{spans} spans");
    }
    let counts = tally.counts();
    let (dropped, ended) = (counts.dropped as usize, tally.ended() as usize);
    assert_eq!((ended, counts.delivered, counts.failed), (SPANS, 0, 0));
    // Except waiting spans and one batch under way.
    assert!(dropped >= SPANS - QUEUE.capacity - QUEUE.batch, "{dropped} of {SPANS} dropped");
    let began = Instant::now();
    assert!(queue.shutdown_with_timeout(Duration::from_millis(100)).is_err());
    assert!(began.elapsed() < NEVER / 10, "the end waits for no export");
    runtime.shutdown_background();
}

#[test]
fn what_waits_for_a_receiver_that_takes_nothing_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let never_answers = listener.local_addr().expect("it has an address").to_string();
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        stays_bounded(protocol, &never_answers);
        // No process listens there.
        stays_bounded(protocol, "127.0.0.1:9");
    }
}
