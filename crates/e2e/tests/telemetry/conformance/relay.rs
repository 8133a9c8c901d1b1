//! What a relay exports: its metrics, and the trace of a row.

use std::collections::BTreeSet;

use e2e::otlp::MetricRecord;
use e2e::postgres::PostgresServer;
use e2e::process::{Build, Postrider};
use e2e::wait::{DEADLINE, eventually_or};

use super::{ObservedWorld, metrics};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn outcomes(metrics: &[MetricRecord]) -> BTreeSet<String> {
    let rows = metrics.iter().filter(|metric| metric.name == "postrider.relay.rows");
    let points = rows.flat_map(|metric| &metric.points);
    points
        .filter_map(|point| point.attributes.get("postrider.relay.outcome"))
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

#[test]
fn everything_that_a_relay_exports_follows_the_conventions() {
    let Some(postgres) = PostgresServer::start() else { return };
    let observed = ObservedWorld::start();
    postgres.sql(&Postrider::run(Build::Otel, &["relay", "schema"], &[], DEADLINE).stdout);
    let endpoint = observed.receiver.grpc_endpoint();
    let variables = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
    ];
    let _relay =
        Postrider::relay(Build::Otel, &postgres, &observed.world.redis, &["--keep", "1h"], &variables);
    let _worker = observed.worker(&[]);
    postgres.sql(&format!(
        "insert into postrider_outbox (url, traceparent) values ('{}', '00-{TRACE}-b7ad6b7169203331-01'), ('no url', null)",
        observed.world.sink.url("/ok")
    ));
    observed.world.sink.wait_for(1, DEADLINE);
    eventually_or("a row that is marked", DEADLINE, || {
        let marked = postgres.sql("select count(*) from postrider_outbox where enqueued_at is not null");
        if marked == "1" { Ok(()) } else { Err(marked) }
    });
    // As if the relay had stopped before its transaction ended.
    postgres.sql("update postrider_outbox set enqueued_at = null");
    let expected = BTreeSet::from(["enqueued", "known", "refused"].map(str::to_owned));
    let measured = eventually_or("all outcomes", DEADLINE, || {
        let measured = observed.receiver.metrics();
        let outcomes = outcomes(&measured);
        if outcomes == expected { Ok(measured) } else { Err(format!("{outcomes:?}")) }
    });
    for (name, ..) in metrics::RELAY {
        let own = measured.iter().filter(|metric| metric.name == *name && !metric.points.is_empty());
        let faults: Vec<Vec<String>> = own.map(metrics::faults).collect();
        assert!(!faults.is_empty() && faults.iter().all(Vec::is_empty), "{name}: {faults:?}");
    }
    eventually_or("the attempt in the row's trace", DEADLINE, || {
        let spans = observed.receiver.spans();
        if spans.iter().any(|span| span.trace_id == TRACE) {
            Ok(())
        } else {
            Err(format!("{} spans", spans.len()))
        }
    });
}
