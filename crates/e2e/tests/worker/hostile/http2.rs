//! Destinations that misuse HTTP/2.

use e2e::hostile::{Behaviour, Certificate, Flaw, Hostile, Http2};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;

use super::case::{Case, Expected, H2, run};

e2e::in_both_builds!(floods);

fn case(name: &'static str, plays: Http2, expected: Expected) -> Case {
    Case::new(name, Behaviour::Http2(plays), expected).h2()
}

fn floods(build: Build) {
    run(
        build,
        vec![
            case("resets", Http2::Resets, Expected::Dead("protocol")),
            case("pings", Http2::Pings, Expected::Dead("protocol")),
            case("settings", Http2::Settings, Expected::Dead("protocol")),
            case("continued headers", Http2::Continuation, Expected::Dead("protocol")),
            case("interim answers", Http2::Interim, Expected::Dead("protocol")),
            case("empty pieces of a body", Http2::EmptyData, Expected::Succeeded(0)),
            case("more than was allowed", Http2::TooMuchData, Expected::Succeeded(0)),
            case("a header bomb", Http2::HeaderBomb, Expected::Dead("protocol")),
            case("junk", Http2::Junk, Expected::Dead("protocol")),
        ],
    );
}

/// The second job gets the connection of the first, on which the destination no longer responds.
#[test]
fn a_connection_that_is_dead_is_not_used_for_ever() {
    let (redis, certificate) = (RedisServer::start(), Certificate::new(Flaw::None, H2));
    let (queue, ca) = (Queue::new(&redis, "default"), TextFile::new(&certificate.pem));
    let destination = Hostile::start(Behaviour::Http2(Http2::DeafAtReuse), Some(&certificate));
    let config = TextFile::new(&format!(
        "[retry.default]\nwaits = [\"1s\"]\nmax_attempts = 100\n[http]\nca_files = [{:?}]\n\
         [flows.default]\nbreaker_failures = 0\n",
        ca.path()
    ));
    let arguments = ["--config", config.path(), "--timeout", "1s"];
    let _worker = Postrider::ready_worker(Build::Otel, &redis, &arguments, &[]);
    let url = format!("https://127.0.0.1:{}/", destination.port());
    for _ in 0..2 {
        queue.enqueue(&[("url", &url)]);
        queue.wait_until_drained(DEADLINE);
    }
    assert_eq!(queue.dead().len(), 0, "{:?}", queue.dead());
}
