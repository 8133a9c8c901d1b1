//! Tests of the metrics about jobs.

use e2e::otlp::MetricKind;
use e2e::process::{Build, Postrider};
use e2e::wait::DEADLINE;

use super::{GRPC, ObservedWorker, environment};

#[test]
fn durations_arrive_in_seconds() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    observed.send("/slow/100");
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let metrics = observed.receiver.metrics();
    for name in ["http.client.request.duration", "db.client.operation.duration", "messaging.process.duration"]
    {
        let metric = metrics.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not among {metrics:#?}"));
        assert_eq!((metric.unit.as_str(), metric.kind), ("s", MetricKind::Histogram));
        assert!(metric.points.iter().all(|point| point.count > 0), "{metric:#?}");
    }
    let of_requests = metrics.iter().find(|metric| metric.name == "http.client.request.duration");
    let point = &of_requests.expect("found above").points[0];
    assert_eq!(point.count, 1);
    assert!((0.1..10.0).contains(&point.sum), "{point:?}");
}

#[test]
fn a_lost_lease_a_takeover_and_a_dead_lettering_are_counted() {
    use nix::sys::signal::Signal;
    // Long enough that a loaded machine loses no other lease.
    let lease = ["--lease", "3s"];
    let mut observed = ObservedWorker::start(GRPC, &lease);
    observed.send("/status/410");
    observed.drained();
    observed.send("/slow/1500");
    observed.world.sink.wait_for(2, DEADLINE);
    observed.worker.signal(Signal::SIGSTOP);
    let endpoint = observed.receiver.grpc_endpoint();
    let mut other =
        Postrider::ready_worker(Build::Otel, &observed.world.redis, &lease, &environment(GRPC, &endpoint));
    observed.world.sink.wait_for(3, DEADLINE);
    observed.worker.signal(Signal::SIGCONT);
    observed.drained();
    for worker in [&mut observed.worker, &mut other] {
        assert_eq!(worker.stop().code(), Some(0));
    }
    let metrics = observed.receiver.metrics();
    let sum = |names: &[&str]| -> f64 {
        let of_name = metrics.iter().filter(|metric| names.contains(&metric.name.as_str()));
        of_name.flat_map(|metric| &metric.points).filter_map(|point| point.value).sum()
    };
    assert_eq!(sum(&["postrider.job.reclaimed"]), 1.0, "{metrics:#?}");
    assert_eq!(sum(&["postrider.job.dead"]), 1.0);
    // The worker that stood still has lost its lease, or the other one its job if the first one's success comes before its next
    // heartbeat; where it comes in the middle of that, both.
    let lost = sum(&["postrider.job.leases_lost", "postrider.job.settlements_refused"]);
    assert!((1.0..=2.0).contains(&lost), "{lost}");
}
