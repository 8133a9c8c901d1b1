//! OAuth 2.0 client credentials: access tokens that the worker requests and renews.

use std::time::{Duration, Instant};

use e2e::process::Build;
use e2e::text_file::TextFile;
use e2e::token_server::{TokenMode, TokenServer};
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;

e2e::in_both_builds!(one_token_serves_all_jobs_of_a_worker, a_failing_endpoint_costs_no_attempt);

const BUILD: Build = Build::Lean;

fn configuration(server: &TokenServer) -> String {
    format!(
        "[retry.default]\nbase = \"20ms\"\ncap = \"200ms\"\n\
         [secrets.crm]\ntoken_url = \"{}\"\nclient_id = \"me\"\nclient_secret = {{ env = \"CRM\" }}\n\
         scopes = [\"a\", \"b\"]\nhosts = [\"127.0.0.1\"]\nallow_http = true\n",
        server.url("/token")
    )
}

/// A world whose workers know the client's secret.
fn world(build: Build) -> World {
    World::new(build).with("CRM", "hunter2")
}

fn enqueue(world: &World, server: &TokenServer, number: usize) -> String {
    world.queue().enqueue(&[("url", server.url(&format!("/{number}")).as_str()), ("secret", "crm")])
}

fn one_token_serves_all_jobs_of_a_worker(build: Build) {
    let (world, server) = (world(build), TokenServer::start(TokenMode::Grant(3600)));
    for number in 0..50 {
        enqueue(&world, &server, number);
    }
    let file = TextFile::new(&configuration(&server));
    // Each thread gets its own.
    let _worker = world.worker(&["--config", file.path(), "--concurrency", "16", "--threads", "1"]);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(server.used(), vec![1; 50]);
    // `me:hunter2` in Base64.
    let asked = ("Basic bWU6aHVudGVyMg==".to_owned(), "grant_type=client_credentials&scope=a+b".to_owned());
    assert_eq!(server.asked(), [asked]);
}

fn a_failing_endpoint_costs_no_attempt(build: Build) {
    let (world, server) = (world(build), TokenServer::start(TokenMode::Fail(503)));
    let job_id = enqueue(&world, &server, 0);
    let file = TextFile::new(&configuration(&server));
    let mut worker = world.worker(&["--config", file.path(), "--lease", "3s"]);
    let line = worker.wait_for_log("no access token", DEADLINE);
    assert!(line.contains("it answered 503, `temporarily_unavailable`") && line.contains("crm"), "{line}");
    eventually("a second request of the token endpoint", DEADLINE, || {
        (server.asked().len() >= 2).then_some(())
    });
    eventually("the word of doctor", DEADLINE, || {
        let found = world.run(&["doctor"]).stdout;
        found.contains("it gets no access token for the secret `crm`").then_some(())
    });
    let shown = world.run(&["jobs", "show", &job_id]).stdout;
    assert!(shown.contains("token"), "{shown}");
    server.set(TokenMode::Grant(3600));
    eventually("the delivery", DEADLINE, || (server.used() == [1]).then_some(()));
    worker.wait_for_log("the token endpoint has recovered", DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(world.queue().dead().len(), 0);
    assert!(!worker.log().join("\n").contains("hunter2"));
}

/// The worker keeps sending with the old token while it gets the new one.
#[test]
fn a_token_is_renewed_before_it_expires() {
    let (world, server) = (world(BUILD), TokenServer::start(TokenMode::Grant(2)));
    let file = TextFile::new(&configuration(&server));
    let _worker = world.worker(&["--config", file.path()]);
    let mut jobs = 0;
    eventually("three tokens", DEADLINE, || {
        enqueue(&world, &server, jobs);
        jobs += 1;
        (server.asked().len() >= 3).then_some(())
    });
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!((server.used().len(), world.queue().dead().len()), (jobs, 0));
}

#[test]
fn a_rejected_token_is_replaced_within_the_attempt() {
    let (world, server) = (world(BUILD), TokenServer::start(TokenMode::Grant(3600)));
    let file = TextFile::new(&configuration(&server));
    // A second thread would get its own token.
    let _worker = world.worker(&["--config", file.path(), "--threads", "1"]);
    enqueue(&world, &server, 0);
    eventually("the first delivery", DEADLINE, || (server.used() == [1]).then_some(()));
    let granted = Instant::now();
    server.accept_from(2);
    // Newer tokens are not replaced.
    eventually("an older token", DEADLINE, || (granted.elapsed() > Duration::from_secs(1)).then_some(()));
    enqueue(&world, &server, 1);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(server.used(), [1, 1, 2]);
    assert_eq!(world.queue().dead().len(), 0);
    server.accept_from(9);
    enqueue(&world, &server, 2);
    eventually("a job that is dead", DEADLINE, || (world.queue().dead().len() == 1).then_some(()));
    assert_eq!(world.queue().dead()[0].reason(), "final_status");
    assert!(server.asked().len() <= 3, "a destination that rejects all does not flood the endpoint");
}

/// Jobs that wait for the endpoint give their slots back.
#[test]
fn an_endpoint_that_hangs_does_not_stop_other_jobs() {
    let (world, server) = (world(BUILD), TokenServer::start(TokenMode::Hang));
    let file = TextFile::new(&configuration(&server));
    let _worker = world.worker(&["--config", file.path(), "--concurrency", "4"]);
    for number in 0..20 {
        enqueue(&world, &server, number);
    }
    eventually("a request of the token endpoint", DEADLINE, || (!server.asked().is_empty()).then_some(()));
    for number in 0..20 {
        world.queue().enqueue(&[("url", world.sink.url(&format!("/ok?{number}")).as_str())]);
    }
    world.sink.wait_for(20, DEADLINE);
    server.set(TokenMode::Grant(3600));
    eventually_or("all jobs", DEADLINE, || {
        let used = server.used().len();
        if used == 20 { Ok(()) } else { Err(format!("{used} jobs")) }
    });
    world.queue().wait_until_drained(DEADLINE);
}
