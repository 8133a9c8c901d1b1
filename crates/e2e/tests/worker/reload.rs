//! A worker reads its configuration again: on SIGHUP, and when its files have changed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use e2e::process::{Build, Postrider, Signal};
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

e2e::in_both_builds!(secrets_are_rotated_under_load_and_no_delivery_fails, a_wrong_file_changes_nothing);

const BUILD: Build = Build::Lean;

/// A configuration whose secret is in a file.
fn configuration(secret: &str) -> String {
    format!(
        "[secrets.acme]\nbearer = {{ file = \"{secret}\" }}\nhosts = [\"127.0.0.1\"]\nallow_http = true\n"
    )
}

/// Enqueues a job with the secret.
fn enqueue(world: &World, number: usize) {
    let url = world.sink.url(&format!("/ok?{number}"));
    world.queue().enqueue(&[("url", url.as_str()), ("secret", "acme")]);
}

/// The tokens that have arrived.
fn tokens(world: &World) -> BTreeSet<String> {
    let token = |header: Option<&str>| header.unwrap_or("none").trim_start_matches("Bearer ").to_owned();
    world.sink.requests().iter().map(|request| token(request.header("authorization"))).collect()
}

fn secrets_are_rotated_under_load_and_no_delivery_fails(build: Build) {
    const ROTATIONS: usize = 5;
    let world = World::new(build);
    let secret = TextFile::new("token-0");
    let file = TextFile::new(&configuration(secret.path()));
    let mut worker = world.worker(&["--config", file.path()]);
    let mut jobs = 0;
    for rotation in 0..=ROTATIONS {
        let token = format!("token-{rotation}");
        fs::write(secret.path(), &token).expect("the secret is written");
        worker.signal(Signal::SIGHUP);
        eventually("the new token", DEADLINE, || {
            enqueue(&world, jobs);
            jobs += 1;
            tokens(&world).contains(&token).then_some(())
        });
    }
    world.sink.wait_for(jobs, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    let expected: BTreeSet<String> = (0..=ROTATIONS).map(|rotation| format!("token-{rotation}")).collect();
    assert_eq!(tokens(&world), expected);
    assert_eq!((world.queue().dead().len(), world.sink.requests().len()), (0, jobs));
    assert_eq!(worker.stop().code(), Some(0));
}

fn a_wrong_file_changes_nothing(build: Build) {
    let world = World::new(build);
    let secret = TextFile::new("token-0");
    let file = TextFile::new(&configuration(secret.path()));
    let mut worker = world.worker(&["--config", file.path(), "--lease", "3s"]);
    fs::write(file.path(), "[secrets.acme]\nbeerer = 1\n").expect("the file is written");
    worker.signal(Signal::SIGHUP);
    let line = worker.wait_for_log("the changed configuration is wrong, so nothing changes", DEADLINE);
    assert!(line.contains("line 2") && !line.contains("token-0"), "{line}");
    let doctor_warns = || world.run(&["doctor"]).stdout.contains("its changed configuration is wrong");
    eventually("the word of doctor", DEADLINE, || doctor_warns().then_some(()));
    enqueue(&world, 0);
    world.sink.wait_for(1, DEADLINE);
    assert_eq!(tokens(&world), BTreeSet::from(["token-0".to_owned()]));
    fs::write(secret.path(), "token-1").expect("the secret is written");
    fs::write(file.path(), configuration(secret.path())).expect("the file is written");
    worker.signal(Signal::SIGHUP);
    worker.wait_for_log("the configuration was read again", DEADLINE);
    enqueue(&world, 1);
    world.sink.wait_for(2, DEADLINE);
    assert!(tokens(&world).contains("token-1"));
    eventually("the end of the warning", DEADLINE, || (!doctor_warns()).then_some(()));
}

/// Reading a pipe would wait for ever.
#[test]
fn a_pipe_in_place_of_a_file_is_refused() {
    let world = World::new(BUILD);
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "token-0").expect("the secret is written");
    let file = TextFile::new(&configuration(secret.to_str().expect("a path")));
    let mut worker = world.worker(&["--config", file.path()]);
    fs::remove_file(&secret).expect("the secret is removed");
    nix::unistd::mkfifo(&secret, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
    worker.signal(Signal::SIGHUP);
    worker.wait_for_log("is not a regular file", DEADLINE);
    fs::remove_file(&secret).expect("the pipe is removed");
    fs::write(&secret, "token-1").expect("the secret is written");
    worker.signal(Signal::SIGHUP);
    worker.wait_for_log("the configuration was read again", DEADLINE);
}

/// As Kubernetes replaces the files of a Secret.
#[test]
fn a_link_to_another_file_is_seen_without_a_signal() {
    let world = World::new(BUILD);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for token in ["token-0", "token-1"] {
        fs::write(path(token), token).expect("the secret is written");
    }
    symlink(path("token-0"), path("secret")).expect("a link");
    let file = TextFile::new(&configuration(path("secret").to_str().expect("a path")));
    let mut worker = world.worker(&["--config", file.path()]);
    symlink(path("token-1"), path("new")).expect("a link");
    fs::rename(path("new"), path("secret")).expect("the link is replaced");
    worker.wait_for_log("the configuration was read again", DEADLINE);
    enqueue(&world, 0);
    world.sink.wait_for(1, DEADLINE);
    assert_eq!(tokens(&world), BTreeSet::from(["token-1".to_owned()]));
}

/// A terminal that is closed ends a worker that has nothing to read again.
#[test]
fn without_a_file_a_hangup_stops_the_worker() {
    let world = World::new(BUILD);
    let mut worker: Postrider = world.worker(&[]);
    worker.signal(Signal::SIGHUP);
    assert_eq!(worker.wait_exit(DEADLINE).code(), Some(0));
}
