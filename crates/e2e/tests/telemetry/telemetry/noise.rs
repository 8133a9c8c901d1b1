//! Operations without a span by default, and the switches that turn their spans on.

use e2e::otlp::SpanRecord;
use e2e::process::Postrider;
use e2e::queue::Queue;
use serde_json::json;

use super::{DEADLINE, GRPC, ObservedWorker, in_order, the_only};

const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Delivers jobs with these producers' contexts one after the other, so that each has its own read and settlement,
/// and returns the spans when the worker has ended.
fn spans_of(observed: &mut ObservedWorker, producers: &[Option<&str>]) -> Vec<SpanRecord> {
    for producer in producers {
        let mut fields = vec![("url", observed.world.sink.url("/ok"))];
        fields.extend(producer.map(|producer| ("traceparent", producer.to_owned())));
        observed.queue().enqueue(&fields);
        observed.drained();
    }
    assert_eq!(observed.worker.stop().code(), Some(0));
    observed.receiver.spans()
}

fn roots(spans: &[SpanRecord]) -> Vec<&str> {
    let roots = spans.iter().filter(|span| span.parent_span_id.is_none());
    roots.map(|span| span.name.as_str()).collect()
}

fn commands(spans: &[SpanRecord]) -> Vec<&SpanRecord> {
    spans.iter().filter(|span| span.attributes.contains_key("db.system.name")).collect()
}

#[test]
fn each_job_has_one_root_and_no_command_has_a_span() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let spans = spans_of(&mut observed, &[None; 5]);
    assert_eq!(roots(&spans), ["process default"; 5]);
    assert_eq!(commands(&spans), Vec::<&SpanRecord>::new());
    let metrics = observed.receiver.metrics();
    let measured = |name: &str, key: &str, value: &str| {
        let points = metrics.iter().filter(|metric| metric.name == name).flat_map(|metric| &metric.points);
        let points = points.filter(|point| point.attributes.get(key) == Some(&json!(value)));
        points.map(|point| point.count).sum::<u64>()
    };
    // Reads and commands are measured as before.
    let operations = "messaging.client.operation.duration";
    assert_eq!(measured(operations, "messaging.operation.name", "receive"), 5, "{metrics:#?}");
    assert_eq!(measured("db.client.operation.duration", "db.operation.name", "EVALSHA"), 4);
    assert_eq!(measured("db.client.operation.duration", "db.operation.name", "EVAL"), 1);
}

#[test]
fn jobs_whose_producers_record_nothing_leave_no_span() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    assert_eq!(spans_of(&mut observed, &[Some(UNSAMPLED); 3]), []);
}

#[test]
fn a_read_for_a_producer_that_records_is_a_span_with_a_link_to_it() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let spans = spans_of(&mut observed, &[Some(UNSAMPLED), Some(SAMPLED), None]);
    let receive = the_only(&spans, "receive default");
    assert_eq!(receive.parent_span_id, None);
    let linked: Vec<_> = receive.links.iter().map(|link| link.span_id.as_str()).collect();
    assert_eq!(linked, ["b7ad6b7169203331"]);
}

#[test]
fn with_always_each_read_that_brought_jobs_is_a_span() {
    for switch in [&["--trace-receive", "always"][..], &["--trace-receive=always", "--trace-redis"]] {
        let mut observed = ObservedWorker::start(GRPC, switch);
        let spans = spans_of(&mut observed, &[None, Some(UNSAMPLED), Some(SAMPLED)]);
        let reads = in_order(&spans, "receive default");
        let links: Vec<_> = reads.iter().map(|read| read.links.len()).collect();
        assert_eq!(links, [0, 0, 1], "{spans:#?}");
        assert!(reads.iter().all(|read| read.parent_span_id.is_none()));
    }
}

#[test]
fn with_the_switch_each_command_is_a_span_named_by_its_script() {
    let mut observed = ObservedWorker::start(GRPC, &["--trace-redis"]);
    let spans = spans_of(&mut observed, &[None, Some(SAMPLED), None]);
    let acks = in_order(&spans, "ack default");
    // The server is given the script at the first call.
    for (ack, (name, command)) in
        acks.iter().zip([("EVAL complete", "EVAL"), ("EVALSHA complete", "EVALSHA")])
    {
        let below = spans.iter().filter(|span| span.is_child_of(ack)).collect::<Vec<_>>();
        let [complete] = below[..] else { panic!("{spans:#?}") };
        assert_eq!(complete.name, name);
        assert_eq!(complete.attributes["db.operation.name"], json!(command));
        assert_eq!(complete.attributes["db.stored_procedure.name"], json!("complete"));
    }
    let read = spans.iter().filter(|span| span.name == "XREADGROUP").collect::<Vec<_>>();
    let [read] = read[..] else { panic!("a read that is no span has none below it: {spans:#?}") };
    assert!(read.is_child_of(the_only(&spans, "receive default")));
}

#[test]
fn the_switches_are_variables_and_fields_of_the_file_and_a_flag_goes_first() {
    use e2e::process::Build;
    use e2e::text_file::TextFile;
    let file = TextFile::new("[traces]\nreceive = \"always\"\nredis = true\n");
    let by_variable = [("POSTRIDER_TRACE_RECEIVE", "always"), ("POSTRIDER_TRACE_REDIS", "on")];
    let by_file = [("POSTRIDER_CONFIG", file.path())];
    let off = ["--trace-receive", "sampled", "--trace-redis=false"];
    for (variables, flags, expected) in [
        (&by_variable[..], &[][..], [true, true]),
        (&by_file[..], &[][..], [true, true]),
        (&by_file[..], &off[..], [false, false]),
        (&by_variable[..], &off[..], [false, false]),
    ] {
        let mut observed = ObservedWorker::start(GRPC, &[]);
        assert_eq!(observed.worker.stop().code(), Some(0));
        let endpoint = observed.receiver.grpc_endpoint();
        let environment = [&super::environment(GRPC, &endpoint)[..], variables].concat();
        observed.worker = Postrider::ready_worker(Build::Otel, &observed.world.redis, flags, &environment);
        let spans = spans_of(&mut observed, &[None]);
        let exported = [roots(&spans).contains(&"receive default"), !commands(&spans).is_empty()];
        assert_eq!(exported, expected, "{variables:?} {flags:?}: {spans:#?}");
    }
}

#[test]
fn a_claim_is_a_span_as_a_read_is() {
    for (switch, is_span) in [(&[][..], false), (&["--trace-receive", "always"][..], true)] {
        let arguments = [&["--lease", "1s"][..], switch].concat();
        let mut observed = ObservedWorker::start(GRPC, &arguments);
        Queue::new(&observed.world.redis, "default")
            .enqueue(&[("url", observed.world.sink.url("/slow/2000"))]);
        observed.world.sink.wait_for(1, DEADLINE);
        observed.worker.kill();
        let endpoint = observed.receiver.grpc_endpoint();
        let environment = super::environment(GRPC, &endpoint);
        let build = e2e::process::Build::Otel;
        observed.worker = Postrider::ready_worker(build, &observed.world.redis, &arguments, &environment);
        observed.world.sink.wait_for(2, DEADLINE);
        let spans = spans_of(&mut observed, &[]);
        assert_eq!(!in_order(&spans, "claim default").is_empty(), is_span, "{spans:#?}");
    }
}
