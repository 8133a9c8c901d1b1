//! A worker that has lost its lease, and whose attempt has succeeded.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use e2e::process::{Build, Postrider};
use e2e::proxy::{Mode, Proxy};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::wait::DEADLINE;

e2e::in_both_builds!(a_late_success_ends_the_job);

/// The next request, which is not answered yet.
fn request(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("a worker connects");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket takes a timeout");
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request has a head");
        head.extend(byte);
    }
    stream
}

fn a_late_success_ends_the_job(build: Build) {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let queue = Queue::new(&redis, "default");
    let through = proxy.redis_url();
    let lease = ["--lease", "1s"];
    let mut first = Postrider::ready_worker(build, &redis, &lease, &[("POSTRIDER_REDIS_URL", &through)]);
    queue.enqueue(&[("url", url), ("method", "GET".to_owned())]);
    let mut of_first = request(&listener);
    proxy.set(Mode::HalfOpen);
    of_first.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("the worker reads");
    let mut second = Postrider::ready_worker(build, &redis, &lease, &[]);
    let of_second = request(&listener);
    proxy.set(Mode::Pass);
    second.wait_for_log("lease lost: another worker has the jobs, or they are gone", DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 0);
    drop(of_second);
    for worker in [&mut first, &mut second] {
        assert!(worker.stop().success());
    }
}
