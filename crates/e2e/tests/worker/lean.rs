//! Tests that telemetry changes what is recorded and nothing else.

use e2e::otlp::TO_NOBODY;
use e2e::process::{Build, Postrider};
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use e2e::world::World;

e2e::in_both_builds!(
    a_trace_context_passes_through_untouched,
    a_trace_context_in_the_headers_passes_through_untouched,
    context_in_the_headers_is_sent_to_hosts_of_the_policy,
    context_is_sent_to_hosts_of_the_policy,
    a_flag_overrides_the_file_on_who_receives_context,
);

fn a_trace_context_passes_through_untouched(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&["--retry-base", "50ms"]);
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let url = sink.url("/flaky/1/a");
    queue.enqueue(&[("url", url.as_str()), ("traceparent", context), ("tracestate", "a=b,c=d")]);
    for request in sink.wait_for(2, DEADLINE) {
        assert_eq!(request.header("traceparent"), Some(context));
        assert_eq!(request.header("tracestate"), Some("a=b,c=d"));
    }
}

fn a_trace_context_in_the_headers_passes_through_untouched(build: Build) {
    let world = World::new(build);
    let sink = &world.sink;
    let _worker = world.worker(&["--retry-base", "50ms"]);
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let headers = format!(r#"{{"TraceParent":"{context}","tracestate":"a=b"}}"#);
    let queue = world.queue();
    queue.enqueue(&[("url", sink.url("/flaky/1/a")), ("headers", headers)]);
    for request in sink.wait_for(2, DEADLINE) {
        assert_eq!(request.header("traceparent"), Some(context));
        assert_eq!(request.header("tracestate"), Some("a=b"));
    }
}

fn context_in_the_headers_is_sent_to_hosts_of_the_policy(build: Build) {
    for environment in RECORDING {
        for (policy, expected) in [("all", [true, true, false]), ("none", [false; 3])] {
            let world = World::new(build);
            let sink = &world.sink;
            let _worker = world.worker_with(&["--traces-to", policy], environment);
            let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let headers = format!(r#"{{"traceparent":"{context}","tracestate":"a=b","baggage":"c=d"}}"#);
            world.queue().enqueue(&[("url", sink.url("/ok")), ("headers", headers)]);
            let request = &sink.wait_for(1, DEADLINE)[0];
            let sent = ["traceparent", "tracestate", "baggage"].map(|name| request.header(name).is_some());
            assert_eq!(sent, expected, "{policy} {environment:?}");
        }
    }
}

/// With and without telemetry: a worker must not send context to more destinations when telemetry is off.
const RECORDING: [&[(&str, &str)]; 2] = [&[], &TO_NOBODY];

/// Which of `traceparent`, `tracestate` and `baggage` come to 127.0.0.1 and to localhost.
fn context_sent(
    build: Build,
    policy: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> [[bool; 3]; 2] {
    let world = World::new(build);
    let sink = &world.sink;
    let config = TextFile::new(policy);
    let arguments = [&["--config", config.path()], arguments].concat();
    let _worker = world.worker_with(&arguments, environment);
    let queue = world.queue();
    let hosts = ["127.0.0.1", "localhost"];
    for host in hosts {
        let url = format!("http://{host}:{}/{host}", sink.address().port());
        let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let job =
            [("url", url.as_str()), ("traceparent", context), ("tracestate", "a=b"), ("baggage", "c=d")];
        queue.enqueue(&job);
    }
    sink.wait_for(2, DEADLINE);
    hosts.map(|host| {
        let requests = sink.requests_to(&format!("/{host}"));
        ["traceparent", "tracestate", "baggage"].map(|name| requests[0].header(name).is_some())
    })
}

fn context_is_sent_to_hosts_of_the_policy(build: Build) {
    let listed =
        "[propagation]\ntraces_to = [\"127.0.0.1\", \"*.localhost\"]\nbaggage_to = [\"localhost\"]\n";
    for environment in RECORDING {
        let sent = |policy| context_sent(build, policy, &[], environment);
        assert_eq!(sent(""), [[true, true, false]; 2], "{environment:?}");
        assert_eq!(sent(listed), [[true, true, false], [false, false, true]], "{environment:?}");
        assert_eq!(sent("[propagation]\ntraces_to = \"none\"\n"), [[false; 3]; 2], "{environment:?}");
    }
}

fn a_flag_overrides_the_file_on_who_receives_context(build: Build) {
    let nobody = "[propagation]\ntraces_to = \"none\"\nbaggage_to = [\"a.test\"]\n";
    let flags = ["--traces-to", "localhost", "--baggage-to", "127.0.0.1,b.test"];
    assert_eq!(context_sent(build, nobody, &flags, &[]), [[false, false, true], [true, true, false]]);
    let wrong = ["worker", "--traces-to", "http://a.test"];
    let output = Postrider::run(build, &wrong, &[], DEADLINE);
    assert_eq!(output.code(), 2, "{output:?}");
    assert!(output.stderr.contains("--traces-to: `http://a.test` is no host"), "{output:?}");
}

#[test]
fn the_lean_build_logs_once_that_it_has_no_telemetry_and_works() {
    let world = World::new(Build::Lean);
    let sink = &world.sink;
    let mut worker = world.worker_with(&[], &TO_NOBODY);
    world.queue().enqueue(&[("url", sink.url("/ok"))]);
    assert_eq!(sink.wait_for(1, DEADLINE)[0].header("traceparent"), None);
    assert_eq!(worker.stop().code(), Some(0));
    let log = worker.log();
    let logged = log.iter().filter(|line| line.contains("not compiled in")).count();
    assert_eq!(logged, 1, "{}", log.join("\n"));
}
