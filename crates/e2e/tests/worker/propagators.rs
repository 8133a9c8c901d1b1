//! Tests that `OTEL_PROPAGATORS` decides which parts of a job's context are kept and sent on, in both builds,
//! recording or not.

use e2e::otlp::TO_NOBODY;
use e2e::process::{Build, Postrider};
use e2e::sink::SinkRequest;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use e2e::world::World;

e2e::in_both_builds!(
    only_the_context_that_is_named_goes_on,
    baggage_survives_a_retry_a_dead_lettering_and_a_replay,
);

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const BAGGAGE: &str = "tenant=a;private,user=%C3%A9";

const RECORDING: [&[(&str, &str)]; 2] = [&[], &TO_NOBODY];

/// A job with a whole context, as a destination that may receive baggage got it.
fn delivered(build: Build, variables: &[(&str, &str)]) -> SinkRequest {
    let world = World::new(build);
    let sink = &world.sink;
    let config = TextFile::new("[propagation]\nbaggage_to = [\"127.0.0.1\"]\n");
    let _worker = world.worker_with(&["--config", config.path()], variables);
    let url = sink.url("/ok");
    let fields =
        [("url", url.as_str()), ("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("baggage", BAGGAGE)];
    world.queue().enqueue(&fields);
    sink.wait_for(1, DEADLINE).remove(0)
}

fn only_the_context_that_is_named_goes_on(build: Build) {
    let cases = [
        ("", [true, true, true]),
        ("tracecontext", [true, true, false]),
        ("baggage", [false, false, true]),
        ("none", [false; 3]),
    ];
    for (propagators, expected) in cases {
        for recording in RECORDING {
            let request = delivered(build, &[&[("OTEL_PROPAGATORS", propagators)], recording].concat());
            let has = ["traceparent", "tracestate", "baggage"].map(|name| request.header(name).is_some());
            assert_eq!(has, expected, "{propagators:?} {recording:?}");
            let as_sent = expected[2].then_some(BAGGAGE);
            assert_eq!(request.header("baggage"), as_sent, "{propagators:?} {recording:?}");
        }
    }
}

fn baggage_survives_a_retry_a_dead_lettering_and_a_replay(build: Build) {
    for recording in RECORDING {
        baggage_survives(build, recording);
    }
}

fn baggage_survives(build: Build, recording: &[(&str, &str)]) {
    let world = World::new(build);
    let sink = &world.sink;
    let variables = [&[("POSTRIDER_BAGGAGE_TO", "127.0.0.1"), ("POSTRIDER_RETRY_BASE", "50ms")], recording];
    let _worker = world.worker_with(&["--max-attempts", "2"], &variables.concat());
    let queue = world.queue();
    queue.enqueue(&[
        ("url", sink.url("/status/503")),
        ("delay_ms", "20".into()),
        ("baggage", BAGGAGE.into()),
    ]);
    e2e::wait::eventually_or("a dead letter", DEADLINE, || {
        if queue.dead().len() == 1 { Ok(()) } else { Err("none") }
    });
    let replay = ["dead", "replay", "--all", "--yes", "--redis-url", &world.redis.url()];
    assert_eq!(Postrider::run(build, &replay, &[], DEADLINE).code(), 0);
    for request in sink.wait_for(3, DEADLINE) {
        assert_eq!(request.header("baggage"), Some(BAGGAGE));
    }
}
